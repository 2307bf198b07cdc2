"""Law 2: a run that dies at any step of a commit and is started again leaves the tables of one that did not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.config import Project
from lakehouse.pipeline import build, ingest
from lakehouse.pipeline.workspace import Workspace
from lakehouse.silver.state import receipts
from tests.laws.shop import PARTS, SOURCES, TABLES, Row, agree, expected, rows_of, write_orders

FIRST: list[Row] = [
    (1, 1, "ada", 10, "new"),
    (2, 1, "bob", 20, "new"),
    (2, 3, "bob", 25, "paid"),
    (None, 1, "eve", 5, "new"),
    (3, 1, "ada", 5000, "new"),
    (4, 1, "cy", 1, "draft"),
]
SECOND: list[Row] = [(1, 2, "ada", 15, "paid"), (2, 2, "bob", 99, "late"), (5, 1, "dan", 7, "new")]

STEPS = [
    ("lakehouse.delta.draft", "Draft.write"),
    ("lakehouse.delta.draft", "Draft.add"),
    ("lakehouse.delta.draft", "Draft.commit"),
    ("lakehouse.silver.merging", "record"),
    ("lakehouse.silver.merging", "create"),
    ("lakehouse.silver.merging", "apply_changes"),
    ("lakehouse.gold.receipts", "record"),
    ("lakehouse.gold.building", "create"),
    ("lakehouse.gold.building", "replace_by_difference"),
]
REBUILD = [
    ("lakehouse.silver.merging", "set_properties"),
    ("lakehouse.silver.merging", "record"),
    ("lakehouse.silver.merging", "apply_changes"),
    ("lakehouse.gold.building", "set_properties"),
    ("lakehouse.gold.building", "replace_by_difference"),
]


NEXT_TO_NOTHING = {  # nothing was written when these die, or just what the step before them had written
    ("lakehouse.delta.draft", "Draft.write", "before"),
    ("lakehouse.delta.draft", "Draft.write", "after"),
    ("lakehouse.delta.draft", "Draft.add", "before"),
    ("lakehouse.delta.draft", "Draft.commit", "before"),
    ("lakehouse.silver.merging", "record", "before"),
    ("lakehouse.silver.merging", "create", "before"),
    ("lakehouse.silver.merging", "apply_changes", "before"),
    ("lakehouse.gold.receipts", "record", "before"),
    ("lakehouse.gold.receipts", "record", "after"),
    ("lakehouse.gold.building", "create", "before"),
    ("lakehouse.gold.building", "replace_by_difference", "before"),
    ("lakehouse.silver.merging", "set_properties", "before"),
    ("lakehouse.gold.building", "set_properties", "before"),
}


def cases(steps: list[tuple[str, str]]) -> list[Any]:
    """Each step, before and after its commit; the least telling ones in the long suite only."""
    every = [(*step, moment) for step in steps for moment in ("before", "after")]
    return [pytest.param(*case, marks=[pytest.mark.torture] * (case in NEXT_TO_NOTHING)) for case in every]


class Killed(BaseException):
    """No error: the process ends here, and nothing may catch it."""


def dies(monkeypatch: pytest.MonkeyPatch, module: str, step: str, moment: str) -> None:
    """Make the step end the run before it commits, or after, when the commit's reply is lost."""
    real: Callable[..., Any] = attrgetter(step)(sys.modules[module])

    def step_that_dies(*args: Any, **named: Any) -> None:
        if moment == "after":
            real(*args, **named)
        raise Killed(f"{moment} {module}.{step}")

    monkeypatch.setattr(f"{module}.{step}", step_that_dies)


def run_all(project: Project) -> None:
    for part in (ingest, build):
        report = part(project, wait=60)  # a killed JVM holds its locks until the system has buried it
        assert report.exit_code == 0, [str(result.error) for result in report.results if result.error]


def counts_add_up(project: Project, rows: list[Row]) -> None:
    """Law 1: what the receipts say together is what the oracle counts, each batch once."""
    origin = Workspace(project).silver("silver.orders").origin
    found = receipts(project.state("silver.orders"), origin)
    counts = expected(rows)["counts"]
    assert sum(one.rows_in for one in found) == counts["in"]
    assert sum(one.rows_out for one in found) == counts["out"]
    assert sum(one.quarantined for one in found) == counts["quarantined"]
    assert all(one.adds_up for one in found)
    rejects = rows_of(project.state("silver.orders"), f"_kind = 'reject' AND _origin = '{origin}'")
    assert len(rejects) == counts["quarantined"]


