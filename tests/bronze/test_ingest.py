"""Each file lands once: two runs, a new file, a changed one, log clean-up, OPTIMIZE and RESTORE."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.bronze import land, read_receipts
from lakehouse.cli import run as command
from lakehouse.config import Project, load_project
from lakehouse.errors import ConservationError, SourceUnavailableError, StorageError
from lakehouse.pipeline import Report, ingest, running
from lakehouse.pipeline.workspace import clock
from lakehouse.sources.files.planning import plan_batch
from tests.bronze.landed import Landed

MakeProject = Callable[..., Project]
SOURCES = "  s: {type: files, format: csv, path: data/raw/*.csv}"


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    return make_project(SOURCES)


def write(project: Project, name: str, text: str | bytes) -> Path:
    path = project.folder / "data" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def done(project: Project) -> Report:
    report = ingest(project)
    assert report.exit_code == 0, [str(result.error) for result in report.results]
    return report


def without_spark(project: Project, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Ingest where a session can't be opened."""
    with monkeypatch.context() as patched:
        patched.setattr(running, "open_session", lambda *_: pytest.fail("a session was opened"))
        return ingest(project)


def bytes_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_each_file_lands_once(spark: Any, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project, "a.csv", 'x,y\n1,\n2,""\n3\n')
    (result,) = done(project).results
    assert (result.status, result.read, result.landed, result.quarantined) == ("done", 3, 2, 1)
    first = Landed(project, "s")
    assert first.records == Counter(
        [("data/raw/a.csv", ("x", "1"), ("y", None)), ("data/raw/a.csv", ("x", "2"), ("y", ""))]
    )
    (reject,) = first.kinds["reject"]
    assert (reject["_raw"], reject["_offset"], reject["_line"], reject["_file"]) == (b"3\n", 12, 4, "data/raw/a.csv")
    assert "1 fields where the header has 2" in reject["_reason"]

    before = bytes_below(project.root)
    (result,) = without_spark(project, monkeypatch).results
    assert (result.status, result.read) == ("unchanged", 0)
    assert bytes_below(project.root) == before

    write(project, "b.csv", "x,y\n4,5\n")
    (result,) = done(project).results
    assert (result.read, result.landed) == (1, 1)
    second = Landed(project, "s")
    assert second.version == first.version + 1
    assert second.receipts.keys() - first.receipts.keys() == {1}
    assert [file["path"] for file in second.receipts[1]["cursor"]["files"]] == ["data/raw/b.csv"]
    assert second.records - first.records == Counter([("data/raw/b.csv", ("x", "4"), ("y", "5"))])


