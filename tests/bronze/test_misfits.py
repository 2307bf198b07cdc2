"""A record whose value a declared type can't hold is quarantined with its own bytes; its neighbours land."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config import Project, load_project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from lakehouse.pipeline.quarantine import quarantines
from lakehouse.pipeline.resolving import replay
from tests.bronze.landed import Landed
from tests.laws.shop import rows_of

MakeProject = Callable[..., Project]
DECLARED = "schema: declared, columns: {id: bigint, name: string, at: date}"
CSV = b'id,name,at\n1,ada,2026-01-31\nx,"b\nb",2026-02-30\n\n2,"c\xc3\xa9",\n3,y\n4,eve,31.1.2026'
CSV_BAD = [
    (28, 3, b'x,"b\nb",2026-02-30\n', "'id' is no bigint and 'at' is no date"),
    (57, 7, b"3,y\n", "it has 2 fields where the header has 3"),
    (61, 8, b"4,eve,31.1.2026", "'at' is no date"),
]
JSON = b'\n{"id":1,"name":"ada"}\r\n{"id":1.5,"name":"bob","at":null}\n{"id":"2"}\n'
JSON_BAD = [(24, 3, b'{"id":1.5,"name":"bob","at":null}\n', "'id' is no bigint")]
TEXT = b"\xef\xbb\xbf1\nx\n\n2\n"
PARQUET = pa.table({"id": [1.0, 2.5, 3.0], "name": ["a", "b", "c"], "more": [[{"x": 1}], [{"x": 2}], None]})
OWN = """
from lakehouse.tables.batch import Batch


class Rows:
    def __init__(self, name, options, folder):
        pass

    def waiting(self, cursors):
        return ""

    def plan(self, session, cursors):
        if cursors:
            return None

        def read(session):
            rows = [("1", "ada", "here", 1), ("x", "bob", "here", 2)]
            return session.createDataFrame(rows, "id string, name string, _file string, _row bigint")

        return Batch(cursor={"end": 1}, took="all", read=read, records=2)
