"""Two runs at once: the second one exits 6, or waits until it may."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.cli.demo import empty
from lakehouse.config import Project
from lakehouse.delta import locked
from lakehouse.errors import LockedError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed

MAIN = "from lakehouse.cli import main; main()"


def test_another_process_is_refused_or_waits(spark: Any, make_project: Callable[..., Project]) -> None:
    project = make_project("  s: {type: files, format: csv, path: data/raw/*.csv}")
    (project.folder / "data" / "raw" / "a.csv").write_text("a\n1\n")

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", MAIN, "ingest", *words],
            cwd=project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with locked(spark, {"bronze.s": project.lock("bronze.s")}):
        refused, waits = start(), start("--wait", "300")
        out, err = refused.communicate(timeout=200)
        assert refused.returncode == 6, out + err
        assert "bronze.s: another run is writing it" in out + err
        assert "--wait" in out + err
        time.sleep(2)
        assert waits.poll() is None
        assert not project.path("bronze.s").exists()
    out, err = waits.communicate(timeout=200)
    assert waits.returncode == 0, out + err
    assert Landed(project, "s").files == ["data/raw/a.csv"]


def test_two_runs_of_one_process_exclude_each_other(spark: Any, make_project: Callable[..., Project]) -> None:
    project = make_project("  s: {type: files, format: csv, path: data/raw/*.csv}")
    (project.folder / "data" / "raw" / "a.csv").write_text("a\n1\n")
    with locked(spark, {"bronze.s": project.lock("bronze.s")}):
        started = time.monotonic()
        with pytest.raises(LockedError, match=r"bronze\.s: another run"):
            ingest(project, wait=1)
        assert time.monotonic() - started > 1
    assert ingest(project).exit_code == 0


def test_a_refused_run_leaves_the_lock_to_the_first(spark: Any, make_project: Callable[..., Project]) -> None:
    """POSIX drops a process's lock when it closes any handle of the file: no refusal may do so."""
    project = make_project("  s: {type: files, format: csv, path: data/raw/*.csv}")
    lock = {"bronze.s": project.lock("bronze.s")}
    foreign = f"import fcntl; fcntl.lockf(open({str(lock['bronze.s'])!r}, 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with locked(spark, lock):
        with pytest.raises(LockedError), locked(spark, lock):
            pytest.fail("it was locked twice")
        spark.sparkContext._jvm.java.lang.System.gc()
        with pytest.raises(LockedError), locked(spark, lock):
            pytest.fail("it was locked twice")
        assert subprocess.run([sys.executable, "-c", foreign], stderr=subprocess.DEVNULL).returncode != 0
    assert subprocess.run([sys.executable, "-c", foreign]).returncode == 0


def test_a_fresh_demo_waits_for_no_ones_tables(spark: Any, make_project: Callable[..., Project]) -> None:
    project = make_project("  s: {type: files, format: csv, path: data/raw/*.csv}")
    (project.folder / "data" / "raw" / "a.csv").write_text("a\n1\n")
    assert ingest(project).exit_code == 0
    with locked(spark, {"bronze.s": project.lock("bronze.s")}), pytest.raises(LockedError, match=r"bronze\.s: another"):
        empty(project)
    assert Landed(project, "s").files == ["data/raw/a.csv"]
    empty(project)
    assert not project.path("bronze.s").exists()


def test_a_lock_that_fails_lets_the_others_go(spark: Any, make_project: Callable[..., Project]) -> None:
    project = make_project("  {}")
    one, two = {"a": project.lock("a")}, {"b": project.lock("b")}
    with locked(spark, two), pytest.raises(LockedError), locked(spark, one | two):
        pytest.fail("it was locked twice")
    with locked(spark, one | two):
        pass