@pytest.mark.parametrize(("module", "step", "moment"), cases(STEPS))
def test_killed_at_a_commit(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, module: str, step: str, moment: str
) -> None:
    project = make_project(SOURCES, PARTS if "gold" in module else TABLES)
    rows: list[Row] = []
    fell = 0
    for name, more in (("1", FIRST), ("2", SECOND)):
        write_orders(project.folder, name, more)
        rows += more
        with monkeypatch.context() as patched:
            dies(patched, module, step, moment)
            try:
                run_all(project)
            except Killed:
                fell += 1
        run_all(project)
        agree(project.root, rows)
    assert fell >= 1, "the step was in neither run"
    counts_add_up(project, rows)


@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.torture), "after"])
def test_killed_when_a_table_is_told_to_take_times_without_a_zone(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A commit of its own before that of the batch: the next run lands the batch, and tells the table no more."""
    project = make_project("  s: {type: files, format: parquet, path: data/raw/*.parquet}")
    noon = datetime(2026, 1, 1, 12)
    first, second = (project.folder / "data" / "raw" / f"{number}.parquet" for number in "12")
    pq.write_table(pa.table({"n": [1]}), first)
    assert ingest(project).exit_code == 0
    pq.write_table(pa.table({"n": [2], "at": pa.array([noon], pa.timestamp("us"))}), second)
    with monkeypatch.context() as patched:
        dies(patched, "lakehouse.bronze.landing", "set_properties", moment)
        with pytest.raises(Killed):
            ingest(project)
    features = DeltaTable(str(project.path("bronze.s"))).protocol().writer_features or []
    assert ("timestampNtz" in features) == (moment == "after")
    for read in (1, 0):
        (result,) = ingest(project, wait=60).results
        assert (result.error, result.read, result.landed) == (None, read, read)
    rows = rows_of(project.path("bronze.s"), "_kind = 'record'")
    assert sorted((row["n"], row["at"]) for row in rows) == [(1, None), (2, noon)]
    assert len(rows_of(project.path("bronze.s"), "_kind = 'receipt'")) == 2


@pytest.mark.parametrize(("module", "step", "moment"), cases(REBUILD))
def test_killed_in_a_rebuild(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, module: str, step: str, moment: str
) -> None:
    project = make_project(SOURCES, TABLES)
    write_orders(project.folder, "1", FIRST + SECOND)
    run_all(project)
    table = str(project.path("silver.orders"))
    identity = DeltaTable(table).metadata().id
    make_project(SOURCES, TABLES.replace("0, 1000)", "0, 20)").replace('F.count("*")', 'F.count("id")'))
    with monkeypatch.context() as patched:
        dies(patched, module, step, moment)
        with pytest.raises(Killed):
            run_all(project)
    run_all(project)
    late: list[Row] = []
    if step == "record":  # what was judged is finished as it was; what landed meanwhile comes after it
        make_project(SOURCES, TABLES.replace("0, 1000)", "0, 20)").replace("AS bigint)", "AS double)"))
        with monkeypatch.context() as patched:
            dies(patched, module, step, moment)
            with pytest.raises(Killed):
                run_all(project)
        late = [(7, 1, "ada", 3, "new"), (8, 1, "ada", 4000, "new")]
        write_orders(project.folder, "2", late)
        run_all(project)
    out_of_range = [row if row[3] <= 20 else (*row[:3], 5000, row[4]) for row in FIRST + SECOND + late]
    agreed = expected(out_of_range)
    assert {row["id"]: row["amount"] for row in rows_of(project.path("silver.orders"))} == {
        row[0]: row[3] for row in agreed["silver"]
    }
    assert DeltaTable(table).metadata().id == identity
    counts_add_up(project, out_of_range)


@pytest.mark.parametrize("log", ["no log", "an empty log"])
def test_killed_within_the_first_commit(spark: Any, make_project: Any, log: str) -> None:
    """Files of a table that was never committed are in every folder: the next run is not taken aback."""
    project = make_project(SOURCES, TABLES)
    addresses = ("bronze.orders", "silver.orders", "gold.totals")
    for folder in (*map(project.path, addresses), project.state("silver.orders")):
        folder.mkdir(parents=True)
        (folder / "part-00000-aa-c000.snappy.parquet").write_bytes(b"PAR1 half")
        if log == "an empty log":
            (folder / "_delta_log").mkdir()
            (folder / "_delta_log" / ".00000000000000000000.json.aa.tmp").write_text("{")
    write_orders(project.folder, "1", FIRST)
    run_all(project)
    agree(project.root, FIRST)
    counts_add_up(project, FIRST)