def test_a_changed_file_stops_the_source(
    spark: Any, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(project, "a.csv", "x\n1\n")
    done(project)
    os.utime(path, ns=(5, 5))
    assert without_spark(project, monkeypatch).results[0].status == "unchanged"
    before = bytes_below(project.root)
    write(project, "a.csv", "x\n9\n")
    write(project, "b.csv", "x\n2\n")
    report = without_spark(project, monkeypatch)
    assert report.exit_code == 1
    assert "data/raw/a.csv (landed with 4 bytes, now 4)" in str(report.results[0].error)
    monkeypatch.chdir(project.folder)
    assert command(["ingest"]) == 1
    said = capsys.readouterr()
    assert "data/raw/a.csv" in said.out + said.err
    assert "Traceback" not in said.out + said.err
    assert bytes_below(project.root) == before
    write(project, "a.csv", "x\n1\n")
    assert done(project).results[0].landed == 1


def test_clean_up_optimize_and_restore_change_nothing(
    spark: Any, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(project, f"{name}.csv", f"x\n{name}\n")
        done(project)
    whole = Landed(project, "s")
    name = f"delta.`{whole.path}`"

    def forget_the_log() -> None:
        table = DeltaTable(str(whole.path))
        table.create_checkpoint()
        for entry in (whole.path / "_delta_log").glob("*.json"):
            if int(entry.stem) < table.version():
                entry.unlink()

    def assert_nothing_new() -> None:
        before = bytes_below(project.root)
        assert without_spark(project, monkeypatch).results[0].status == "unchanged"
        assert bytes_below(project.root) == before
        assert Landed(project, "s").records == whole.records

    spark.sql(f"OPTIMIZE {name}").collect()
    assert DeltaTable(str(whole.path)).version() == 3
    assert_nothing_new()
    spark.sql(f"RESTORE TABLE {name} TO VERSION AS OF 1").collect()
    assert Landed(project, "s").files == ["data/raw/a.csv", "data/raw/b.csv"]
    (result,) = done(project).results
    assert (result.status, result.landed) == ("done", 1)
    again = Landed(project, "s")
    assert again.records == whole.records
    assert sorted(again.receipts) == [0, 1, 5]
    forget_the_log()
    assert_nothing_new()
    write(project, "d.csv", "x\nd\n")
    assert done(project).results[0].landed == 1
    assert sorted(Landed(project, "s").files) == [f"data/raw/{name}.csv" for name in "abcd"]


def test_all_formats_and_two_sources_in_one_run(spark: Any, make_project: MakeProject) -> None:
    project = make_project(
        SOURCES
        + "\n  j: {type: files, format: json, path: data/raw/*.json}"
        + "\n  p: {type: files, format: parquet, path: data/raw/*.parquet}"
    )
    write(project, "a b.csv", "x\n1\n")
    write(project, "a.json", '{"x":1.10}\n{"x":\n')
    pq.write_table(pa.table({"x": [1, 2]}), project.folder / "data/raw/a.parquet")
    write(project, "b.parquet", b"PAR1 no")
    results = {result.address: result for result in done(project).results}
    counts = {name: (result.read, result.landed, result.quarantined) for name, result in results.items()}
    assert counts == {"bronze.s": (1, 1, 0), "bronze.j": (2, 1, 1), "bronze.p": (3, 2, 1)}
    assert Landed(project, "j").records == Counter([("data/raw/a.json", ("x", "1.10"))])
    assert sorted(Landed(project, "p").records) == [("data/raw/a.parquet", ("x", n)) for n in (1, 2)]
    (reject,) = Landed(project, "p").kinds["reject"]
    assert reject["_raw"] == b"PAR1 no"


def test_one_source_may_fail_alone(spark: Any, make_project: MakeProject) -> None:
    project = make_project(SOURCES + "\n  gone: {type: files, format: csv, path: data/gone/*.csv}")
    write(project, "a.csv", "x\n1\n")
    report = ingest(project)
    assert [(result.address, result.status) for result in report.results] == [
        ("bronze.gone", "failed"),
        ("bronze.s", "done"),
    ]
    assert Landed(project, "s").files == ["data/raw/a.csv"]


def test_a_missing_folder_is_a_source_to_try_again(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project("  s: {type: files, format: csv, path: data/gone/*.csv}")
    report = without_spark(project, monkeypatch)
    assert report.exit_code == 5
    assert str(project.folder / "data/gone") in str(report.results[0].error)
    monkeypatch.chdir(project.folder)
    assert command(["ingest"]) == 5
    said = capsys.readouterr()
    assert "data/gone" in said.out + said.err
    assert not project.root.exists()


def test_a_source_without_files_does_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    report = without_spark(project, monkeypatch)
    assert (report.exit_code, report.results[0].status) == (0, "unchanged")
    assert not project.root.exists()


@pytest.mark.parametrize("where", ["", "bronze", ".locks"])
def test_a_root_that_cannot_be_written(spark: Any, project: Project, where: str) -> None:
    write(project, "a.csv", "x\n1\n")
    blocked = project.root / where
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where a folder should be")
    try:
        report = ingest(project)
    except StorageError as error:
        message = str(error)
    else:
        assert report.exit_code == 1
        assert isinstance(report.results[0].error, StorageError)
        message = str(report.results[0].error)
    assert str(project.root) in message
    blocked.unlink()
    assert done(project).results[0].landed == 1


def test_a_folder_with_another_table_is_refused(spark: Any, project: Project) -> None:
    write(project, "a.csv", "x\n1\n")
    spark.range(1).write.format("delta").save(str(project.path("bronze.s")))
    report = ingest(project)
    assert report.exit_code == 1
    assert "no bronze table of ours" in str(report.results[0].error)


def test_a_torn_log_is_an_error_in_words(spark: Any, project: Project) -> None:
    write(project, "a.csv", "x\n1\n")
    done(project)
    (project.path("bronze.s") / "_delta_log" / f"{0:020}.json").write_text('{"commitInfo"')
    write(project, "b.csv", "x\n1\n")
    report = ingest(project)
    assert report.exit_code == 1
    assert isinstance(report.results[0].error, StorageError)


def landing(spark: Any, project: Project) -> tuple[Callable[..., Any], Any]:
    path, source = project.path("bronze.s"), project.config.sources["s"]
    receipts = read_receipts(path)
    batch = plan_batch("s", source, project.folder, [])
    assert batch is not None
    return lambda changed=None: land(spark.newSession(), "s", source, path, receipts, changed or batch, clock()), batch


def test_a_file_that_grows_between_count_and_landing(spark: Any, project: Project) -> None:
    path = write(project, "a.csv", "x\n1\n")
    land_it, _ = landing(spark, project)
    path.write_text("x\n1\n2\n")
    with pytest.raises(SourceUnavailableError, match=r"a\.csv: it changed while it was read"):
        land_it()
    assert not project.path("bronze.s").exists()
    assert done(project).results[0].landed == 2


def test_counts_that_do_not_agree_stop_the_batch(spark: Any, project: Project) -> None:
    write(project, "a.csv", "x\n1\n")
    land_it, batch = landing(spark, project)
    with pytest.raises(ConservationError, match="hold 2 records and Spark reads 1"):
        land_it(replace(batch, records=2))
    assert not project.path("bronze.s").exists()


def test_receipts_say_what_was_taken(spark: Any, project: Project) -> None:
    path = write(project, "a.csv", "x\n1\n")
    done(project)
    (receipt,) = Landed(project, "s").receipts.values()
    status = path.stat()
    assert receipt == {
        "cursor": {
            "files": [
                {
                    "path": "data/raw/a.csv",
                    "size": 4,
                    "mtime_ns": status.st_mtime_ns,
                    "sha256": hashlib.sha256(b"x\n1\n").hexdigest(),
                    "records": 1,
                    "rejects": 0,
                }
            ]
        },
        "took": "1 file",
        **{"columns": ["x"], "read": 1, "landed": 1, "quarantined": 0, "note": "", "types": {"x": "string"}},
    }


def test_a_project_in_a_folder_with_an_odd_name(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "50% of [my] `shop`+é's"
    for below in ("conf", "jobs"):
        (folder / below).mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text(f"name: odd\nroot: the lake\ntables: jobs.odd\nsources:\n{SOURCES}\n")
    for file in ("__init__.py", "odd.py"):
        (folder / "jobs" / file).touch()
    project = load_project(folder)
    write(project, "a b.csv", "x\n1\n")
    assert done(project).results[0].landed == 1
    write(project, "b+.csv", "x\n1\n")
    assert done(project).results[0].landed == 1
    assert sorted(row["_file"] for row in Landed(project, "s").kinds["record"]) == [
        "data/raw/a b.csv",
        "data/raw/b+.csv",
    ]
