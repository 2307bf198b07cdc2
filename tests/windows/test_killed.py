"""kill -9 on the way from files to window features online, again and again; then a run ends, and all is right."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.pipeline import run
from tests.laws.children import Children
from tests.windows.test_continuous import FILES, followed, lines, to_files
from tests.windows.test_merging import made_anew, tiles
from tests.windows.world import agree


@pytest.fixture(scope="module")
def children(engine: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    made = Children(engine, tmp_path_factory.mktemp("children"))
    yield made
    made.close()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(2, 12))])
def test_kill_9(spark: Any, tmp_path: Path, children: Children, seed: int) -> None:
    """While files land, silver merges, tiles are made, views are applied and published: five kills in each chain."""
    draw, world, numbers = random.Random(f"killed {seed}"), followed(tmp_path, spark, FILES), count()

    def send(_: int) -> None:
        lines(world, draw, datetime.now(UTC), next(numbers), to_files(tmp_path))

    children.killed_again_and_again(world.project, "run", draw=draw, send=send, later=2.0)
    done = run(world.project, wait=60)  # the JVM of one that was killed may go on for a while
    assert done.exit_code == 0, [result.note for result in done.results]
    for view in ("load", "by_shop"):
        assert tiles(world, view) == made_anew(world, view)
    agree(world, datetime.now(UTC) + timedelta(seconds=1), "a", "b")
