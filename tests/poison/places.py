"""File names that are poisoned, of sound files; and text and binary files of anything."""

from __future__ import annotations

from tests.poison.csv import AFTER, BEFORE, GOOD, HEAD
from tests.poison.kinds import Kind

PATHS = {
    "newline": "a\nb.csv",
    "carriage-return": "a\r\nERROR forged.csv",
    "escaped-slash": "a%2Fb.csv",
    "escaped-percent": "a%25%00.csv",
    "plus-and-space": "a+b c .csv",
    "quotes": "a'b\"c`d.csv",
    "html": "<img src=x onerror=alert(1)>.csv",
    "sql": "'; DROP TABLE s; --.csv",
    "shell": "$(touch x) && ${HOME} | x;.csv",
    "wildcards": "a*b?c[d]e.csv",
    "braces": "{a,b}.csv",
    "backslash": "a\\b\\n.csv",
    "colon": "12:30.csv",
    "address": "http:~~x?y#z.csv",
    "dash": "-rf.csv",
    "dots": "a..b...csv",
    "underscore": "_a.csv",
    "partition": "day=2026-01-01/x=1.csv",
    "escape-code": "\x1b[31mred.csv",
    "right-to-left": "\u202evsc.exe.csv",
    "composed": "é.csv",
    "decomposed": "e\u0301.csv",
    "longest": "n" * 251 + ".csv",
    "spark-copying": "x._COPYING_.csv",
    "formula": "=cmd.csv",
}
PLACES = [Kind(name, HEAD + BEFORE + AFTER, GOOD, path=path) for name, path in PATHS.items()]


def value(*lines: str) -> tuple[dict[str, str], ...]:
    return tuple({"value": line} for line in lines)


TEXT = [
    Kind("bom", b"\xef\xbb\xbfone\ntwo\n", value("one", "two")),
    Kind(
        "latin-1", b"one\n\xe9\ntwo\n", value("one", "two"), ((b"\xe9\n", "it is not UTF-8"),), (b"e\n", {"value": "e"})
    ),
    Kind("torn-character", b"one\n\xc3", value("one"), ((b"\xc3", "it is not UTF-8"),), (b"e\n", {"value": "e"})),
    Kind("surrogate", b"\xed\xa0\x80\n", (), ((b"\xed\xa0\x80\n", "it is not UTF-8"),), (b"e\n", {"value": "e"})),
    Kind("nul", b"a\0b\n", value("a\0b")),
    Kind("carriage-returns", b"a\rb\r\r\nc\n", value("a\rb\r", "c")),
    Kind("line-separators", "a\u2028b\u0085c\x0bd\x0ce\n".encode(), value("a\u2028b\u0085c\x0bd\x0ce")),
    Kind("empty-lines", b"\n\n", value("", "")),
    Kind("empty", b""),
    Kind("log-forging", b"ok\n2026-01-01 WARN forged\n", value("ok", "2026-01-01 WARN forged")),
    Kind("escape-codes", b"\x1b]0;x\x07\x1b[2J\n", value("\x1b]0;x\x07\x1b[2J")),
    Kind(
        "utf16",
        "a\n".encode("utf-16"),
        value("\0"),
        ((b"\xff\xfea\0\n", "it is not UTF-8"),),
        (b"a\n", {"value": "a"}),
    ),
]
BINARY = [
    Kind(name, content, ({"content": content, "length": len(content)},), path=path)
    for name, content, path in (
        ("empty", b"", "empty.bin"),
        ("anything", bytes(range(256)), "anything.bin"),
        ("zip-that-climbs", b"PK\x03\x04../../etc/passwd", "climbs.zip"),
        ("script", b"#!/bin/sh\nrm -rf /\n", "run me.sh"),
        ("gzip", b"\x1f\x8b\x08\0torn", "torn.gz"),
        ("hidden-from-spark", b"x", "_x.bin"),
    )
]
