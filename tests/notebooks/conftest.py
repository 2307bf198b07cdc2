"""The notebooks are run against the lake that the example's tests share."""

from __future__ import annotations

from tests.flights.conftest import flights_project, flights_run

__all__ = ["flights_project", "flights_run"]
