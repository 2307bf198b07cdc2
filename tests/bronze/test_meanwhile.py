"""What happens to a table or a file between planning a batch and its commit: it stops, and the next run is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.bronze import landing
from lakehouse.config import Project
from lakehouse.errors import SourceUnavailableError
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


@pytest.mark.parametrize("moment", ["before the draft", "within the draft"])
def test_what_somebody_else_commits_meanwhile_stops_the_batch(
    spark: Any, project: Project, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A RESTORE takes receipts away: what lands on top of it would hide that its files have to be read again."""
    for number in "123":
        write(project, f"{number}.csv", f"a\n{number}\n")
        if number < "3":
            assert ingest(project).exit_code == 0
    step = "_written" if moment == "before the draft" else "_check_counts"
    real = getattr(landing, step)

    def restored(*arguments: Any) -> Any:
        DeltaTable(str(project.path("bronze.s"))).restore(0)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(landing, step, restored)
        (result,) = ingest(project).results
    assert result.error is not None and "Traceback" not in str(result.error)
    assert ingest(project).exit_code == 0
    assert sorted(row["a"] for row in Landed(project, "s").kinds["record"]) == ["1", "2", "3"]
