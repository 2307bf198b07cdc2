"""Law 2: Python is killed while its JVM commits. The JVM goes on, and who comes next must not commit beside it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from tests.laws.children import Child, one_child
from tests.laws.shop import SOURCES, TABLES, Row, agree, write_orders
from tests.laws.test_exactly_once import FIRST, SECOND, counts_add_up, run_all

TABLE = {"bronze": "bronze/orders", "state": "state/silver/orders", "silver": "silver/orders", "gold": "gold/totals"}


@pytest.mark.torture
@pytest.mark.parametrize("where", TABLE)
def test_python_is_killed_while_its_jvm_commits(
    spark: Any, engine: Project, make_project: Any, tmp_path: Path, where: str
) -> None:
    """The JVM is stopped between the draft of its log entry and the entry itself; nobody gets past its lock."""
    project = make_project(SOURCES, TABLES)
    rows: list[Row] = list(FIRST)
    write_orders(project.folder, "1", rows)
    log = project.root / TABLE[where] / "_delta_log"
    with one_child(engine, tmp_path / "killed.log") as killed, one_child(engine, tmp_path / "next.log") as following:
        killed.begin(project, "run")
        _stop_with_a_draft(killed, log)
        killed.kill("python")
        try:
            following.begin(project, "run")
            assert following.ended() == 6, following.said()
            assert "another run is writing it" in following.said()
            write_orders(project.folder, "2", SECOND)
            rows += SECOND
            following.begin(project, "run", "--wait", "60")
        finally:
            os.kill(killed.java, signal.SIGCONT)
        assert following.ended() == 0, following.said()
    agree(project.root, rows)
    counts_add_up(project, rows)
    run_all(project)
    agree(project.root, rows)


def _stop_with_a_draft(child: Child, log: Path) -> None:
    """Stop the JVM when it has written the draft of a log entry and has not renamed it yet."""
    while not child.done():
        if _drafts(log):
            os.kill(child.java, signal.SIGSTOP)
            if _drafts(log) and not list(log.glob("0*.json")):
                return
            os.kill(child.java, signal.SIGCONT)
            break
        time.sleep(0.0005)
    pytest.fail(f"no draft was met: {child.said()[-2000:]}")


def _drafts(log: Path) -> list[Path]:
    return list(log.glob(".0*.json.*.tmp"))
