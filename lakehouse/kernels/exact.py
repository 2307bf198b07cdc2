"""Sums that are exact: whatever the order and the grouping of the rows, the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakehouse.kernels.keys import Ints

Doubles = npt.NDArray[np.float64]
BITS = 32
_MASK = np.int64(2**BITS - 1)
_BLOCK = 16_384
"""Rows that are taken apart at a time, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Exact:
    """One exact number a row: the sum of ``limbs[k] * 2**(32 * (low + k))`` over k.

    The grid is the same for all numbers, so numbers of different sets are added limb by limb. A limb of a row is below
    2**32 in size, one of a sum of n rows below n * 2**32: up to 2**31 rows nothing overflows. What is no number is
    counted beside them.
    """

    low: int
    limbs: Ints
    """(limbs, rows)."""
    odd: Ints
    """(3, rows): how many NaN, +infinity and -infinity were summed; (0, rows) where there is none in the set."""

    def __len__(self) -> int:
        return int(self.limbs.shape[1])

    @staticmethod
    def of(values: Doubles | Ints, counts: npt.NDArray[np.bool_] | None = None) -> Exact:
        """Doubles or whole numbers, a row each; 0 where ``counts`` is false.

        >>> Exact.of(np.array([1e16, 1.0, -1e16])).total().rounded()
        array([1.])
        """
        if values.dtype.kind in "iu":
            whole = values.astype(np.int64) if counts is None else np.where(counts, values, 0).astype(np.int64)
            return _of_whole(whole, np.empty((0, len(values)), np.int64))
        doubles = np.asarray(values, np.float64)
        if counts is not None:
            doubles = np.where(counts, doubles, 0.0)
        odd = np.empty((0, len(doubles)), np.int64)
        finite = np.isfinite(doubles)
        if not finite.all():
            odd = np.stack([np.isnan(doubles), np.isposinf(doubles), np.isneginf(doubles)]).astype(np.int64)
            doubles = np.where(finite, doubles, 0.0)
        return _of_doubles(doubles, odd)

    def take(self, rows: Ints) -> Exact:
        return Exact(self.low, self.limbs[:, rows], self.odd[:, rows])

    def total(self) -> Exact:
        """One row: the sum of all."""
        return Exact(self.low, self.limbs.sum(axis=1, keepdims=True), self.odd.sum(axis=1, keepdims=True)).carried()

    def groups(self, starts: Ints) -> Exact:
        """The sums of the runs of rows that begin at ``starts``, ascending from 0."""
        if not len(starts):
            return self.take(starts)
        return Exact(
            self.low, np.add.reduceat(self.limbs, starts, axis=1), np.add.reduceat(self.odd, starts, axis=1)
        ).carried()

    def between(self, first: Ints, after: Ints) -> Exact:
        """The sums of the rows from ``first`` to before ``after``; ranges may overlap."""
        limbs = np.empty((len(self.limbs), len(first)), np.int64)
        odd = np.empty((len(self.odd), len(first)), np.int64)
        running = np.zeros(len(self) + 1, np.int64)
        for source, target in ((self.limbs, limbs), (self.odd, odd)):
            for one, out in zip(source, target, strict=True):
                np.cumsum(one, out=running[1:])
                np.subtract(running[after], running[first], out=out)
        return Exact(self.low, limbs, odd)

    def plus(self, other: Exact) -> Exact:
        """Row by row."""
        low = min(self.low, other.low)
        high = max(one.low + len(one.limbs) for one in (self, other))
        limbs = np.zeros((high - low, len(self)), np.int64)
        for one in (self, other):
            limbs[one.low - low : one.low - low + len(one.limbs)] += one.limbs
        odd = self.odd + other.odd if len(self.odd) and len(other.odd) else max(self.odd, other.odd, key=len)
        return Exact(low, limbs, odd).carried()

    def square(self) -> Exact:
        """Each row's square, of finite numbers; a row that is none stays none (an infinity is positive then)."""
        parts = self.magnitude()[1]
        count = len(parts)
        sums = [np.zeros(len(self), np.int64) for _ in range(2 * count + 1)]
        for left in range(count):
            for right in range(left, count):
                product = parts[left].astype(np.uint64) * parts[right].astype(np.uint64)
                times = 1 if left == right else 2
                sums[left + right] += (product & np.uint64(_MASK)).astype(np.int64) * times
                sums[left + right + 1] += (product >> np.uint64(BITS)).astype(np.int64) * times
        odd = self.odd
        if len(odd):
            odd = np.stack([odd[0], odd[1] + odd[2], np.zeros_like(odd[2])])
        return _trimmed(2 * self.low, sums, odd).carried()

    def rounded(self) -> Doubles:
        """The nearest double, ties to even: of the exact sum, rounded once. An infinity where it is too large."""
        found = self._of_few_bits()
        if found is None:
            found = self._of_many_bits()
        if len(self.odd):
            nan, up, down = self.odd > 0
            found = np.where(up, np.inf, np.where(down, -np.inf, found))
            found = np.where(nan | (up & down), np.nan, found)
        return found

    def _of_few_bits(self) -> Doubles | None:
        """As :meth:`rounded`, of at most three limbs: all but the last addition is without an error. None where a
        number has more bits than that needs, or is so small or large that its scale would round it again."""
        rooms = (2**52, 2**52, 2**20)
        if len(self.limbs) > len(rooms) or not -900 <= BITS * self.low <= 800:
            return None
        if not all(map(_within, self.limbs, rooms)):
            return None
        found = self.limbs[-1].astype(np.float64)
        for limb in self.limbs[-2::-1]:
            found *= 2.0**BITS
            found += limb
        found *= 2.0 ** (BITS * self.low)
        return np.asarray(found, np.float64)

    def _of_many_bits(self) -> Doubles:
        negative, parts = self.magnitude()
        while len(parts) > 3 and not parts[-1].any():
            parts.pop()
        if len(parts) > 3:
            found = _by_one(parts, self.low)
        else:
            while len(parts) < 3:
                parts.append(np.zeros(len(self), np.int64))
            found = _nearest(parts[0], parts[1], parts[2], self.low)
        return np.where(negative, -found, found)

    def whole(self) -> list[int]:
        """Each row as a Python number, times ``2**(-32 * low)``; of finite rows."""
        found = np.zeros(len(self), object)
        for limb in self.limbs[::-1]:
            found = found * 2**BITS + limb.astype(object)
        return list(found)

    def carried(self) -> Exact:
        """The same numbers, one way of writing each: limbs from 0 to below 2**32, the last one signed."""
        limbs = [one.copy() for one in self.limbs]
        for spot in range(len(limbs)):
            carry = limbs[spot] >> np.int64(BITS)
            if not carry.any():
                continue
            if spot + 1 == len(limbs):
                if not (carry + (carry < 0)).any():
                    break  # a last limb of 32 bits and a sign
                limbs.append(np.zeros(len(self), np.int64))
            limbs[spot] &= _MASK
            limbs[spot + 1] += carry
        return Exact(self.low, np.stack(limbs) if limbs else self.limbs, self.odd)

    def magnitude(self) -> tuple[npt.NDArray[np.bool_], list[Ints]]:
        """Which rows are negative, and the limbs of each without its sign, from 0 to below 2**32."""
        parts = [*self.carried().limbs]  # so that the last limb has the sign
        negative = parts[-1] < 0 if parts else np.zeros(len(self), np.bool_)
        carry = np.zeros(len(self), np.int64)
        found = []
        for part in [*parts, np.zeros(len(self), np.int64)]:
            one = np.where(negative, -part, part) + carry
            carry = one >> np.int64(BITS)
            found.append(one & _MASK)
        return negative, found


