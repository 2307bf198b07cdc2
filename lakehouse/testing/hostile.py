"""Hostile values of each type of a column."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lakehouse.kernels.aggregations import Aggregations
from lakehouse.testing.columns import Known, conditions_of

NUMBER = re.compile(r"(?<![\w.'])\d+(?:\.\d+)?(?![\w'])")
TEXT = re.compile(r"'((?:[^']|'')*)'")
EDGES = [0.1, 0.2, 0.30000000000000004, -0.7, 3.0, -2.0, 0.0, -0.0]
CANCEL = [1e16, -1e16, 1.0, 0.1, 1e300, -1e300, 1e-300, 5e-324, 2.0**53, 1e15]
ODD = [[math.nan], [math.inf, -math.inf], [math.nan, math.inf, -math.inf, 1.5e308]]
TEXTS = ["", "a", "é", "two words", "a" * 70, "\U0001f600", "z"]
TIME = datetime(2026, 3, 29, 1, tzinfo=UTC)
MOST_INT = 2**55
"""So that no sum of a stream is beyond 64 bits: that is an error, and not what is tried here."""
SKEW = [60, 20, 8, 5, 3, 2]


class Values:
    """Draws a value of each column; what a condition compares it with, and what it has had, are among them."""

    def __init__(self, told: Aggregations, known: Known, draw: random.Random) -> None:
        self.draw, self.known = draw, known
        self.keys = {*told.keys}
        texts = conditions_of(told)
        self.numbers = [float(one) for sql in texts for one in NUMBER.findall(sql)]
        self.texts = [one.replace("''", "'") for sql in texts for one in TEXT.findall(sql)]
        self.times = [time for text in self.texts if (time := _as_time(text)) is not None]
        # Of odd values few, and not in every column: a sum with a NaN shows no other mistake.
        self.odd = {name: draw.choice([0, 0.05, 0.05, 0.2]) for name in known.schema.names}
        self.odd_ones = {name: draw.choice(ODD) for name in known.schema.names}
        self.null = {name: draw.choice([0.05, 0.1, 0.4]) for name in known.schema.names}
        self.few = {name: draw.choice([0, 0, 0.8]) for name in known.schema.names}
        self.cancel = {name: draw.choice([0, 0.1, 0.7]) for name in known.schema.names}
        self.pools = {name: self._pool(known.schema.field(name).type, known.seen[name]) for name in told.keys}

    def value(self, name: str) -> Any:
        if name in self.keys:
            pool = self.pools[name]
            return self.draw.choices(pool, SKEW[: len(pool)])[0]
        if self.draw.random() < self.null[name]:
            return None
        seen = self.known.seen[name]
        if seen and self.draw.random() < 0.4:
            found = self.draw.choice(seen)
            return max(min(found, MOST_INT), -MOST_INT) if isinstance(found, int) else found
        return _maker(self.known.schema.field(name).type)(self, name)

    def _pool(self, kind: pa.DataType, seen: tuple[Any, ...]) -> list[Any]:
        """A few values of a key; the first is in most rows."""
        if pa.types.is_boolean(kind):
            return [True, False, None]
        found: list[Any] = [one for one in dict.fromkeys(seen) if one is not None][:4]
        self.draw.shuffle(found)
        while len(found) < 4:
            found += [one for one in [self._key(kind)] if one not in found]
        return [*found, None]

    def _key(self, kind: pa.DataType) -> Any:
        if _is_text(kind):
            return self.draw.choice(["a", "b", "", "A", "é", "1", "11", *self.texts])
        return _maker(kind)(self, "")

    def double(self, name: str) -> float:
        way = self.draw.random()
        if way < self.odd[name]:
            return self.draw.choice(self.odd_ones[name])
        if way < self.few[name]:
            return self.draw.choice([0.0, 0.0, 1.0])
        if way < self.cancel[name]:
            return self.draw.choice(CANCEL)
        return self.draw.choice([*EDGES, *self._beside(), self.draw.uniform(-9, 9)])

    def _beside(self) -> list[float]:
        return [near for one in self.numbers for near in (one, one + 1, -one)]


def _maker(kind: pa.DataType) -> Callable[[Values, str], Any]:
    """What makes a value of a type that is not null."""
    for fits, make in _MAKERS:
        if fits(kind):
            return lambda values, name: make(values, name, kind)
    return lambda values, name: None


def _as_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _double(values: Values, name: str, kind: pa.DataType) -> float:
    found = values.double(name) if name else values.draw.choice([0.5, 1.0, -2.0, 1e9, math.inf, 3.25])
    if kind == pa.float64() or not math.isfinite(found):
        return found
    limit = 6e4 if kind == pa.float16() else 3e38
    return max(min(found, limit), -limit)


def _integer(values: Values, name: str, kind: pa.DataType) -> int:
    signed = pa.types.is_signed_integer(kind)
    most = min(2 ** (kind.bit_width - signed) - 1, MOST_INT)
    least = -most - 1 if signed and most < MOST_INT else -most if signed else 0
    near = [int(one) for one in values._beside()]
    found = values.draw.choice([0, 1, 2, 3, -7, values.draw.randint(-99, 99), most, least, *near])
    return int(max(min(found, most), least))


def _decimal(values: Values, name: str, kind: pa.DataType) -> Decimal:
    most = 10 ** min(kind.precision, 15) - 1
    near = [int(one * 10**kind.scale) for one in values._beside()]
    units = values.draw.choice([0, 1, -1, 10, values.draw.randint(-9999, 9999), most, *near])
    return Decimal(max(min(units, most), -most)).scaleb(-kind.scale)


def _text(values: Values, name: str, kind: pa.DataType) -> str:
    texts: list[str] = [*TEXTS, *values.texts]
    return values.draw.choice(texts)


def _bytes(values: Values, name: str, kind: pa.DataType) -> bytes:
    return values.draw.choice([b"", b"\x00", b"a", b"\xff\xfe", b"a" * 70])


def _time(values: Values, name: str, kind: pa.DataType) -> datetime:
    apart = values.draw.choice([0, 1, -1, 3_600_000_000, values.draw.randint(0, 10**14)])
    time = values.draw.choice([TIME, *values.times]) + timedelta(microseconds=apart)
    return time if kind.tz is not None else time.replace(tzinfo=None)


def _date(values: Values, name: str, kind: pa.DataType) -> date:
    return values.draw.choice([TIME, *values.times]).date() + timedelta(days=values.draw.randint(-3, 3))


def _truth(values: Values, name: str, kind: pa.DataType) -> bool:
    return values.draw.random() < 0.5


def _nested(values: Values, name: str, kind: pa.DataType) -> Any:
    return dict.fromkeys(field.name for field in kind) if pa.types.is_struct(kind) else []


_MAKERS: list[tuple[Callable[[pa.DataType], bool], Callable[[Values, str, pa.DataType], Any]]] = [
    (pa.types.is_floating, _double),
    (pa.types.is_integer, _integer),
    (pa.types.is_decimal, _decimal),
    (_is_text, _text),
    (_is_bytes, _bytes),
    (pa.types.is_timestamp, _time),
    (pa.types.is_date, _date),
    (pa.types.is_boolean, _truth),
    (pa.types.is_nested, _nested),
]
