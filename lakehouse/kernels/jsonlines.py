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
"""Bytes, and places at first and at most, that are parsed together."""
VALUES, MOST_LEAVES = 250_000, 1_000
"""Values that they have together, nulls included; and keys, inner ones too, above which they are not proved."""
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
        self._together = FEWEST_PLACES
        """Places that are parsed together. The parser makes a column of each key that one of them has: memory is
        places times keys, and how many keys there are is known from the places before."""

    def keys(self, block: pa.Buffer, starts: Places, ends: Places) -> list[str] | None:
        """The keys of the objects from ``starts`` to before ``ends``, or None where one of these is not proved.

        Between the places stands a line break each, and nothing else. A key that has values of several types within a
        few hundred places is not proved, nor are objects that have thousands of keys together.
        """
        if not _may_be_objects(block, starts, ends):
            return None
        keys: dict[str, None] = {}
        first = 0
        while first < len(starts):
            after = min(int(np.searchsorted(ends, starts[first] + TOGETHER, side="right")), first + self._together)
            after = max(after, first + 1)
            table = _parsed(block.slice(starts[first], ends[after - 1] - starts[first]))
            if table is None or table.num_rows != after - first:
                return None
            leaves = [leaf for column in table.columns for chunk in column.chunks for leaf in _leaves(chunk)]
            if len(leaves) > MOST_LEAVES or not all(map(_finite, leaves)):
                return None
            keys.update(dict.fromkeys(table.column_names))
            first, self._together = after, min(MOST_PLACES, 2 * self._together, VALUES // max(1, len(leaves)))
        return list(keys)


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


def _parsed(piece: pa.Buffer) -> pa.Table | None:
    options = json.ReadOptions(use_threads=False, block_size=piece.size + 1)
    try:
        return json.read_json(pa.BufferReader(piece), read_options=options)
    except pa.ArrowException:
        return None  # no JSON, a key twice, or a key with values of several types


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


def _leaves(values: pa.Array) -> Iterator[pa.Array]:
    """The values of all keys that hold no objects or arrays."""
    if pa.types.is_struct(values.type):
        for part in values.flatten():
            yield from _leaves(part)
    elif pa.types.is_list(values.type):
        yield from _leaves(values.flatten())
    else:
        yield values


def _finite(values: pa.Array) -> bool:
    """Whether no number is NaN or infinite, which Arrow's parser takes and RFC 8259 has no word for."""
    return not pa.types.is_floating(values.type) or pc.all(pc.is_finite(values)).as_py() is not False
