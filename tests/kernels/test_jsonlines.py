"""What is proved sound is one object in each place, by Python's own parser, one value at a time."""

from __future__ import annotations

import json
from itertools import product
from random import Random
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.kernels import jsonlines
from lakehouse.kernels.jsonlines import (
    DEEPEST,
    DIGITS,
    FEWEST_PLACES,
    LONGEST,
    LONGEST_NUMBER,
    MOST_LEAVES,
    SoundObjects,
)
from tests.sources import rfc8259

PIECES = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\r", b" ", b"0", b"1", b"-", b".", b"e", b"\0"]
PIECES += [b"NaN", b"null", b"true", b"Infinity", b'"a"', b'"a":1', b"\xff", b"\xc3\xa9", b"\\u0061", b"\\ud800", b"//"]


def proved(*values: bytes, few: int = FEWEST_PLACES) -> list[str] | None:
    """``few`` are parsed before those that follow are taken for more of the same."""
    lengths = np.array([len(value) for value in values])
    ends = np.cumsum(lengths + 1) - 1
    with patch.object(jsonlines, "FEWEST_PLACES", few):
        return SoundObjects().keys(pa.py_buffer(b"\n".join(values)), ends - lengths, ends)


def is_object(raw: bytes) -> bool:
    try:
        return isinstance(rfc8259.read(raw), dict)
    except ValueError:
        return False


def document(draw: Random, depth: int) -> Any:
    kind = draw.randrange(8 if depth else 6)
    if kind < 6:
        return [
            None,
            True,
            draw.randrange(-99, 99),
            draw.random(),
            draw.choice(["", "é", '"\\', "}\n{"]),
            "2026-01-01",
        ][kind]
    if kind == 6:
        return [document(draw, depth - 1)] * draw.randrange(3)
    return {name: document(draw, depth - 1) for name in draw.sample("abc", draw.randrange(4))}


def damaged(draw: Random) -> bytes:
    """An object, more often than not with something put in, taken out or changed."""
    whole = {name: document(draw, 2) for name in draw.sample("xyz", draw.randrange(1, 4))}
    raw = bytearray(json.dumps(whole, ensure_ascii=draw.random() < 0.5).encode())
    for _ in range(draw.choice((0, 0, 1, 2))):
        at = draw.randrange(len(raw) + 1)
        raw[at : at + draw.randrange(3)] = draw.choice([b"", *PIECES])
    return bytes(raw)


