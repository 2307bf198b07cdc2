"""``refresh=by(…)``: a table of which just the changed part is computed is what it would be if all of it were."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.gold.days import Lake, sold, three_days


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(2, 40))])
def test_any_changes_to_any_input(spark: Any, tmp_path: Path, seed: int) -> None:
    draw, lake = random.Random(seed), Lake(tmp_path, spark)
    said = []
    for _ in range(10):
        for _ in range(draw.randrange(1, 6)):
            lake.step(draw)
        for table in draw.sample([sold, three_days], draw.randrange(1, 3)):
            work = lake.plan(table)
            built = lake.build(table)
            lake.agrees(table)
            said.append((work.since is not None, built.why if built else ""))
    for table in (sold, three_days):
        lake.build(table)
        lake.agrees(table)
        lake.build(table, into="whole")
        assert lake.held(table) == lake.held(table, into="whole")
    parts = [why for part, why in said if part]
    assert sum("of 'day'" in why and "whole" not in why for why in parts) >= 4, said
