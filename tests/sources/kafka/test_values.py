"""What is a record and what is rejected, byte for byte; Python's own parser is the oracle."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.bronze.landed import Landed
from tests.sources import rfc8259
from tests.sources.kafka.landed import Reading, places, refused, take
from tests.sources.kafka.producing import Topics

GOOD = [
    *(b"{}", b"[]", b"null", b"true", b"-0", b"1e400", b"1.10", b'"x"', b' {"x" : 1}' + b"\r\n\t", b'{"a":{"a":1}}'),
    *(b'"\\u0000"', b'"\\ud83d\\ude00"', b'"\\\\ud800"', b'"\\\\\\\\udc00"', '{"é": "ü😀�"}'.encode()),
    *(b"[" * 900 + b"]" * 900, b"9" * 999, b'"\x7f"', b'[1,"]",["["]]'),
]
# Objects that end with their only closing brace are judged another way, up to some 1,000 bytes.
GOOD += [b'{"a":%s%s}' % (b"[" * depth, b"]" * depth) for depth in (490, 493, 494, 900)]
GOOD += [b'{"a":%s}' % (b"9" * digits) for digits in (990, 992, 993, 994, 1000)]
GOOD += ['{"é":"%s"}'.encode() % (b"x" * more) for more in range(985, 995)]
GOOD += [b'{"a":"{"}', b'{"a":"}"}', b'{"a":[{}]}', b'{"a":"b}"}', b'{"a":1} ', b"{}\n", b' {"a":1}', b'{ "a" : [1] }']
NOT_UTF8 = [
    *(b"\xff", b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'{"a": "\xe9"}', b"\xff\xfe{\0}\0"),
    b'"\xe2\x82"',
]
NOT_JSON = [
    *(b"", b" ", b"{", b"}", b'{"a":1}}', b'{"a":1} x', b'{"a":1}{"b":2}', b"1 2", b"1,2", b"1],[2", b"],["),
    *(b'1], ["x"', b"NaN", b"[NaN]", b"Infinity", b"-Infinity", b"{'a':1}", b"{a:1}", b'{"a":1,}', b"[1,]", b"[,1]"),
    *(b"[1,,2]", b"[,]", b'{"a":1,"a":2}', b'{"x":[{"a":1,"b":2,"a":2}]}', b'{"a":1,"\\u0061":2}', b"\xef\xbb\xbf{}"),
    *(b'"a\0b"', b'"a\nb"', b'"a\tb"', b"01", b"+1", b".5", b"1.", b"1e", b"0x1", b"-", b'"\\x"', b'"\\u12"', b"tru"),
    *(b"True", b"nul", b"nullx", b"// c\n1", b"/* c */1", b"# c\n1", b"1 // c", b"[" * 2000 + b"]" * 2000, b"\x001"),
    *(b"1\x00", b"\xc2\xa01", b"1\x0c", b'"unclosed', b"[1", b'{"a" 1}', b'{"a":}', b"{:1}", b"{1:1}", b"{\0}\0"),
    *(b"9" * 1001, b'"\\', b'"\\"', b"1;", b'("a")'),
    *(b'{"a":%s}' % (b"9" * 1001), b'{"a":%s%s}' % (b"[" * 999, b"]" * 999), b'{"a":[}', b'{"a":"}', b'{"a"}', b"{,}"),
    *(b"{'a':1}", b'{"a":01}', b'{"a":1,"b":2,"a":3}', b'{"a":NaN}', b'{"a":"\t"}', b'{"a":1 // c\n}', b'{"a":+1}'),
    *(b'{"a":[1}', b'{"a":1]}', b'{"a":1}}', b'{"a":1},{}', b'{"a":(1)}', b'{"a":1;}', b'{"a":"\\ud800"}'),
]
HALVES = [
    *(b'"\\ud800"', b'"\\uDC00x"', b'"\\\\\\ud800"', b'"\\ud800\\ud800"', b'"\\ud83d\\ude00\\ude00"'),
    *(b'"\\ud83d \\ude00"', b'{"\\ud800": 1}', b'{"a": ["\\udfff"]}', b'"\\ud83d\\u0061"', b'"a\\\\\\\\\\ud800"'),
    *(b'"%s\\udc00"' % (b"x" * 9000), b'{"%s\\ud800": 1}' % (b"x" * 9000), b'"\\udbff\xf0\x9f\x98\x80"'),
]


def test_json_is_kept_as_it_came_and_nothing_else_is_json(reading: Reading, topics: Topics, topic: str) -> None:
    bad = [(raw, "is not UTF-8") for raw in NOT_UTF8] + [(raw, "is not one JSON value") for raw in NOT_JSON + HALVES]
    topics.send(topic, *GOOD, *(raw for raw, _ in bad))
    project = reading()
    assert take(project) == (len(GOOD), len(bad))
    assert [value.encode() for _, _, value in places(project)] == GOOD
    rejects = sorted(Landed(project, "events").kinds["reject"], key=lambda row: int(row["_offset"]))
    assert [row["_raw"] for row in rejects] == [raw for raw, _ in bad]
    assert [row["_offset"] for row in rejects] == list(range(len(GOOD), len(GOOD) + len(bad)))
    assert {(row["_file"], row["_line"], row["_row"], row["value"]) for row in rejects} == {
        (f"{topic}/0", 0, None, None)
    }
    assert [row["_reason"] for row, (_, word) in zip(rejects, bad, strict=True) if word not in row["_reason"]] == []


def test_it_agrees_with_another_parser_on_damaged_json(reading: Reading, topics: Topics, topic: str) -> None:
    chance = random.Random(4)
    values = [damaged(chance) for _ in range(2000)]
    topics.send(topic, *values)
    project = reading()
    good = {at for at, value in enumerate(values) if is_json(value)}
    assert 200 < len(good) < 1800
    assert take(project) == (len(good), len(values) - len(good))
    landed = {row: value.encode() for _, row, value in places(project)}
    assert landed == {at: values[at] for at in good}
    rejects = {row["_offset"]: row["_raw"] for row in Landed(project, "events").kinds["reject"]}
    assert rejects == {at: value for at, value in enumerate(values) if at not in good}


def test_a_reject_keeps_its_key_headers_and_time(reading: Reading, topics: Topics, topic: str) -> None:
    topics.send_one(topic, b"\xff", key=b"k", headers=[("h", b"v")])
    project = reading(value="text")
    assert take(project) == (0, 1)
    (row,) = Landed(project, "events").kinds["reject"]
    assert (row["_raw"], row["key"], row["headers"]) == (b"\xff", b"k", [{"key": "h", "value": b"v"}])
    assert row["timestamp"] is not None


def test_text_must_be_utf8_and_binary_may_be_anything(reading: Reading, topics: Topics, topic: str) -> None:
    values = ["é\0 \ufeff".encode(), b"", *NOT_UTF8]
    topics.send(topic, *values, None)
    text = reading(value="text")
    assert take(text) == (3, len(NOT_UTF8))
    assert [value for _, _, value in places(text)] == ["é\0 \ufeff", "", None]
    topics.send(topic, b"more")
    assert "the column 'value' is binary now and" in refused(reading(value="binary"))


def test_binary(reading: Reading, topics: Topics, topic: str) -> None:
    values = [b"\0\xff", b"", None]
    topics.send(topic, *values)
    project = reading(value="binary")
    assert take(project) == (3, 0)
    assert [value for _, _, value in places(project)] == values


def damaged(chance: random.Random) -> bytes:
    """A document, now and then with some bytes changed, added, taken away or put elsewhere."""
    raw = bytearray(json.dumps(document(chance, 3), ensure_ascii=chance.random() < 0.5).encode())
    for _ in range(chance.choice((0, 1, 1, 2))):
        at = chance.randrange(len(raw) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            raw[at:at] = chance.choice(list(map(bytes, zip(b"{}[],:\"\\ \n01-.eEtn\x00\x7f\xc3\xff/'#", strict=True))))
        elif kind == 1:
            del raw[at : at + chance.randrange(1, 4)]
        elif kind == 2:
            raw[at : at + 1] = bytes([chance.randrange(256)])
        else:
            raw[at:at] = raw[: chance.randrange(len(raw) + 1)]
    return bytes(raw)


def document(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(9 if depth else 6)
    if kind < 6:
        texts = ("", "a", "é", "😀", '"\\', "\n", "\0", "]")
        return (None, True, chance.randrange(-99, 99), chance.random() * 10**9, 1e300, chance.choice(texts))[kind]
    if kind == 6:
        return [document(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {chance.choice("abcdé"): document(chance, depth - 1) for _ in range(chance.randrange(4))}


def is_json(raw: bytes) -> bool:
    try:
        rfc8259.read(raw)
    except ValueError:
        return False
    return True
