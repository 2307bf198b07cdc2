"""Law 2: kill -9 at random moments, again and again on one project; then a run that ends leaves what it must."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.pipeline import publish
from tests.laws.children import KILLS, Children
from tests.laws.corpus import seeds
from tests.laws.shop import (
    CAPTURED,
    PUBLISHED,
    SOURCES,
    TABLES,
    Row,
    agree,
    history,
    served,
    write_features,
    write_orders,
)
from tests.laws.test_exactly_once import counts_add_up, run_all

CHAINS, QUICK = 60, 2
"""In all, and in every test run; tests/sources/test_killed.py has 40 more, and one."""


@pytest.fixture(scope="module")
def children(engine: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    made = Children(engine, tmp_path_factory.mktemp("children"))
    yield made
    made.close()


@pytest.mark.parametrize("seed", seeds("tests/laws/test_kill_9.py::test_kill_9", quick=QUICK, every=CHAINS))
def test_kill_9(spark: Any, make_project: Any, children: Children, seed: int) -> None:
    """Half of the long suite publishes too, the other half captures deletes."""
    draw = random.Random(seed)
    publishes = seed >= QUICK and seed % 2 == 1
    deletes = seed % 2 == 0
    project = make_project(SOURCES, PUBLISHED if publishes else CAPTURED if deletes else TABLES)
    if publishes:
        write_features(project.folder)
    waiting = history(seed, deletes=deletes)
    landed: list[Row] = []

    def send(kills: int) -> None:
        more = [waiting.pop() for _ in range(draw.randrange(1, 6)) if waiting]
        assert more, f"{kills} kills of {KILLS} hit a run"
        write_orders(project.folder, str(len(landed)), more)
        landed.extend(more)

    later = 2.0 if publishes else 0.1
    children.killed_again_and_again(project, "run", draw=draw, send=send, later=later)
    run_all(project)
    agree(project.root, landed)
    counts_add_up(project, landed)
    if publishes:
        assert publish(project).exit_code == 0
        served(project, landed)