def _within(numbers: Ints, room: int) -> bool:
    """Whether all of the numbers are below ``room`` in size."""
    return not len(numbers) or bool(numbers.min() > -room and numbers.max() < room)


def _of_doubles(doubles: Doubles, odd: Ints) -> Exact:
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(doubles), _BLOCK)]
    if all(map(_is_whole, map(doubles.__getitem__, blocks))):
        return _of_whole(doubles.astype(np.int64), odd)
    least, most = 2**11, 0
    for here in blocks:
        there = _exponents(doubles[here])[doubles[here] != 0.0]
        least, most = min(least, int(there.min(initial=least))), max(most, int(there.max(initial=most)))
    # A double is its mantissa times 2**(exponent - 1075): the limb -34 holds the least one.
    low, high = (((max(one, 1) - 1075) >> 5) for one in (least, most))
    limbs = np.zeros((high - low + 3, len(doubles)), np.int64)
    for here in blocks:
        _split(doubles[here], low, limbs[:, here])
    return _trimmed(low, limbs, odd)


def _is_whole(doubles: Doubles) -> bool:
    return bool((np.abs(doubles) < 2.0**62).all() and (np.trunc(doubles) == doubles).all())


def _exponents(doubles: Doubles) -> Ints:
    return (doubles.view(np.int64) >> np.int64(52)) & np.int64(0x7FF)


