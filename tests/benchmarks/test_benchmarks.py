"""The benchmarks run, and what they write has one shape. No test asserts how long anything takes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import figures
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.figures import FIELDS, Figure
from benchmarks.machine import REPOSITORY
from benchmarks.measure import BenchmarkError, Cost, Rounds, in_turn, run


@pytest.mark.torture
def test_a_quick_run_writes_figures_of_one_shape(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--into", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "load average" in done.stdout

    written = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert [figure["name"] for figure in written] == ["help", "check"]
    for figure in written:
        assert tuple(figure)[: len(FIELDS)] == FIELDS
        assert figure["ours"] > 0
        assert figure["floor"] > 0
        assert figure["met"] in (True, False)
        assert {"lakehouse", "pyspark", "feast", "Python", "Java"} <= figure["versions"].keys()
        assert all(cost["cpu_s"] > 0 and cost["memory_mib"] > 0 for cost in figure["costs"]["ours"])
    page = (tmp_path / "results.md").read_text()
    assert f"| {' | '.join(FIELDS)} |" in page
    assert "| help | s |" in page


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    known = [_figure("ingest", costs=Rounds([Cost(1.0, 2.0, None, 0.5)], [Cost(0.5, 1.0, 3.0, 0.0)]), parts={"a": 1.0})]
    figures.write(tmp_path, known)
    assert figures.read(tmp_path) == known


def test_no_results_yet(tmp_path: Path) -> None:
    assert figures.read(tmp_path) == []


def test_new_figures_take_the_place_of_old_ones_and_the_others_stay() -> None:
    known = [_figure("help"), _figure("demo: peak memory"), _figure("gone"), _figure("demo")]
    merged = figures.merge(known, [_figure("help", ours=9.0), _figure("month")], list(BENCHMARKS))
    assert [figure.name for figure in merged] == ["demo: peak memory", "demo", "month", "help", "gone"]
    assert next(figure.ours for figure in merged if figure.name == "help") == 9.0


@pytest.mark.parametrize(
    ("goal", "better", "met"),
    [(None, "less", None), (1.0, "less", True), (0.9, "less", False), (1.0, "more", True), (1.1, "more", False)],
)
def test_a_goal_is_met_or_not(goal: float | None, better: str, met: bool | None) -> None:
    assert replace(_figure("demo"), goal=goal, better=better).met is met


def test_what_is_compared_is_shown_as_a_ratio() -> None:
    figure = _figure("ingest", ours=3.0, floor=2.0)
    assert "| ingest | s | 3.00 |  | 2.00 (×1.50) |" in figures.markdown([figure])
    assert figure.as_json()["ours_over_floor"] == 1.5


def test_an_unknown_benchmark_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demos"]) == 2
    assert "no benchmark demos; there are: demo, " in capsys.readouterr().err


def test_processes_that_outlive_the_command_are_counted(tmp_path: Path) -> None:
    """As a JVM outlives its Python: memory is seen while the command runs, CPU until the last process has ended."""
    child = (
        "import sys, time; held = bytearray(100 * 2**20); print(flush=True); sys.stdin.read()\n"
        "while time.process_time() < 0.5: pass"
    )
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=-1, stdout=-1)\n"
        "child.stdout.readline(); time.sleep(0.3); print('done')"
    )
    done = run([sys.executable, "-c", parent], tmp_path)
    assert done.stdout == "done"
    assert done.cost.cpu_s > 0.4
    assert done.cost.memory_mib is not None
    assert done.cost.memory_mib > 100


def test_a_command_that_fails_says_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"ended with 3 after .*\nno such thing"):
        run([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"], tmp_path)


def test_a_command_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="the limit of"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, limit_s=0.5)


def test_who_goes_first_changes() -> None:
    went: list[str] = []

    def work(name: str) -> Cost:
        went.append(name)
        return Cost(float(len(went)), 0.0, 1024.0 * len(went), 0.0)

    rounds = in_turn(3, lambda: work("ours"), lambda: work("floor"))
    assert went == ["ours", "floor", "floor", "ours", "ours", "floor"]
    assert rounds.median("wall_s") == 4.0
    assert rounds.peak_gib("floor") == 6.0


def _figure(name: str, **more: object) -> Figure:
    values = {
        "unit": "s",
        "ours": 1.0,
        "date": "2026-01-01 00:00",
        "versions": {},
        "machine": "m",
        "load": 0.5,
        "how": "x",
    }
    return Figure(name=name, **(values | more))  # type: ignore[arg-type]
