"""What windows come to as time goes on, as bytes: all that serving needs of one key's tiles.

A window that ends now holds every tile from its start on, for what was published has nothing later. So for each hop the
tiles' beginnings are kept, and for each of them what it and all later ones come to: a window slides by looking up the
first tile that it still holds. What is kept is made by the kernel that training uses; looking up rounds nothing.

Little-endian: ``ends``, a u32 for each part, then the parts (see :attr:`Plan.places`). A part is one byte, the code of
:mod:`struct` that its numbers have, and the numbers; or just the bytes of texts, one after another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import HOP, START, Aggregation, Aggregations
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.partials import Side, evaluate, numbers_of, rounded_sum
from lakehouse.kernels.tiles import items_of, tile_schema
from lakehouse.kernels.windows import SECOND, Held, counted

CODES = ("b", "h", "i", "q", "d")
SIZES = np.array([np.dtype(code).itemsize for code in CODES])
DOUBLE = len(CODES) - 1
EXACT = 2.0**53
TOTAL = "total"
"""The sum as a double, rounded once: what means and rates are made of."""
Bytes = npt.NDArray[np.uint8]


class Field(NamedTuple):
    """Values that several features may share: a kind of one measure, for the tiles of one hop."""

    hop_s: int
    """In seconds; below 0 of features without a window: one value, of all tiles of that hop."""
    kind: str
    measure: str
    most: int


@dataclass(frozen=True)
class Plan:
    """Which parts the bytes have. ``kinds`` are those of the measures' values: i, d, b (truth), t (time), s, y."""

    told: Aggregations
    kinds: dict[str, str]

    @staticmethod
    def of(told: Aggregations, types: dict[str, pa.DataType]) -> Plan:
        return Plan(told, {one.name: _kind_of(types[one.name]) for one in told.measures})

    @property
    def text(self) -> str:
        return json.dumps([self.told.text, self.kinds], sort_keys=True)

    @staticmethod
    def of_text(text: str) -> Plan:
        told, kinds = json.loads(text)
        return Plan(Aggregations.of_text(told), kinds)

    def needed(self, one: Aggregation) -> tuple[Field, ...]:
        """The fields that a feature is made of."""
        hop_s = -one.hop_s if one.over_s is None else one.hop_s
        kinds: tuple[str, ...] = (one.kind,)
        if one.kind in ("mean", "rate"):
            kinds = ("count", TOTAL)
        elif one.kind == "sum":
            kinds = ("count", TOTAL if self.kinds[one.measure] == "d" else "sum")
        return tuple(Field(hop_s, kind, one.measure, one.most) for kind in kinds)

    @cached_property
    def fields(self) -> dict[int, tuple[Field, ...]]:
        """Those of each hop."""
        found = dict.fromkeys(field for one in self.told.features for field in self.needed(one))
        return {hop_s: tuple(one for one in found if one.hop_s == hop_s) for hop_s in sorted({one[0] for one in found})}

    @cached_property
    def places(self) -> dict[Field | int, int]:
        """The number of the first part of each field, and of each hop's beginnings."""
        found: dict[Field | int, int] = {}
        at = 0
        for hop_s, fields in self.fields.items():
            if hop_s > 0:
                found[hop_s] = at
                at += 2
            for field in fields:
                found[field] = at
                at += self.width(field)
        found[0] = at
        return found

    def width(self, field: Field) -> int:
        """How many parts a field has."""
        if field.kind in ("count", "sum", TOTAL):
            return 1
        return 3 + (self.value_kind(field) in "sy")

    def feature_kind(self, one: Aggregation) -> str:
        """The kind of a feature's values; of ``last_n`` that of each."""
        if one.kind == "count":
            return "i"
        if one.kind in ("mean", "rate", "variance"):
            return "d"
        kind = self.kinds[one.measure]
        return "i" if one.kind == "sum" and kind == "b" else kind

    def value_kind(self, field: Field) -> str:
        return "d" if field.kind == "variance" else self.kinds[field.measure]


def slides(plan: Plan, tiles: pa.Table, codes: Ints, at: Ints, types: dict[str, pa.DataType]) -> list[bytes | None]:
    """The bytes of each key, or None where no window reaches anything.

    ``codes`` are the tiles' keys, from 0 to below ``len(at)``; ``at`` is for each key the time (microseconds) that all
    its tiles are before, and from which on it will be asked.
    """
    packed, there = _slides(plan, tiles, codes, at, types)
    return [one if known else None for one, known in zip(packed, there.tolist(), strict=True)]


