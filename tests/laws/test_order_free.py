"""Law 3: any order and any batching of the same events gives the same silver table; law 7: and so does a rebuild."""

from __future__ import annotations

import random
from typing import Any

import pytest

from lakehouse.pipeline import build, ingest
from tests.laws.shop import PARTS, SOURCES, TABLES, Row, agree, history, rows_of, write_orders


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(2, 10))])
def test_any_order_and_any_batching(spark: Any, make_project: Any, seed: int) -> None:
    rows = history(seed)
    draw = random.Random(seed)
    draw.shuffle(rows)
    project = make_project(SOURCES, PARTS if seed % 2 else TABLES)
    cuts = sorted(draw.sample(range(1, len(rows)), 2))
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        write_orders(project.folder, str(number), rows[start:stop])
        for part in (ingest, build):
            assert part(project).exit_code == 0
        agree(project.root, rows[:stop])


def test_equal_sequences_are_decided_by_content(spark: Any, make_project: Any) -> None:
    events: list[Row] = [(1, 1, "ada", 10, "new"), (1, 1, "bob", 20, "new"), (1, 1, "ada", 30, "new")]
    found = []
    for order in (events, events[::-1]):
        project = make_project(SOURCES, TABLES, folder=f"order{len(found)}")
        for number, row in enumerate(order):
            write_orders(project.folder, str(number), [row])
            assert ingest(project).exit_code == 0
            assert build(project, select=["silver.orders"]).exit_code == 0
        found.append(rows_of(project.path("silver.orders")))
    assert found[0] == found[1]


def test_equal_sequences_within_a_batch(spark: Any, make_project: Any) -> None:
    events: list[Row] = [(1, 1, "ada", 10, "new"), (1, 1, "bob", 20, "new"), (1, 1, "ada", 30, "new")]
    found = []
    for order in (events, events[::-1]):
        project = make_project(SOURCES, TABLES, folder=f"order{len(found)}")
        write_orders(project.folder, "1", order)
        for part in (ingest, build):
            assert part(project).exit_code == 0
        found.append(rows_of(project.path("silver.orders")))
    assert found[0] == found[1]


def test_without_a_sequence_the_later_landed_wins(spark: Any, make_project: Any) -> None:
    tables = TABLES.replace(', sequence_by="seq"', "")
    project = make_project(SOURCES, tables)
    write_orders(project.folder, "1", [(1, 9, "ada", 1, "new"), (1, 1, "ada", 2, "new"), (2, 1, "bob", 1, "new")])
    write_orders(project.folder, "2", [(2, 0, "bob", 2, "new")])
    for part in (ingest, build):
        assert part(project).exit_code == 0
    write_orders(project.folder, "0", [(2, 5, "bob", 3, "new")])
    for part in (ingest, build):
        assert part(project).exit_code == 0
    rows = rows_of(project.path("silver.orders"))
    assert {row["id"]: row["amount"] for row in rows} == {1: 2, 2: 3}
