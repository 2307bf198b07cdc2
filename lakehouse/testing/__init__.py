"""What tests of a project may use: its window features on hostile events. pytest finds the fixtures by itself."""

from lakehouse.testing.checking import check_windows

__all__ = ["check_windows"]
