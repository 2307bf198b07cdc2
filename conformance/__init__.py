"""Runs Feast's own integration tests, from a checkout of Feast, against the classes of this project."""
