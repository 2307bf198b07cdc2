"""The part of a table that is computed again: some values of a column, and as far after them as rows look back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lakehouse.quality.literals import column, literal


@dataclass(frozen=True)
class Part:
    """Values of a column that changed in the inputs of a table."""

    column: str
    values: frozenset[Any]
    """None among them for rows without a value."""
    lookback: timedelta | None = None
    days_of: str = ""
    """Where it is named, the values are days: the table's rows have times of them in ``column``, the inputs in this."""

    def results(self, of: str = "") -> str:
        """SQL, never null: whether a row of the table is computed again. ``of`` is written before the column."""
        return self._of_days(f"{of}{column(self.column).spark}") or self._within(of, timedelta(0), self.lookback)

    def inputs(self, of: str = "") -> str:
        """SQL, never null: whether a row of an input is needed for these."""
        return self._of_days(f"{of}{column(self.days_of).spark}") or self._within(of, self.lookback, self.lookback)

    def _of_days(self, name: str) -> str:
        if not self.days_of:
            return ""
        known = sorted(value for value in self.values if value is not None)
        spans = []
        for low, high in _spans(known, timedelta(0), timedelta(days=1)):
            ends = "" if high == date.max in known else f" AND {name} < {literal(_midnight(high)).spark}"
            spans.append(f"({name} >= {literal(_midnight(low)).spark}{ends})")
        # No tile is of an event without a time.
        return f"({name} IS NOT NULL AND ({' OR '.join(spans or ['FALSE'])}))"

    def _within(self, of: str, before: timedelta | None, after: timedelta | None) -> str:
        name = f"{of}{column(self.column).spark}"
        known = sorted(value for value in self.values if value is not None)
        if self.lookback is None:
            either = [f"{name} IN ({', '.join(literal(value).spark for value in known)})"] * bool(known)
        else:
            spans = _spans(known, before or timedelta(0), after or timedelta(0))
            either = [f"{name} BETWEEN {literal(low).spark} AND {literal(high).spark}" for low, high in spans]
        either = [f"({name} IS NOT NULL AND ({' OR '.join(either)}))"] * bool(either)
        either += [f"{name} IS NULL"] * (None in self.values)
        return f"({' OR '.join(either or ['FALSE'])})"


def _spans(values: Iterable[Any], before: timedelta, after: timedelta) -> list[tuple[Any, Any]]:
    """From each value so far back and so far on; spans that overlap are one."""
    found: list[tuple[Any, Any]] = []
    for value in values:
        low, high = _moved(value, -before), _moved(value, after)
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], high
        else:
            found.append((low, high))
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _moved(value: date, by: timedelta) -> date:
    """As far as the calendar goes."""
    try:
        return value + by
    except OverflowError:
        limit = type(value).max if by > timedelta(0) else type(value).min
        zone = getattr(value, "tzinfo", None)
        return limit.replace(tzinfo=zone) if zone is not None else limit  # type: ignore[call-arg]