def _split(doubles: Doubles, low: int, limbs: Ints) -> None:
    """Write the limbs of some doubles, of which the lowest is ``low``; what is 0 for all is not written."""
    bits, exponents = doubles.view(np.int64), _exponents(doubles)
    size = (bits & np.int64(2**52 - 1)) + ((exponents > 0).astype(np.int64) << np.int64(52))
    exponents = np.maximum(exponents, 1) - 1075
    place, shift = (exponents >> np.int64(5)) - low, exponents & np.int64(31)
    first = (size & _MASK) << shift
    second = ((size >> np.int64(BITS)) << shift) + (first >> np.int64(BITS))
    sign = (bits >> np.int64(63)) | np.int64(1)
    pieces = [(first & _MASK) * sign, (second & _MASK) * sign, (second >> np.int64(BITS)) * sign]
    for spot in range(len(limbs) - 2):
        here = place == spot
        for step, piece in enumerate(pieces):
            some = np.where(here, piece, 0)
            if some.any():
                limbs[spot + step] += some


def _of_whole(whole: Ints, odd: Ints) -> Exact:
    if ((whole >= -(2**31)) & (whole < 2**31)).all():
        return Exact(0, whole[np.newaxis], odd)
    return _trimmed(0, [whole & _MASK, whole >> np.int64(BITS)], odd)


def _trimmed(low: int, limbs: Sequence[Ints] | Ints, odd: Ints) -> Exact:
    """Without limbs that are 0 in all rows, at both ends; one is left."""
    first, after = 0, len(limbs)
    while after > 1 and not limbs[after - 1].any():
        after -= 1
    while first < after - 1 and not limbs[first].any():
        first += 1
    return Exact(low + first, np.asarray(limbs[first:after]), odd)


def _nearest(bottom: Ints, middle: Ints, top: Ints, low: int) -> Doubles:
    """Three limbs without a sign, as the nearest double: 63 bits of them, the last one set where any below is."""
    high = (top << np.int64(BITS)) + middle
    huge = top >> np.int64(31) != 0
    shift = np.select([high < 2**31, high < 2**39, high < 2**47, high < 2**55], [32, 24, 16, 8], 0).astype(np.int64)
    below = bottom & ((np.int64(1) << (np.int64(BITS) - shift)) - 1)
    bits = (high << shift) | (bottom >> (np.int64(BITS) - shift)) | (below != 0)
    with np.errstate(over="ignore"):
        found = np.ldexp(bits.astype(np.float64), BITS * low + BITS - shift)
    if huge.any():
        found[huge] = _by_one([bottom[huge], middle[huge], top[huge]], low)
    return np.asarray(found, np.float64)


def _by_one(parts: Sequence[Ints], low: int) -> Doubles:
    """As :func:`_nearest`, with Python's numbers: for rows that need more bits."""
    whole = np.zeros(len(parts[0]), object)
    for part in reversed(parts):
        whole = whole * 2**BITS + part.astype(object)
    scale = BITS * low
    return np.array([_ratio(one, scale) for one in whole], np.float64)


def _ratio(whole: int, scale: int) -> float:
    try:
        return float(whole << scale) if scale >= 0 else whole / (1 << -scale)
    except OverflowError:
        return float("inf")
