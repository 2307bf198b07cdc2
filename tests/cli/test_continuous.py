"""``lakehouse ingest --continuous``: the batch in a loop, until it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import SourceUnavailableError
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
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    assert out.count("bronze.s: 1 landed, 0 quarantined") == 2
    assert Landed(project, "s").files == ["data/raw/a.csv", "data/raw/b.csv"]


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
    rounds = follow(project, pause=lambda seconds: pytest.fail("it went on") if seconds else False)
    assert next(rounds).exit_code == 0
    file.write_text("x\n2 changed\n")
    assert next(rounds).exit_code == 1
    assert next(rounds, None) is None
