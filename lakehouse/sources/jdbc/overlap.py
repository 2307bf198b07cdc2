"""How far before the last cursor to look again: a span of time or a number."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def is_number(overlap: str) -> bool:
    return overlap[-1] not in UNITS


def interval(overlap: str) -> str:
    """As SQL says it.

    >>> interval("10m")
    '10 minutes'
    """
    return f"{overlap[:-1]} {UNITS[overlap[-1]]}"


def span(overlap: str) -> timedelta:
    return timedelta(**{UNITS[overlap[-1]]: float(Decimal(overlap[:-1]))})


def far_ahead(column: str, through: str) -> str:
    """What people are told of a cursor that lies more than a day after now; a day, for zones and for dates of today."""
    return f"{column} stood at {through} when it was read, after now: what lies below its overlap is not seen"
