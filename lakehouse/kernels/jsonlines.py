"""JSON objects, one in each of many places of a block of bytes: proved sound by Arrow's parser, all in one pass.

What is proved: each place holds one object of RFC 8259 in UTF-8 and nothing else but white space at line ends, no key
twice in an object, no half of a surrogate pair. What can't be proved this way may be sound all the same, and is for a
parser that looks at one value at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

Places: TypeAlias = npt.NDArray[np.int64]
DEEPEST = 500
"""Objects and arrays inside each other; Spark's parser stops at 1,000, Python's where its stack ends."""
LONGEST_NUMBER = 1_000
"""Characters; Spark's parser stops there."""
LONGEST = 50_000
"""Bytes of an object, and so of a key: Spark's parser stops at longer ones."""
SHORT = min(2 * DEEPEST, LONGEST_NUMBER)
"""Bytes in which nothing can nest too deep, and no number be too long."""
TOGETHER, FEWEST_PLACES, MOST_PLACES = 128 * 2**10, 64, 1024
"""Bytes, and places at first and at most, that are parsed together to learn their keys."""
MANY = 2**20
"""Bytes that are parsed together where the keys are known."""
VALUES, MOST_LEAVES = 250_000, 1_000
"""Values that they have together, nulls included; and keys, inner ones too, above which they are not proved."""
MISSES = 3
"""In a row, and no more is taken for the same as before."""
DIGITS = 300
"""A number that is too long has at least so many digits in a row: before its point, behind it or in its exponent."""


