"""Names and values as SQL text for Spark and for DuckDB, quoted so that nothing in them is read as SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from lakehouse.errors import DefinitionError

MOMENT = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"
"""How Spark writes a time into JSON, to the microsecond and with its offset."""


@dataclass(frozen=True)
class Text:
    """The same thing in both languages."""

    spark: str
    duckdb: str


def same(text: str) -> Text:
    return Text(text, text)


def joined(pattern: str, *parts: Text) -> Text:
    """The parts put into the pattern's ``{}``."""
    return Text(pattern.format(*(part.spark for part in parts)), pattern.format(*(part.duckdb for part in parts)))


def literal(value: bool | float | Decimal | date | str) -> Text:
    """A value of a rule, typed."""
    if isinstance(value, bool):
        return same(str(value).upper())
    if isinstance(value, Decimal):
        whole, _, fraction = f"{value.copy_abs():f}".partition(".")
        digits = len(whole.lstrip("0")) + len(fraction) or 1
        return same(f"CAST('{value:f}' AS DECIMAL({digits}, {len(fraction)}))")
    if isinstance(value, int | float):
        return number_literal(value)
    return time_literal(value) if isinstance(value, date) else text_literal(value)


def column(name: str) -> Text:
    """A column's name, quoted: whatever stands in it is taken as it is."""
    return Text("`" + name.replace("`", "``") + "`", '"' + name.replace('"', '""') + '"')


def text_literal(text: str) -> Text:
    """A text in quotes. Raises DefinitionError for one that no table can hold (NUL, half of a surrogate pair)."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise DefinitionError(f"{text!r} has a character that no table's text can hold")
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "$\\{")  # that names a setting of Spark's
    return Text(f"'{escaped}'", "'" + text.replace("'", "''") + "'")


def number_literal(number: float) -> Text:
    """An integer of 32 bits or else 64, or a double; never a decimal, which the two compare with a float otherwise."""
    kind = "DOUBLE" if isinstance(number, float) else "INTEGER" if -(2**31) <= number < 2**31 else "BIGINT"
    shown = repr(number).replace("inf", "Infinity")
    return same(f"CAST('{shown}' AS {kind})")


def time_literal(value: date) -> Text:
    """A date, or a moment; one without a time zone is UTC."""
    if not isinstance(value, datetime):
        return same(f"DATE '{value.isoformat()}'")
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    shown = f"'{moment.replace(tzinfo=None).isoformat(' ', 'microseconds')}+00:00'"
    return Text(f"TIMESTAMP {shown}", f"TIMESTAMPTZ {shown}")
