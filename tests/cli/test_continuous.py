"""``lakehouse ingest --continuous``: the batch in a loop, until it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from lakehouse.bronze import land
from lakehouse.config import Project
from lakehouse.delta import locked
from lakehouse.errors import ConflictError, LockedError, SourceUnavailableError
from lakehouse.pipeline.following import follow
from tests.bronze.landed import Landed

SOURCES = "  s: {type: files, format: csv, path: data/raw/*.csv}"
MAIN = "from lakehouse.cli import main; main()"


def until(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_it_lands_what_comes_and_stops_when_told(make_project: Callable[..., Project]) -> None:
    project = make_project(SOURCES)
    raw = project.folder / "data" / "raw"
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "ingest", "--continuous", "--every", "0.3"],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for number, name in enumerate("ab"):
            draft = raw / f"{name}.part"
            draft.write_text(f"x\n{name}\n")
            draft.rename(raw / f"{name}.csv")
            log = project.path("bronze.s") / "_delta_log" / f"{number:020}.json"
            until(log.exists, process)
        (java,) = (one for one in psutil.Process(process.pid).children(recursive=True) if one.name() == "java")
        said = [word for word in java.cmdline() if "TieredStopAtLevel" in word]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    assert out.count("bronze.s: 1 landed, 0 quarantined") == 2
    assert Landed(project, "s").files == ["data/raw/a.csv", "data/raw/b.csv"]
    assert said[-1] == "-XX:TieredStopAtLevel=4"  # both compilers: the last word counts
    assert [file.name for file in (project.folder / ".cache").glob("*.properties")] == []  # with its secrets


def test_an_unavailable_source_is_tried_again_later_and_later(make_project: Any, spark: Any) -> None:
    project = make_project(SOURCES.replace("raw/", "nowhere/"))
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 7

    reports = list(follow(project, pause=pause, every=1.5))
    assert pauses == [3, 6, 12, 24, 48, 60, 60]
    assert {report.exit_code for report in reports} == {SourceUnavailableError.exit_code}


def test_any_other_failure_ends_it(make_project: Any, spark: Any) -> None:
    project = make_project(SOURCES)
    file = project.folder / "data" / "raw" / "a.csv"
    file.write_text("x\n1\n")
    rounds = follow(project, pause=lambda seconds: False)
    assert next(rounds).exit_code == 0
    file.write_text("x\n2 changed\n")
    assert next(rounds).exit_code == 1
    assert next(rounds, None) is None


def test_a_round_that_landed_something_pauses_too(make_project: Any, spark: Any) -> None:
    """A source that is read whole would be read again and again without an end."""
    project = make_project(SOURCES)
    (project.folder / "data" / "raw" / "a.csv").write_text("x\n1\n")
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 2

    reports = list(follow(project, pause=pause, every=1.5))
    assert [result.status for report in reports for result in report.results] == ["done", "unchanged"]
    assert pauses == [1.5, 1.5]


def test_a_table_at_which_another_run_is_waits_for_it(make_project: Any, spark: Any) -> None:
    project = make_project(SOURCES)
    (project.folder / "data" / "raw" / "a.csv").write_text("x\n1\n")
    pauses: list[float] = []
    with ExitStack() as busy:
        busy.enter_context(locked(spark, {"bronze.s": project.lock("bronze.s")}))

        def pause(seconds: float) -> bool:
            pauses.append(seconds)
            if len(pauses) == 2:
                busy.close()
            return len(pauses) == 3

        reports = list(follow(project, pause=pause, every=1.5))
    assert [report.exit_code for report in reports] == [LockedError.exit_code, LockedError.exit_code, 0]
    assert [result.address for report in reports for result in report.results] == ["bronze.s"] * 3
    assert pauses == [3, 6, 1.5]
    assert Landed(project, "s").files == ["data/raw/a.csv"]


def test_a_table_that_somebody_writes_meanwhile_is_tried_again(
    make_project: Any, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(SOURCES)
    raw, table = project.folder / "data" / "raw", project.path("bronze.s")
    (raw / "a.csv").write_text("x\n1\n")
    calls = [0]

    def met(*given: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            spark.sql(f"ALTER TABLE delta.`{table}` SET TBLPROPERTIES ('other' = 'program')")
        return land(*given, **more)

    monkeypatch.setattr("lakehouse.pipeline.steps.land", met)
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        (raw / "b.csv").write_text("x\n2\n")
        return len(pauses) == 3

    reports = list(follow(project, pause=pause, every=1.5))
    errors = [type(result.error) for report in reports for result in report.results]
    assert errors == [type(None), ConflictError, type(None)]
    assert pauses == [1.5, 3, 1.5]
    assert Landed(project, "s").files == ["data/raw/a.csv", "data/raw/b.csv"]