@settings(max_examples=2000, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_what_is_proved_is_so(seed: int) -> None:
    draw = Random(seed)
    values = [damaged(draw) for _ in range(draw.randrange(1, 4))]
    if draw.random() < 0.5:  # much the same again, and again
        values = [values[0], *([values[0]] * draw.randrange(4)), *values]
    keys = proved(*values, few=draw.choice([1, 2, FEWEST_PLACES]))
    if keys is not None:
        assert all(map(is_object, values)), values
        assert sorted(keys) == sorted({key for value in values for key in json.loads(value)})


def test_much_is_proved() -> None:
    draw = Random(7)
    found = [(proved(value) is not None, is_object(value)) for value in (damaged(draw) for _ in range(5000))]
    sound = [ours for ours, theirs in found if theirs]
    assert sum(sound) > 0.8 * len(sound) > 1000


@pytest.mark.parametrize(
    "pieces",
    [
        *([b'{"a":', b"1}"], [b'{"a":1', b"}"], [b'{"a":"', b'"}'], [b'{"a":1}{"b":2}', b""], [b"{}{}", b" "]),
        *([b'{"a":[{}', b"{}]}"], [b'{"a":{}', b'{"b":1}}'], [b"{}", b"[]"], [b"{}", b"1"], [b'{"a":"}', b'{"}']),
        *([b'{"a":"\\}', b'{n"}'], [b'{"a":1}', b'{"a":1},'], [b"{},{}", b"{}"], [b"{}{}", b"{"], [b"}", b"{"]),
    ],
)
def test_places_that_are_objects_only_together(pieces: list[bytes]) -> None:
    for before in ([], [b'{"x":1}'], [b'{"a":1}'], [b'{"a":[{}],"b":"x"}'] * 2):
        assert proved(*before, *pieces) is None
        assert proved(*before, *pieces, few=1) is None


def test_what_nests_too_deep_or_is_too_long_is_not_proved() -> None:
    deep = [b'{"a":%s%s}' % (b"[" * more, b"]" * more) for more in (DEEPEST - 1, DEEPEST)]
    numbers = [b'{"a":0.%s,"b":"%s"}' % (b"1" * digits, b"x" * LONGEST_NUMBER) for digits in (DIGITS - 1, DIGITS)]
    longest = [b'{"a":"%s"}' % (b"x" * (length - 8)) for length in (LONGEST, LONGEST + 1)]
    for sound, too_much in (deep, numbers, longest):
        assert proved(sound, b"{}") is not None
        assert proved(too_much, b"{}") is None
    assert proved(b'{"a":"%s","b":[%s]}' % (b"[" * DEEPEST, b",".join([b"[1]"] * 300))) is None  # by count alone


def test_a_bad_one_behind_many_good_ones_is_found() -> None:
    many = [b'{"a":%d,"b":{"c":[%d]}}' % (number, number) for number in range(5000)]
    assert proved(*many) == ["a", "b"]
    for at in (0, 1, 63, 64, 1023, 1024, 4999):
        assert proved(*many[:at], b'{"a":1,"a":2}', *many[at:]) is None
        assert proved(*many[:at], b'{"a":1}{"a":2}', *many[at:]) is None


def test_types_may_differ_far_apart_and_keys_may_be_many() -> None:
    """Objects used as maps: memory grows with those that are parsed together, not with all."""
    first = FEWEST_PLACES + 2 * FEWEST_PLACES  # two pieces
    assert proved(*[b'{"a":1}'] * first, b'{"a":"x"}') == ["a"]
    assert proved(b'{"a":1}', b'{"a":"x"}') is None
    own_keys = [b'{"id":1,"of":{"user-%d":1}}' % number for number in range(20_000)]
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    assert proved(*own_keys) == ["id", "of"]
    assert pa.total_allocated_bytes() - before < 2**20
    assert pool.max_memory() is None or pool.max_memory() < 2**30
    assert proved(b"{%s}" % b",".join(b'"k%d":1' % number for number in range(MOST_LEAVES + 1))) is None


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"nan", b"+1", b"01", b"1.", b".5"])
def test_numbers_that_are_none(number: bytes) -> None:
    for few, raw in product((1, FEWEST_PLACES), (b'{"a":%s}', b'{"a":{"b":[{"c":1.5},{"c":%s}]}}', b'{"a":[[%s]]}')):
        assert proved(raw % b"1", raw % number, few=few) is None
        assert proved(raw % b"1", raw % b"1.5", raw % b"12345678901234567890123", few=few) is not None


def test_much_of_the_same_is_parsed_at_once_and_what_is_new_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bool] = []
    real = jsonlines._parsed

    def counted(*given: Any) -> Any:
        pieces.append(len(given) == 6)
        return real(*given)

    monkeypatch.setattr(jsonlines, "_parsed", counted)
    same = [b'{"a":%d,"b":{"c":null,"d":"2026-01-01"}}' % number for number in range(3000)]
    assert proved(*same) == ["a", "b"]
    assert pieces == [False, True]  # a few, then all
    pieces.clear()
    assert proved(*same, b'{"a":1.5,"b":{"c":"x","d":"no date"},"e":[]}', *same * 20) == ["a", "b", "e"]
    assert pieces[:2] == [False, True] and pieces[-2:] == [True, True]
    assert pieces.count(False) < 40  # those beside it


def test_arrays_of_many_objects_do_not_get_a_value_for_each_key_that_was_ever_seen() -> None:
    """A record of 1,000 bytes has 328 inner objects: with 236 keys each, a thousand have 77 million values."""
    wide = b'{"a": [{%s}]}' % b", ".join(b'"k%d": 1' % number for number in range(236))
    many = b'{"a": [%s]}' % b", ".join([b"{}"] * 328)
    lines = [wide] * 64 + [many] * 1_000
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        assert proved(*lines) == ["a"]
    finally:
        pa.set_memory_pool(before)
    assert pool.max_memory() < 128 * 2**20  # most of it where both kinds stand together
