"""What happens to a table or a file between planning a batch and its commit: it stops, and the next run is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.bronze import landing
from lakehouse.config import Project
from lakehouse.errors import ConflictError, SourceUnavailableError
from lakehouse.pipeline import ingest
from lakehouse.sources.files import reading
from tests.bronze.landed import Landed


@pytest.fixture
def project(make_project: Any) -> Project:
    made: Project = make_project("  s: {type: files, format: csv, path: data/raw/*.csv}")
    return made


def write(project: Project, name: str, text: str) -> Path:
    path = project.folder / "data" / "raw" / name
    path.write_text(text)
    return path


def test_a_file_that_goes_away_before_it_is_read(spark: Any, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(project, "1.csv", "a\n1\n")
    real = reading.read_files

    def gone(*arguments: Any) -> Any:
        path.unlink(missing_ok=True)
        return real(*arguments)

    monkeypatch.setattr(reading, "read_files", gone)
    (result,) = ingest(project).results
    assert isinstance(result.error, SourceUnavailableError)
    assert "1.csv: can't be read" in result.error.message


def restore(table: DeltaTable) -> None:
    """It takes receipts away: what lands on top of it would hide that their files have to be read again."""
    table.restore(0)


def compact(table: DeltaTable) -> None:
    table.optimize.compact()


@pytest.mark.parametrize("does", [restore, compact])
@pytest.mark.parametrize("moment", ["before the draft", "within the draft"])
def test_what_somebody_else_commits_meanwhile_stops_the_batch(
    spark: Any,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    does: Callable[[DeltaTable], None],
) -> None:
    for number in "123":
        write(project, f"{number}.csv", f"a\n{number}\n")
        if number < "3":
            assert ingest(project).exit_code == 0
    step = "_written" if moment == "before the draft" else "_check_counts"
    real = getattr(landing, step)

    def meanwhile(*arguments: Any) -> Any:
        does(DeltaTable(str(project.path("bronze.s"))))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(landing, step, meanwhile)
        (result,) = ingest(project).results
    assert isinstance(result.error, ConflictError)
    assert "somebody else wrote to the table" in str(result.error) and "Run again" in str(result.error)
    table = DeltaTable(str(project.path("bronze.s")))
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False, full=False)
    known = {uri.rpartition("/")[2] for uri in table.file_uris()}
    assert {path.name for path in project.path("bronze.s").rglob("_kind=*/*.parquet")} == known  # no draft is left
    assert ingest(project).exit_code == 0
    assert sorted(row["a"] for row in Landed(project, "s").kinds["record"]) == ["1", "2", "3"]
