"""JSON lines that are poisoned, each kind between two good ones."""

from __future__ import annotations

from tests.poison.kinds import Kind, Record, whole

BEFORE, AFTER = b'{"id":"g1"}\n', b'{"id":"g2"}\n'
GOOD = ({"id": "g1"}, {"id": "g2"})
FIX: tuple[bytes, Record] = (b'{"id":"mended"}\n', {"id": "mended"})


def lands(name: str, body: bytes, *records: Record) -> Kind:
    return Kind(name, BEFORE + body + AFTER, (*GOOD, *records))


def one(name: str, raw: bytes, reason: str) -> Kind:
    return Kind(name, BEFORE + raw + AFTER, GOOD, ((raw, reason),), FIX)


def lines(name: str, content: bytes, reason: str, *records: Record) -> Kind:
    """Each line of a file is a reject."""
    raws = [line + b"\n" for line in content.split(b"\n")[:-1]] + [content.split(b"\n")[-1]]
    return Kind(name, content, records, tuple((raw, reason) for raw in raws if raw.strip()), FIX)


DEEP = b'{"id":' + b"[" * 5000 + b"]" * 5000 + b"}\n"
NESTED = b'{"id":' + b"[" * 500 + b"]" * 500 + b"}\n"
BROKEN = [
    one("truncated", b'{"id":"3\n', "it is not JSON"),
    Kind("torn", BEFORE + b'{"id":"3', GOOD[:1], ((b'{"id":"3', "it may be torn"),), FIX),
    one("doubled-key", b'{"id":1,"id":2}\n', "the key 'id' is there twice"),
    one("doubled-key-inside", b'{"id":{"a":1,"a":2}}\n', "the key 'a' is there twice"),
    one("case-clash", b'{"id":1,"ID":2}\n', "differ in nothing but case and punctuation"),
    one("case-clash-of-lines", b'{"iD":3}\n', "differ in nothing but case and punctuation"),
    one("depth-5000", DEEP, "it is nested too deeply"),
    one("depth-501", NESTED, "it is nested too deeply"),
    one("nan", b'{"id":NaN}\n', "NaN is no JSON"),
    one("infinity", b'{"id":-Infinity}\n', "-Infinity is no JSON"),
    one("number-of-1001-digits", b'{"id":' + b"9" * 1001 + b"}\n", "a number of more than 1,000 characters"),
    one("leading-zero", b'{"id":007}\n', "it is not JSON"),
    one("plus-sign", b'{"id":+1}\n', "it is not JSON"),
    one("array", b"[1]\n", "it is JSON but no object: an array"),
    one("string", b'"x"\n', "it is JSON but no object: a string"),
    one("number", b"7\n", "it is JSON but no object: a number"),
    one("null", b"null\n", "it is JSON but no object: null"),
    one("lone-surrogate", b'{"id":"\\ud800"}\n', "half of a surrogate pair"),
    one("lone-surrogate-key", b'{"\\udc00":1}\n', "half of a surrogate pair"),
    one("surrogate-bytes", b'{"id":"\xed\xa0\x80"}\n', "it is not UTF-8"),
    one("latin-1", b'{"id":"\xe9"}\n', "it is not UTF-8: byte 7 of the line is 0xe9"),
    one("nul", b'{"id":"\0"}\n', "it holds a NUL byte"),
    one("raw-control-character", b'{"id":"a\x01b"}\n', "it is not JSON"),
    one("trailing-comma", b'{"id":1,}\n', "it is not JSON"),
    one("single-quotes", b"{'id':1}\n", "it is not JSON"),
    one("unquoted-key", b"{id:1}\n", "it is not JSON"),
    one("comment", b'{"id":1} // one\n', "it is not JSON"),
    one("two-in-a-line", b'{"id":1}{"id":2}\n', "it is not JSON"),
    one("nameless-key", b'{"":1}\n', "it has a key without a name"),
    one("nul-key", b'{"\\u0000":"lost","id":"x"}\n', "holds a NUL"),
    one("engine-key", b'{"_raw":1}\n', "a name that bronze keeps for itself"),
    one("long-key", b'{"' + b"k" * 50_001 + b'":1}\n', "a key is longer than 50,000 characters"),
    one("csv", b"id,name\n", "it is not JSON"),
    one("bom-inside", b'\xef\xbb\xbf{"id":1}\n', "it is not JSON"),
    whole("pretty-printed", b'{\n  "id": 1\n}\n', "it is JSON of many lines", FIX),
    whole("pretty-printed-array", b'[\n  {\n    "id": 1\n  }\n]\n', "it is JSON of many lines", FIX),
    whole("array-of-lines", b'\n[\r\n{"id":1},\r\n{"id":2}\r\n]\r\n', "it is JSON of many lines", FIX),
    one("opened-and-left", b"{\n", "it is not JSON"),
    lines("utf16", '\ufeff{"id":1}\n'.encode("utf-16-le"), ""),
    lines("one-array-of-all", b'[{"id":1},\n{"id":2}]\n', "it is not JSON"),
]
SOUND = [
    Kind("bom", b"\xef\xbb\xbf" + BEFORE + AFTER, GOOD),
    Kind("empty", b""),
    Kind("no-last-line-break", BEFORE + AFTER.rstrip(), GOOD),
    lands("blank-lines", b"\n \t\r\n\n"),
    lands("crlf", b'{"id":"3"}\r\n', {"id": "3"}),
    lands("carriage-returns-inside", b'{"id":\r"3"\r}\n', {"id": "3"}),
    lands("beyond-long", b'{"id":9223372036854775808}\n', {"id": "9223372036854775808"}),
    lands("beyond-double", b'{"id":1e400}\n', {"id": "1e400"}),
    lands(
        "many-digits", b'{"id":0.1000000000000000055511151231257827}\n', {"id": "0.1000000000000000055511151231257827"}
    ),
    lands("negative-zero", b'{"id":-0.0}\n', {"id": "-0.0"}),
    lands(
        "type-flips",
        b'{"id":1}\n{"id":"1"}\n{"id":{"x" : 1.10}}\n{"id":[1, 2]}\n{"id":true}\n{"id":null}\n',
        *({"id": value} for value in ("1", "1", '{"x" : 1.10}', "[1, 2]", "true")),
        {},
    ),
    lands("escaped-nul", b'{"id":"a\\u0000b"}\n', {"id": "a\0b"}),
    lands("surrogate-pair", b'{"id":"\\ud83d\\ude00"}\n', {"id": "😀"}),
    lands("escaped-newline", b'{"id":"x\\nERROR forged"}\n', {"id": "x\nERROR forged"}),
    lands("newline-in-key", b'{"a\\nb":"x"}\n', {"a_b": "x"}),
    lands("sql-in-key", b'{"x`; DROP TABLE s; --":"x"}\n', {"x_DROP_TABLE_s_--": "x"}),
    lands("proto-key", b'{"__proto__":"x","constructor":"y"}\n', {"__proto__": "x", "constructor": "y"}),
    lands("dollar-keys", b'{"$ref":"x","a.b":"y"}\n', {"$ref": "x", "a.b": "y"}),
    lands("html", b'{"id":"</script><script>alert(1)</script>"}\n', {"id": "</script><script>alert(1)</script>"}),
    lands("formula", b'{"id":"=1+1|cmd"}\n', {"id": "=1+1|cmd"}),
    lands("zero-width", '{"id":"\u200b3"}\n'.encode(), {"id": "\u200b3"}),
    lands("corrupt-record-key", b'{"_corrupt_record":"x"}\n', {"_corrupt_record": "x"}),
    lands(
        "depth-400",
        NESTED.replace(b"[" * 500, b"[" * 400).replace(b"]" * 500, b"]" * 400),
        {"id": "[" * 400 + "]" * 400},
    ),
]
JSON = [*BROKEN, *SOUND]