def _slides(
    plan: Plan, tiles: pa.Table, codes: Ints, at: Ints, types: dict[str, pa.DataType]
) -> tuple[list[bytes], npt.NDArray[np.bool_]]:
    keys = len(at)
    parts: list[pa.LargeBinaryArray] = []
    there = np.zeros(keys, np.bool_)
    hops = tiles.column(HOP).to_numpy()
    starts = tiles.column(START).cast(pa.int64()).to_numpy()
    for hop_s, fields in plan.fields.items():
        features = tuple(one for one in plan.told.features if {*plan.needed(one)} & {*fields})
        told = replace(plan.told, features=features)
        own = abs(hop_s)
        rows = np.flatnonzero(hops == own)
        if hop_s > 0:
            longest = max(told.spans, key=lambda span: span.length or 0)
            rows = rows[starts[rows] >= longest.start(at)[codes[rows]]]
        rows = rows[np.lexsort((starts[rows], codes[rows]))]
        sizes = np.bincount(codes[rows], minlength=keys)
        ends = np.cumsum(sizes)
        items = items_of(tiles.take(pa.array(rows)), told, own, types)
        there |= sizes > 0
        if hop_s < 0:
            held, counts = Held(ends - sizes, ends), np.ones(keys, np.int64)
        else:
            held, counts = Held(np.arange(len(rows)), np.repeat(ends, sizes)), sizes
            number = starts[rows] // (own * SECOND)
            first = np.zeros(keys, np.int64)
            first[sizes > 0] = number[(ends - sizes)[sizes > 0]]
            parts.append(_numbers(first, np.ones(keys, np.int64)))
            parts.append(_numbers(number - np.repeat(first, sizes), sizes))
        for field in fields:
            users = [one for one in told.features if field in plan.needed(one)]
            asked = [one.span for one in users]
            reached = np.ones(len(held.first), np.bool_)
            if hop_s > 0:  # else a sum that nobody can ask for might be too large
                reached = starts[rows] >= max(asked, key=lambda span: span.length or 0).start(at)[codes[rows]]
            name = "', '".join(one.name for one in users)
            parts += _parts(plan, field, name, [(items, held)], counts, reached)
    return _joined(parts, keys), there


def nothing(plan: Plan, types: dict[str, pa.DataType]) -> bytes:
    """The bytes of a key that no window holds anything of; ``types`` has those of the keys too."""
    empty = tile_schema(plan.told, types).empty_table()
    return _slides(plan, empty, np.empty(0, np.int64), np.zeros(1, np.int64), types)[0][0]


def _parts(
    plan: Plan, field: Field, name: str, sides: list[Side], counts: Ints, reached: npt.NDArray[np.bool_]
) -> Iterator[pa.LargeBinaryArray]:
    if field.kind == TOTAL:
        yield _numbers(rounded_sum(field.measure, sides), counts)
        return
    one = Aggregation(name, field.kind, field.measure, None, 1, field.most)  # type: ignore[arg-type]
    if field.kind in ("count", "sum"):
        values = evaluate(one, [(items, held.take(np.flatnonzero(reached))) for items, held in sides])
        whole = np.zeros(len(reached), np.int64)
        whole[reached] = numbers_of(values)
        yield _numbers(whole, counts)
        return
    values = evaluate(one, sides)
    # A value that stays the same from one tile to the next stands once.
    key = np.repeat(np.arange(len(counts)), counts)
    changed = np.append(True, (key[1:] != key[:-1]) | _differ(values))[: len(values)]
    runs = np.flatnonzero(changed)
    sizes = np.bincount(key[runs], minlength=len(counts))
    yield _numbers(runs - (np.cumsum(counts) - counts)[key[runs]], sizes)
    kept = values.take(pa.array(runs))
    if field.kind == "last_n":
        lengths = pc.list_value_length(kept).to_numpy()
        yield _numbers(lengths, sizes)
        kept, sizes = pc.list_flatten(kept), _sums(lengths, sizes)
    else:
        yield _numbers(np.asarray(pc.is_valid(kept).to_numpy(zero_copy_only=False)).astype(np.int64), sizes)
    if plan.value_kind(field) in "sy":
        texts = pc.fill_null(kept.cast(pa.large_binary()), b"")
        lengths = pc.binary_length(texts).to_numpy()
        yield _numbers(lengths, sizes)
        yield _texts(texts, _sums(lengths, sizes))
    elif pa.types.is_floating(kept.type):
        yield _numbers(pc.fill_null(kept, 0.0).to_numpy(zero_copy_only=False), sizes)
    else:
        yield _numbers(numbers_of(kept), sizes)


