"""JSON lines: every value as it is written, every line that is no record a reject. Lines are made with their truth."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.config import FilesSource
from lakehouse.sources.files import jsonl
from lakehouse.sources.files.jsonl import inspect_jsonl
from lakehouse.sources.files.planning import plan_batch
from tests.sources.readers import counted_readers

Line = tuple[bytes, dict[str, str | None] | None]
"""A line without its end, and what it holds: None for a reject."""

VALUES: list[tuple[str, str | None]] = [
    *((text, text) for text in ("1.10", "-0", "1E400", "0.30000000000000004", "12345678901234567890123", "true")),
    *((text, text) for text in ('{"x" : 1.0,"é":"\\u00e9"}', '[1.10, [2], "☃"]', "{}", "[]", '{"x":{"x":1}}')),
    ("null", None),
    ('""', ""),
    ('"NaN"', "NaN"),
    ('"a\\n\\"b\\" \\u0041 \\ud83d\\ude00 é ☃"', 'a\n"b" A \U0001f600 é ☃'),
    ('"\x7f\u0085\u2028"', "\x7f\u0085\u2028"),
    ('"\\u0000"', "\0"),
    ('" x "', " x "),
]
KEYS = ["a", "b", "é", "a.b", "c`d", "_corrupt_record"]
DEFECTS: list[bytes] = [
    b'{"a":1',
    b'{"a":"x',
    b'{"a":1}}',
    b'{"a":1} {"a":2}',
    b'{"a":1,"a":2}',
    b'{"a":1,"\\u0061":2}',
    b'{"a":{"x":1,"x":2}}',
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":01}',
    b'{"a":1.}',
    b"{'a':1}",
    b'{"a":"\t"}',
    b'{"a":"\\ud800"}',
    b'{"a":["\\udc00 "]}',
    b'{"\\ud800":1}',
    b'{"a":"\xff"}',
    b'{"a":"\0"}',
    b"[1]",
    b'"a"',
    b"1",
    b"null",
    b'[{"a":1}]',
    b'{"":1}',
    b'{"\\u0000":1}',
    b'{"b":1,"x\\u0000y":2}',
    b'{"_file":1}',
    b'{"b":1,"B":2}',
    b'{"e f":1,"e_f":2}',
    b"\x0b",
    b"\xef\xbb\xbf\xef\xbb\xbf{}",
    b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"a":' + b'{"x":' * 501 + b"1" + b"}" * 501 + b"}",
    b'{"a":' + b"1" * 1001 + b"}",
    b'{"a":0.' + b"1" * 5000 + b"}",
    b'{"' + b"k" * 50_001 + b'":1}',
]
EDGES: list[Line] = [
    (b'{"a":' + b"[" * 499 + b"]" * 499 + b"}", {"a": "[" * 499 + "]" * 499}),
    (b'{"a":' + b"1" * 1000 + b"}", {"a": "1" * 1000}),
    (b'{"a":"' + b"[" * 5000 + b'"}', {"a": "[" * 5000}),
    (b"{}", {}),
]


def good(rng: Random) -> Line:
    space = rng.choice(["", " ", "\t", " \t "])
    keys = rng.sample(KEYS, rng.randrange(4))
    pairs = [(key, *rng.choice(VALUES)) for key in keys]
    shown = [f"{json.dumps(k, ensure_ascii=rng.random() < 0.5)}{space}:{space}{text}{space}" for k, text, _ in pairs]
    return f"{space}{{{space}{f',{space}'.join(shown)}}}{space}".encode(), {k: value for k, _, value in pairs}


def make(
    rng: Random, defects: float
) -> tuple[bytes, list[tuple[int, dict[str, str | None]]], list[tuple[int, int, bytes]]]:
    """The file, its records with their offsets, its rejects with offset and line."""
    data = b"\xef\xbb\xbf" if rng.random() < 0.15 else b""
    records, rejects = [], []
    end = rng.choice([b"\n", b"\r\n"])
    count = rng.randrange(7)
    for number in range(1, count + 1):
        line, value = (rng.choice(DEFECTS), None) if rng.random() < defects else good(rng)
        if rng.random() < 0.1:
            line, value = rng.choice([b"", b" ", b"\t"]), {}
        elif rng.random() < 0.1:
            line, value = rng.choice(EDGES)
        at = len(data) if number > 1 else 0
        last = number == count and rng.random() < 0.3
        raw = line + (b"" if last else end)
        data += raw
        if value is None:
            rejects.append((at, number, data[at:]))
        elif line.strip():
            records.append((at, value))
    return data, records, rejects


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**64))
def test_inspection_finds_what_was_put_in(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    data, records, rejects = make(rng, defects=rng.choice([0, 0.2, 0.8]))
    path = tmp_path / "f.json"
    path.write_bytes(data)
    found = inspect_jsonl(path, "f.json")
    assert [(reject.offset, reject.line, reject.raw) for reject in found.rejects] == rejects
    assert found.records == len(records)
    assert set(found.columns) == {key for _, value in records for key in value}
    if found.rows is not None:
        rows = [(row.pop("_row"), row) for row in found.rows.to_pylist()]
        nothing = dict.fromkeys(found.columns)
        assert rows == [(at, nothing | value) for at, value in records]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda raw: ascii(raw[:20].decode("latin-1")))
def test_a_defect_does_not_take_its_neighbours_away(tmp_path: Path, defect: bytes) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(b'{"a":1,"b":2}\n' + defect + b'\n{"a":3}\n' + defect)
    found = inspect_jsonl(path, "f.json")
    assert found.records == 2
    size = len(defect) + 1
    assert [(r.offset, r.line, r.raw) for r in found.rejects] == [(14, 2, defect + b"\n"), (22 + size, 4, defect)]
    assert "torn" in found.rejects[1].reason
    assert "torn" not in found.rejects[0].reason


def test_spark_reads_what_was_put_in(spark: Any, tmp_path: Path) -> None:
    rng, expected, rejected = Random(20261120), {}, 0
    for i in range(60):
        data, records, rejects = make(rng, defects=rng.choice([0, 0, 0.3]))
        (tmp_path / f"{i:02}.json").write_bytes(data)
        expected[f"{i:02}.json"] = records
        rejected += len(rejects)
    batch = plan_batch("s", FilesSource(type="files", format="json", path="*.json"), tmp_path, [])
    assert batch is not None
    assert (batch.records, len(batch.rejects)) == (sum(map(len, expected.values())), rejected)
    names = {key.replace("`", "_"): key for key in KEYS}
    assert set(batch.columns) == set(names)
    found: dict[str, list[tuple[int, dict[str, str | None]]]] = {name: [] for name in expected}
    for row in batch.read(spark).collect():
        values = row.asDict()
        place = (values.pop("_file"), values.pop("_row"))
        found[place[0]].append((place[1], {names[name]: value for name, value in values.items()}))
    nothing = dict.fromkeys(KEYS)
    for name, records in expected.items():
        in_order = [value for _, value in sorted(found[name], key=lambda pair: pair[0])]
        assert in_order == [nothing | value for _, value in records], name


def test_a_column_called_metadata(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_bytes(b'{"_metadata":{"file_path":3}}\n')
    batch = plan_batch("s", FilesSource(type="files", format="json", path="*.json"), tmp_path, [])
    assert batch is not None
    assert [tuple(row) for row in batch.read(spark).collect()] == [('{"file_path":3}', "f.json", 0)]


@pytest.mark.parametrize("data", [b"", b"\n\n \n", b"\xef\xbb\xbf"])
def test_a_file_without_a_line_holds_no_record(spark: Any, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f.json").write_bytes(data)
    batch = plan_batch("s", FilesSource(type="files", format="json", path="*.json"), tmp_path, [])
    assert batch is not None
    assert (batch.records, batch.rejects) == (0, ())
    assert batch.read(spark).count() == 0


@pytest.mark.parametrize("seed", range(4))
def test_what_arrow_proves_the_exact_parser_says_too(tmp_path: Path, seed: int) -> None:
    rng, proved = Random(seed), 0
    odd = [
        *DEFECTS,
        b"{}",
        b"{ }",
        b"",
        b"{}{}",
        b'{"a":1}{"a":2}',
        b'{"a":1},',
        b'{"a":+1}',
        b'{"a":0x1}',
        b'{"a":.5}',
    ]
    odd += [b'{"a":1,}', b'{"a" 1}', b'{"a":"\x01"}', b'{"a":"\x7f"}', b'{"a":1e5}', b'{"a":1 /**/}', b'{"a":nan}']
    odd += [
        b'{"a":Infinity}',
        b'{"a":"x","b":2}',
        b'{"a":"2025-01-01"}',
        b'{"a":12345678901234567890123}',
        b'{"a":tru}',
    ]
    path = tmp_path / "f.json"
    for _ in range(400):
        plain = [b'{"a":%d,"b":"%d"}' % (rng.randrange(9), rng.randrange(9)) for _ in range(3)]
        lines = [*plain, rng.choice(odd)] if rng.random() < 0.5 else [rng.choice(odd)] * rng.randrange(1, 3)
        path.write_bytes(b"\n".join(lines) + rng.choice([b"", b"\n"]))
        with patch.object(jsonl, "count_sound", lambda *_: None):
            exact = inspect_jsonl(path, "f.json")
        fast = inspect_jsonl(path, "f.json")
        assert (fast.records, fast.rejects, fast.columns) == (exact.records, exact.rejects, exact.columns), lines
        proved += jsonl.count_sound(path, lambda _: "") is not None
    assert proved > 50


def test_keys_in_another_order_need_no_other_reader(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = counted_readers(monkeypatch)
    expected = []
    for number, keys in enumerate([*permutations("abc"), *permutations("ad"), ()]):
        values = {key: f"{key}{number}" for key in keys}
        (tmp_path / f"{number}.json").write_text(json.dumps(values) + "\n")
        expected.append((f"{number}.json", *(values.get(key) for key in "abcd")))
    batch = plan_batch("s", FilesSource(type="files", format="json", path="*.json"), tmp_path, [])
    assert batch is not None
    rows = batch.read(spark).select("_file", "a", "b", "c", "d").collect()
    assert sorted(map(tuple, rows)) == expected
    assert opened == [9]


def test_keys_that_clash_in_bronze_are_read_apart(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = counted_readers(monkeypatch)
    for number, key in enumerate(["e f", "e_f", "e=f", "e f", "g"]):
        (tmp_path / f"{number}.json").write_text(json.dumps({key: number}))
    batch = plan_batch("s", FilesSource(type="files", format="json", path="*.json"), tmp_path, [])
    assert batch is not None
    rows = batch.read(spark).select("_file", "e_f", "g").collect()
    assert [(row.e_f, row.g) for row in sorted(rows)] == [(n, None) for n in "0123"] + [(None, "4")]
    assert sorted(opened) == [1, 1, 3]


MANY_LINES = [
    (json.dumps([{"a": 1}, {"a": [2]}], indent=2), "jq -c '.[]'"),
    (json.dumps({"a": 1, "b": {}}, indent="\t"), "jq -c ."),
    ("\ufeff\r\n \n[\r\n{},\r\n{}\r\n]", "jq -c '.[]'"),
    ('[{\n"a": 1}]\n', "jq -c '.[]'"),
    ("{\n}\n{\n}\n", "jq -c ."),
]


@pytest.mark.parametrize(("text", "command"), MANY_LINES)
def test_json_of_many_lines_is_one_reject_with_a_hint(tmp_path: Path, text: str, command: str) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(text.encode())
    found = inspect_jsonl(path, "f.json")
    (reject,) = found.rejects
    assert (found.columns, found.records, found.rows) == ((), 0, None)
    assert (reject.offset, reject.line, reject.raw) == (0, 0, text.encode())
    assert reject.reason == f"it is JSON of many lines; this source takes one object a line ({command})"


@pytest.mark.parametrize("first", ["[1]", "[", "{", "{ {", '{"a":'])
def test_a_torn_line_does_not_take_the_file_away(tmp_path: Path, first: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(f'{first} x\n{{"a":1}}\n' if first == "[" else f'{first}\n{{"a":1}}\n')
    found = inspect_jsonl(path, "f.json")
    assert (found.records, [reject.line for reject in found.rejects]) == (1, [1])