"""


def written(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def sources(declared: str = DECLARED, parquet: str = DECLARED, more: str = "") -> str:
    kinds = {"csv": "csv", "packed": "csv", "json": "json", "sound": "csv"}
    lines = [
        f"  {name}: {{type: files, format: {kind}, path: data/raw/{name}, {declared}{more}}}"
        for name, kind in kinds.items()
    ]
    lines.append(f"  parquet: {{type: files, format: parquet, path: data/raw/parquet, {parquet}}}")
    lines.append("  text: {type: files, format: text, path: data/raw/text, columns: {value: int}}")
    lines.append(f"  own: {{type: jobs.own.Rows, {declared}}}")
    return "\n".join(lines)


@pytest.fixture
def project(spark: Any, make_project: MakeProject) -> Project:
    made = make_project(sources())
    contents = {"csv": CSV, "packed": gzip.compress(CSV), "json": JSON, "text": TEXT, "parquet": written(PARQUET)}
    for name, content in (contents | {"sound": b"id,name,at\n7,x,\n"}).items():
        (made.folder / "data" / "raw" / name).write_bytes(content)
    (made.folder / "jobs" / "own.py").write_text(OWN)
    return made


def ids(project: Project, name: str) -> list[Any]:
    rows = rows_of(project.path(f"bronze.{name}"), "_kind = 'record'")
    return sorted(row.get("id", row.get("value")) for row in rows)


def rejects(project: Project, name: str) -> list[tuple[Any, ...]]:
    found = Landed(project, name).kinds["reject"]
    return sorted((row["_offset"], row["_line"], row["_raw"], row["_reason"]) for row in found)


@pytest.mark.torture
def test_just_the_records_that_do_not_fit(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {result.address: str(result.error) for result in ingest(project).results if result.error} == {}
    assert {name: ids(project, name) for name in ("csv", "packed", "json", "text", "parquet", "own", "sound")} == {
        **{
            "csv": [1, 2],
            "packed": [1, 2],
            "json": [1, 2],
            "text": [1, 2],
            "parquet": [1, 3],
            "own": [1],
            "sound": [7],
        },
    }
    assert rejects(project, "csv") == rejects(project, "packed") == CSV_BAD
    assert rejects(project, "json") == JSON_BAD
    assert rejects(project, "text") == [(5, 2, b"x\n", "'value' is no int"), (7, 3, b"\n", "'value' is no int")]
    ((offset, line, raw, reason),) = rejects(project, "parquet")
    assert (offset, line, reason) == (1, 2, "'id' is no bigint")
    assert pq.read_table(io.BytesIO(raw)).equals(PARQUET.slice(1, 1))
    ((offset, line, raw, reason),) = rejects(project, "own")
    assert (offset, line, json.loads(raw), reason) == (2, 0, {"id": "x", "name": "bob"}, "'id' is no bigint")
    # What has not changed does not fit again, and stays where it is.
    for name in ("csv", "parquet"):
        done = replay(project, f"bronze.{name}")
        assert (done.done, done.landed, done.quarantined) == (0, 0, 0), name
        assert {why for _, why in done.still} == {reason for *_, reason in rejects(project, name)}
    mended = {"packed": b"9,m,2026-01-01\n", "json": b'{"id":"9"}\n'}
    for name, given in mended.items():
        (held,) = quarantines(project, [f"bronze.{name}"])
        done = [replay(project, held.address, ids=[held.open[0].place.id], given=given).done for _ in "ab"]
        assert done == [1, 0]
        assert ids(project, name) == [1, 2, 9]
        assert (len(held.open) - 1, 1) == (
            len(quarantines(project, [held.address])[0].open),
            Landed(project, name).version,
        )
    assert {result.status for result in ingest(project).results} == {"unchanged"}
    # With another setting the record is one, as it was: a row of Parquet has its own types still.
    make_project_again(project, sources(parquet=DECLARED + ", changed_types: rescue"))
    project = load_project(project.folder)
    assert [replay(project, "bronze.parquet").done for _ in "ab"] == [1, 0]
    (row,) = (row for row in rows_of(project.path("bronze.parquet"), "_kind = 'record'") if row["name"] == "b")
    assert (row["id"], row["_file"], row["_row"]) == (None, "data/raw/parquet", 1)
    assert json.loads(row["_rescued"]) == {"id": "2.5", "more": '[{"x":2}]'}


def make_project_again(project: Project, text: str) -> None:
    file = project.folder / "conf" / "base.yaml"
    file.write_text(file.read_text().partition("sources:\n")[0] + f"sources:\n{text}\n")


def test_misfits_of_a_file_that_was_rejected_whole(spark: Any, make_project: MakeProject) -> None:
    project = make_project(f"  s: {{type: files, format: csv, path: data/raw/*, {DECLARED}}}")
    (project.folder / "data" / "raw" / "a.csv").write_bytes(b"id,id,at\n1,x,\n")
    assert ingest(project).exit_code == 0
    done = replay(project, "bronze.s", reason="twice", given=b"id,name,at\n1,x,\ny,z,\n3\n")
    assert (done.done, done.landed, done.quarantined) == (1, 1, 2)
    (held,) = quarantines(project, ["bronze.s"])
    assert sorted(row.reasons for row in held.open) == [
        ("'id' is no bigint",),
        ("it has 1 fields where the header has 3",),
    ]
    (odd,) = (row for row in held.open if "bigint" in row.reasons[0])
    assert held.raw([odd]) == {odd.place: b"y,z,\n"}
    assert replay(project, "bronze.s", ids=[odd.place.id], given=b"2,z,\n").done == 1
    assert ids(project, "s") == [1, 2]


def test_where_all_fits_nothing_is_read_twice(
    spark: Any, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(f"  s: {{type: files, format: csv, path: data/raw/*, {DECLARED}}}")
    (project.folder / "data" / "raw" / "a.csv").write_bytes(b"id,name,at\n1,x,\n")
    module = "lakehouse.sources.files.planning"
    monkeypatch.setattr(f"{module}.tell_apart", lambda *_: pytest.fail("it was read again"))
    assert ingest(project).results[0].landed == 1


def test_a_file_in_which_nothing_fits(spark: Any, make_project: MakeProject) -> None:
    project = make_project("  s: {type: files, format: json, path: data/raw/*, columns: {id: bigint}}")
    (project.folder / "data" / "raw" / "a.json").write_bytes(b'{"id":"a"}\n{"id":"b"}\n')
    assert ingest(project).results[0].quarantined == 2
    assert rejects(project, "s") == [
        (0, 1, b'{"id":"a"}\n', "'id' is no bigint"),
        (11, 2, b'{"id":"b"}\n', "'id' is no bigint"),
    ]


def test_more_misfits_than_can_be_held_refuse_the_batch(
    spark: Any, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.bronze.landing.MOST_MISFITS", 2)
    project = make_project("  s: {type: files, format: json, path: data/raw/*, columns: {id: bigint}}")
    (project.folder / "data" / "raw" / "a.json").write_bytes(b'{"id":"a"}\n{"id":"b"}\n{"id":"c"}\n{"id":4}\n')
    (result,) = ingest(project).results
    assert isinstance(result.error, ContractError)
    assert "3 of 4 records do not fit the declared types; nothing landed" in result.error.message
    assert not project.path("bronze.s").exists()