def _differ(values: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether each value but the first is another than the one before."""
    if len(values) < 2:
        return np.empty(0, np.bool_)
    if pa.types.is_nested(values.type):
        texts = values.to_pylist()
        return np.array([repr(one) != repr(other) for one, other in zip(texts[1:], texts[:-1], strict=True)], np.bool_)
    if pa.types.is_floating(values.type):  # by their bits: of two zeros each stays what it is
        bits = pc.fill_null(values, 0.0).to_numpy(zero_copy_only=False).view(np.int64)
        null = np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False), np.bool_)
        return np.asarray((bits[1:] != bits[:-1]) | (null[1:] != null[:-1]), np.bool_)
    coded = pc.dictionary_encode(values, null_encoding="encode").indices.to_numpy()
    return np.asarray(coded[1:] != coded[:-1], np.bool_)


def _sums(values: Ints, sizes: Ints) -> Ints:
    before = np.concatenate([[0], np.cumsum(values.astype(np.int64))])
    ends = np.cumsum(sizes)
    return np.asarray(before[ends] - before[ends - sizes], np.int64)


def _numbers(values: npt.NDArray[Any], sizes: Ints) -> pa.LargeBinaryArray:
    """A part of each key: as narrow as its numbers allow; doubles that are whole numbers are kept as such."""
    keys = len(sizes)
    key = np.repeat(np.arange(keys), sizes)
    width = np.zeros(keys, np.int64)
    whole = values
    if values.dtype.kind == "f":
        fits = (np.abs(values) < EXACT) & (values == np.trunc(values)) & ~((values == 0) & np.signbit(values))
        whole = np.where(fits, values, 0).astype(np.int64)
        np.maximum.at(width, key[~fits], DOUBLE)
    for number in range(1, DOUBLE):
        limit = np.iinfo(CODES[number - 1])
        np.maximum.at(width, key[(whole < limit.min) | (whole > limit.max)], number)
    lengths = 1 + SIZES[width] * sizes
    ends = np.cumsum(lengths)
    out = np.empty(int(ends[-1]) if keys else 0, np.uint8)
    begins = ends - lengths
    out[begins] = np.frombuffer("".join(CODES).encode(), np.uint8)[width]
    within = counted(sizes)
    for number, code in enumerate(CODES):
        mine = np.flatnonzero(width[key] == number)
        if len(mine):
            size = int(SIZES[number])
            own = (values if number == DOUBLE else whole)[mine].astype("<" + code)
            at = begins[key[mine]] + 1 + within[mine] * size
            out[at[:, np.newaxis] + np.arange(size)] = own.view(np.uint8).reshape(len(mine), size)
    return _binary(out, ends)


def _texts(texts: pa.Array, lengths: Ints) -> pa.LargeBinaryArray:
    whole = b"".join(texts.to_pylist())
    return _binary(np.frombuffer(whole, np.uint8), np.cumsum(lengths))


def _binary(data: Bytes, ends: Ints) -> pa.LargeBinaryArray:
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    return pa.Array.from_buffers(
        pa.large_binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    )


def _joined(parts: list[pa.LargeBinaryArray], keys: int) -> list[bytes]:
    lengths = np.stack([pc.binary_length(one).to_numpy() for one in parts]).astype(np.int64)
    ends = np.ascontiguousarray(np.cumsum(lengths, axis=0).T.astype("<u4"))
    head = pa.FixedSizeBinaryArray.from_buffers(pa.binary(4 * len(parts)), keys, [None, pa.py_buffer(ends)])
    found: list[bytes] = pc.binary_join_element_wise(
        head.cast(pa.large_binary()), *parts, pa.scalar(b"", pa.large_binary())
    ).to_pylist()
    return found


def _kind_of(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "b"
    if pa.types.is_timestamp(kind):
        return "t"
    if pa.types.is_floating(kind):
        return "d"
    return "i" if pa.types.is_integer(kind) else "y" if pa.types.is_binary(kind) else "s"