class SoundObjects:
    """Proves blocks one after the other.

    >>> text = b'{"a": 1}\\n{"a": 2, "b": [{"c": null}]}'
    >>> SoundObjects().keys(pa.py_buffer(text), np.array([0, 9]), np.array([8, len(text)]))
    ['a', 'b']
    >>> text = b'{"a": {"b": 1, "b": 2}}'
    >>> SoundObjects().keys(pa.py_buffer(text), np.array([0]), np.array([len(text)])) is None
    True
    """

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._few = FEWEST_PLACES
        """Places that are parsed together to learn which keys there are: the parser makes a column of each key that one
        of them has, so memory is places times keys."""
        self._known = pa.schema([])
        self._width = 0
        """How many values an object of the known keys has."""
        self._repeats = False
        """Whether it has arrays of objects, each of which has as many."""
        self._misses = 0
        """How often in a row what came was not of the known keys and types."""

    def keys(self, block: pa.Buffer, starts: Places, ends: Places) -> list[str] | None:
        """The keys of the objects so far, or None where one of those from ``starts`` to before ``ends`` is not proved.

        Between the places stands a line break each, and nothing else. A key that has values of several types within a
        few hundred places is not proved, nor are objects that have thousands of keys together.
        """
        if not _may_be_objects(block, starts, ends):
            return None
        first = learnt = 0
        objects = inner = np.arange(1, len(starts) + 1)
        while first < len(starts):
            if first >= learnt and self._width and self._misses < MISSES:
                if self._repeats:
                    inner = _objects(block, starts) if inner is objects else inner
                after = self._together(starts, ends, first, inner if self._repeats else objects)
                table = _parsed(block, starts, ends, first, after, self._known) if after > first else None
                if table is not None and all(map(_finite, _leaves(table))):
                    self._misses, first = 0, after
                    continue
                self._misses, learnt = self._misses + 1, max(after, first + 1)  # something among them is new
            after = _up_to(starts, ends, first, TOGETHER, self._few)
            table = _parsed(block, starts, ends, first, after)
            if table is None or not self._learn(table):
                return None
            first = after
        return list(self._names)

    def _together(self, starts: Places, ends: Places, first: int, objects: Places) -> int:
        """The place after those from the first that have few values of known keys; the first itself where they are
        less than what is parsed together anyway."""
        so_far = int(objects[first - 1]) if first else 0
        few = np.searchsorted(objects, so_far + VALUES // self._width, side="right")
        after = int(min(np.searchsorted(ends, starts[first] + MANY, side="right"), few))
        whole = after == len(starts) or (after > first and ends[after - 1] - starts[first] >= TOGETHER)
        return after if whole else first

    def _learn(self, table: pa.Table) -> bool:
        """Remember its keys and their types; whether they are not too many, and their numbers finite."""
        leaves = list(_leaves(table))
        if len(leaves) > MOST_LEAVES or not all(map(_finite, leaves)):
            return False
        self._names.update(dict.fromkeys(table.column_names))
        self._few = max(1, min(MOST_PLACES, 2 * self._few, VALUES // max(1, len(leaves))))
        if self._misses < MISSES:
            try:
                new = pa.schema([(field.name, _wide(field.type)) for field in table.schema])
                self._known = pa.unify_schemas([self._known, new])
            except pa.ArrowException:  # far apart a key may have another type
                self._misses = MISSES
            self._width = sum(map(_width, self._known.types))
            self._repeats = any(map(_repeats, self._known.types))
            if self._width > MOST_LEAVES:
                self._misses = MISSES
        return True


def _up_to(starts: Places, ends: Places, first: int, size: int, places: int) -> int:
    """The place after those from the first that are of so many bytes and places together; at least one."""
    return max(min(int(np.searchsorted(ends, starts[first] + size, side="right")), first + places), first + 1)


def _width(kind: pa.DataType) -> int:
    if pa.types.is_struct(kind):
        return sum(_width(kind.field(place).type) for place in range(kind.num_fields))
    return _width(kind.value_type) if pa.types.is_list(kind) else 1


def _repeats(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_repeats(kind.field(place).type) for place in range(kind.num_fields))
    return bool(pa.types.is_list(kind) and pa.types.is_nested(kind.value_type))


def _objects(block: pa.Buffer, starts: Places) -> Places:
    """How many objects, inner ones too, begin in the places up to each; braces in strings are counted with them."""
    opened = np.frombuffer(block, np.uint8) == ord("{")
    return np.cumsum(np.add.reduceat(opened, starts, dtype=np.int64))


def _wide(kind: pa.DataType) -> pa.DataType:
    """The type that takes each number, or each text, where one was seen."""
    if pa.types.is_struct(kind):
        fields = (kind.field(place) for place in range(kind.num_fields))
        return pa.struct([(field.name, _wide(field.type)) for field in fields])
    if pa.types.is_list(kind):
        return pa.list_(_wide(kind.value_type))
    if pa.types.is_integer(kind):
        return pa.float64()
    return pa.string() if pa.types.is_temporal(kind) else kind


def _may_be_objects(block: pa.Buffer, starts: Places, ends: Places) -> bool:
    """What has to hold so that as many objects as places are one object in each place.

    Each begins and ends with a brace: no object begins where another is open (a bracket, a comma or a quote would stand
    between), and no string goes over a line break.
    """
    bytes_ = np.frombuffer(block, np.uint8)
    lengths = ends - starts
    if not len(starts) or lengths.min() < len("{}") or lengths.max() > LONGEST:
        return False
    if not ((bytes_[starts] == ord("{")).all() and (bytes_[ends - 1] == ord("}")).all()):
        return False
    if not bytes_.all() or not _is_utf8(block):
        return False  # NUL, at which the parser stops
    return bool(lengths.max() < SHORT or _bounded(bytes_, starts))


def _parsed(
    block: pa.Buffer, starts: Places, ends: Places, first: int, after: int, known: pa.Schema | None = None
) -> pa.Table | None:
    """The objects of some places as a table; None where there are not so many, or one has a key that is not known."""
    piece = block.slice(starts[first], ends[after - 1] - starts[first])
    options = json.ReadOptions(use_threads=False, block_size=piece.size + 1)
    kinds = json.ParseOptions(known, unexpected_field_behavior="infer" if known is None else "error")
    try:
        table = json.read_json(pa.BufferReader(piece), read_options=options, parse_options=kinds)
    except pa.ArrowException:
        return None  # no JSON, a key twice, or a key with values of several types
    return table if table.num_rows == after - first else None


def _is_utf8(block: pa.Buffer) -> bool:
    whole = pa.py_buffer(np.array([0, block.size], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, whole, block]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _bounded(bytes_: npt.NDArray[np.uint8], starts: Places) -> bool:
    """Whether nothing nests too deep, and no number is too long."""
    opened = (bytes_ == ord("{")) | (bytes_ == ord("["))
    if np.add.reduceat(opened, starts, dtype=np.int64).max() > DEEPEST:
        return False
    others = np.flatnonzero(bytes_ - np.uint8(ord("0")) > 9)
    return bool(np.diff(others, prepend=-1, append=len(bytes_)).max() <= DIGITS)


def _leaves(table: pa.Table) -> Iterator[pa.Array]:
    """The values of all keys that hold no objects or arrays."""
    for column in table.columns:
        for chunk in column.chunks:
            yield from _below(chunk)


def _below(values: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_struct(values.type):
        for part in values.flatten():
            yield from _below(part)
    elif pa.types.is_list(values.type):
        yield from _below(values.flatten())
    else:
        yield values


def _finite(values: pa.Array) -> bool:
    """Whether no number is NaN or infinite, which Arrow's parser takes and RFC 8259 has no word for."""
    return not pa.types.is_floating(values.type) or pc.all(pc.is_finite(values)).as_py() is not False
