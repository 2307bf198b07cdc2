"""Files of each format on their way to bronze: text, binary, packed ones, and those that change after they landed."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.cli import run as command
from lakehouse.config import Project
from lakehouse.pipeline import ingest, plan
from tests.bronze.landed import Landed

BOM = b"\xef\xbb\xbf"
TEXTS = {
    "plain": b"one\n\n  two \t\r\n\r\nthr\ree\r\r\n\0\n\xc3\xa9\xe2\x98\x83",
    "mark": BOM + b"one\r\n" + BOM + b"two\n",
    "mark_only": BOM,
    "empty": b"",
    "line": b"\n",
    "torn": b"a\nb\xc3",
    "latin": b"\xe9t\xe9\r\nok\n\xff\n",
    "_hidden": b"x\r\ny",
    "12:30": b"x\n\ry\n",
}


def source(make_project: Any, kind: str, more: str = "", pattern: str = "*") -> Project:
    made: Project = make_project(f"  s: {{type: files, format: {kind}, path: 'data/raw/{pattern}'{more}}}")
    return made


def write(project: Project, name: str, data: bytes) -> Path:
    path = project.folder / "data" / "raw" / name
    path.write_bytes(data)
    return path


def run(project: Project) -> Landed:
    (result,) = ingest(project).results
    assert (result.error, result.status) == (None, "done")
    assert not list((project.folder / ".cache").glob("unpacked/*"))
    return Landed(project, "s")


def lines(data: bytes) -> tuple[list[str], list[bytes]]:
    """What a text file holds, by str.split alone: its records, and the lines that are none."""
    body = data.removeprefix(BOM)
    found = body.split(b"\n") if body else []
    raw = [line + b"\n" for line in found[:-1]] + ([found[-1]] if found and found[-1] else [])
    good, bad = [], []
    for line in raw:
        text = line.decode("utf-8", "replace")
        if "\ufffd" in text:
            bad.append(line)
        else:
            text = text[:-1] if text.endswith("\n") else text
            good.append(text[:-1] if text.endswith("\r") else text)
    return good, bad


@pytest.mark.parametrize("packed", [False, True])
def test_each_line_of_a_text_is_a_record(spark: Any, make_project: Any, packed: bool) -> None:
    project = source(make_project, "text")
    for name, data in TEXTS.items():
        write(project, name, gzip.compress(data) if packed else data)
    landed = run(project)
    expected = {f"data/raw/{name}": lines(data) for name, data in TEXTS.items()}
    records = Counter((name, ("value", line)) for name, (good, _) in expected.items() for line in good)
    assert landed.records == records
    rejects = Counter((row["_file"], row["_raw"]) for row in landed.kinds["reject"])
    assert rejects == Counter((name, raw) for name, (_, bad) in expected.items() for raw in bad)
    for row in landed.kinds["reject"]:
        data = TEXTS[Path(row["_file"]).name]
        assert data[row["_offset"] :].startswith(row["_raw"])
        assert data[: row["_offset"]].count(b"\n") + 1 == row["_line"]
    order = [row["value"] for row in sorted(landed.kinds["record"], key=lambda r: r["_row"]) if "plain" in row["_file"]]
    assert order == expected["data/raw/plain"][0]


def test_each_file_of_a_binary_source_is_a_record(spark: Any, make_project: Any) -> None:
    project = source(make_project, "binary")
    contents = {"a.pdf": bytes(range(256)), "_b": b"\0", "empty": b"", "12:30 [x].gz": gzip.compress(b"x"), "é": b"e"}
    for name, data in contents.items():
        os.utime(write(project, name, data), ns=(0, 1_700_000_000_123_456_789))
    landed = run(project)
    moment = datetime.fromtimestamp(1_700_000_000, UTC).replace(microsecond=123_000)
    assert landed.records == Counter(
        (f"data/raw/{name}", ("content", data), ("length", len(data)), ("modified_at", moment))
        for name, data in contents.items()
    )
    assert {row["_row"] for row in landed.kinds["record"]} == {0}
    assert landed.receipts[0]["read"] == len(contents)


def test_a_binary_file_that_is_too_large_is_named(make_project: Any) -> None:
    project = source(make_project, "binary")
    with write(project, "large", b"").open("r+b") as file:
        file.truncate(64 * 2**20 + 1)
    from lakehouse.errors import ContractError
    from lakehouse.sources import open_source

    session: Any = None
    with pytest.raises(ContractError, match="data/raw/large: it has 67,108,865 bytes"):
        open_source(project, "s").plan(session, [])


@pytest.mark.parametrize(
    ("kind", "data", "values"),
    [
        ("csv", b'x,y\n1,"a\nb"\n2,\n', [{"x": "1", "y": "a\nb"}, {"x": "2", "y": None}]),
        ("csv", b"x,y\n1,2\n3\n4,5\n", [{"x": "1", "y": "2"}, {"x": "4", "y": "5"}]),
        ("json", b'{"x": 1.10}\n{"x": "a"}\n', [{"x": "1.10"}, {"x": "a"}]),
        ("text", b"x\ny\r\n", [{"value": "x"}, {"value": "y"}]),
    ],
)
def test_packed_files_land_as_if_they_were_not(
    spark: Any, make_project: Any, kind: str, data: bytes, values: list[dict[str, str | None]]
) -> None:
    project = source(make_project, kind)
    half = len(data) // 2
    packed = {
        "one.gz": gzip.compress(data),
        "two members": gzip.compress(data[:half]) + gzip.compress(b"") + gzip.compress(data[half:]) + b"\0" * 9,
        "one.zst": pa.Codec("zstd").compress(data, asbytes=True),
        "two frames": b"".join(pa.Codec("zstd").compress(part, asbytes=True) for part in (data[:half], data[half:])),
        "plain.gz": data,
    }
    for name, content in packed.items():
        write(project, name, content)
    landed = run(project)
    assert landed.records == Counter(
        (f"data/raw/{name}", *sorted(value.items())) for name in packed for value in values
    )
    files = {Path(file["path"]).name: file for file in landed.receipts[0]["cursor"]["files"]}
    for name, content in packed.items():
        assert files[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert files[name]["size"] == len(content)
    assert {row["_raw"] for row in landed.kinds["reject"]} <= {b"3\n"}


def test_a_file_that_changed_lands_again_and_silver_has_its_new_rows(spark: Any, make_project: Any) -> None:
    project = source(make_project, "csv", ", changed: reread")
    write(project, "a.csv", b"k,v\n1,a\n2,b\n")
    run(project)
    write(project, "a.csv", b"k,v\n1,c\n3,d\n")
    assert plan(project).steps[0].why == "1 changed file"
    landed = run(project)
    values = sorted((row["_batch"], row["k"], row["v"]) for row in landed.kinds["record"])
    assert values == [(0, "1", "a"), (0, "2", "b"), (1, "1", "c"), (1, "3", "d")]
    first, second = (landed.receipts[number]["cursor"]["files"][0] for number in (0, 1))
    assert (second["replaces"], "replaces" in first) == (first["sha256"], False)
    assert landed.receipts[1]["note"] == "read again: data/raw/a.csv"
    assert ingest(project).results[0].status == "unchanged"


def test_a_change_that_is_passed_over_is_recorded_and_shown(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = source(make_project, "csv", ", changed: ignore")
    path = write(project, "a.csv", b"k\n1\n")
    run(project)
    path.write_bytes(b"k\n1\n2\n")
    landed = run(project)
    assert [row["k"] for row in landed.kinds["record"]] == ["1"]
    assert landed.receipts[1]["cursor"]["ignored"][0]["path"] == "data/raw/a.csv"
    assert (landed.receipts[1]["read"], landed.receipts[1]["note"]) == (0, "changed and passed over: data/raw/a.csv")
    assert ingest(project).results[0].status == "unchanged"
    monkeypatch.chdir(project.folder)
    assert command(["show", "source", "s", "--json"]) == 0
    assert "changed since it landed, passed over" in capsys.readouterr().out


def test_what_is_left_is_said(spark: Any, make_project: Any) -> None:
    project = source(make_project, "csv", ", marker: '{name}.done'")
    write(project, "a.csv", b"k\n1\n")
    said = "data/raw/a.csv (left until a.csv.done stands beside it)"
    assert plan(project).steps[0].why == f"nothing is there yet; {said}"
    (result,) = ingest(project).results
    assert (result.status, result.note) == ("unchanged", f"nothing is there yet; {said}")
    write(project, "a.csv.done", b"")
    write(project, "b.csv", b"k\n2\n")
    landed = run(project)
    assert landed.files == ["data/raw/a.csv"]
    assert landed.receipts[0]["note"] == said.replace("a.csv", "b.csv")


@pytest.mark.parametrize("before", [False, True])
def test_another_count_in_the_written_files_lands_nothing(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """Spark writes a record more than the bytes hold: the table is as it was, and no file of the batch is left."""
    from lakehouse.sources.files import planning

    project = source(make_project, "text")
    if before:
        write(project, "a", b"1\n")
        run(project)
    write(project, "b", b"2\n3\n")
    table = project.path("bronze.s")
    files = sorted(table.rglob("*"))
    real = planning._read
    with monkeypatch.context() as patched:
        patched.setattr(planning, "_read", lambda *given: real(*given).union(real(*given).limit(1)))
        (result,) = ingest(project).results
    assert "hold 2 records and Spark reads 3; nothing landed" in str(result.error)
    assert sorted(table.rglob("*")) == files
    assert table.exists() == before
    assert len(run(project).kinds["record"]) == 2 + before
