"""Casts that lose nothing: a value that another type can't hold exactly is told apart, never bent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakehouse.delta.reading import EXACT

if TYPE_CHECKING:
    from pyspark.sql import Column

WIDER = {
    "tinyint": ("smallint", "int", "bigint", "double"),
    "smallint": ("int", "bigint", "double"),
    "int": ("bigint", "double"),
    "float": ("double",),
    "date": ("timestamp_ntz",),
}
"""What each type fits into, whatever the value."""
NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")
TIMES = ("date", "timestamp", "timestamp_ntz")
NESTED = ("struct<", "array<", "map<")
FLOATING = ("float", "double")
_TEXTS = {
    "boolean": r"(?i)^(true|false)\z",
    "date": r"^\d{4}-\d{2}-\d{2}\z",
    # A time of day alone would become a time of today, and more digits than Spark keeps would be cut.
    "timestamp": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?\z",
    "timestamp_ntz": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?)?\z",
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), r"^[+-]?\d+\z"),
    **dict.fromkeys(FLOATING, r"^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|-?Infinity)\z"),
}

_NOT_ZERO = r"^[+-]?[0.]*[1-9]"


def widens(kind: str, into: str) -> bool:
    """Whether every value of one type is one of the other.

    >>> widens("int", "bigint"), widens("bigint", "int"), widens("decimal(9,2)", "decimal(18,2)")
    (True, False, True)
    """
    if into in WIDER.get(kind, ()):
        return True
    one, other = (re.fullmatch(r"decimal\((\d+),(\d+)\)", name) for name in (kind, into))
    if one is None or other is None:
        return False
    (precision, scale), (room, places) = (tuple(map(int, found.groups())) for found in (one, other))
    return places >= scale and room - places >= precision - scale


def exactly(value: Column, kind: str, into: str) -> Column:
    """The value as the other type, or null where that can't hold it exactly. A text may be any usual way to write it;
    a double is the nearest one, where it is near any."""
    from pyspark.sql import functions as F

    if not _comparable(kind, into):
        return F.lit(None).cast(into)
    cast = value.try_cast(into)
    if kind == "string" and into == "binary":
        return cast
    if kind == "string":
        sound = F.when(value.rlike(_pattern(into)), cast)
        return F.when(_in_reach(value, cast), sound) if into in FLOATING else sound
    if into == "string":
        return as_text(value, kind)
    same = cast.try_cast(kind).eqNullSafe(value)
    if "bigint" in (kind, into) and (kind in FLOATING or into in FLOATING):
        # 2^63 is cast to the largest bigint, which is one less, and that one to 2^63.
        same &= (cast if into in FLOATING else value) < F.lit(2.0**63)
    return F.when(same, cast)


def _in_reach(text: Column, cast: Column) -> Column:
    """Whether a text's number is neither too large nor too small to have a nearest one: such become infinite or 0."""
    from pyspark.sql import functions as F

    endless = F.abs(cast) == F.lit(float("inf"))
    return F.when(endless, text.endswith("Infinity")).otherwise((cast != 0) | ~text.rlike(_NOT_ZERO))


def as_text(value: Column, kind: str) -> Column:
    """A value of any type as text: nested ones as JSON, bytes in base64."""
    from pyspark.sql import functions as F

    if kind.startswith(NESTED):
        return F.to_json(value, EXACT)
    return F.base64(value) if kind == "binary" else value.cast("string")


def _comparable(kind: str, into: str) -> bool:
    """Whether a value of one type may be one of the other at all: numbers, times, and what texts say or can be."""
    if kind == "string" and into != "string":
        return into == "binary" or bool(_pattern(into))
    return into == "string" or _family(kind) == _family(into) != ""


def _family(kind: str) -> str:
    name = kind.partition("(")[0]
    return "number" if name in NUMBERS else "time" if name in TIMES else ""


def _pattern(into: str) -> str:
    scale = re.fullmatch(r"decimal\(\d+,(\d+)\)", into)
    if scale is not None:
        return (
            rf"^[+-]?(\d+(\.\d{{0,{scale[1]}}}0*)?|\.\d{{1,{scale[1]}}}0*)\z"
            if scale[1] != "0"
            else r"^[+-]?\d+(\.0*)?\z"
        )
    return _TEXTS.get(into, "")
