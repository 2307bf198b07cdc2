"""Runs: the unchanged is left alone, the changed is rebuilt, what fails stops what depends on it and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.config import Project
from lakehouse.delta import read_table
from lakehouse.errors import GateError, LockedError
from lakehouse.pipeline import Report, Result, build, ingest, plan
from tests.laws.shop import PARTS, SOURCES, TABLES, Row, agree, rows_of, write_orders

ROWS: list[Row] = [(1, 1, "ada", 10, "new"), (2, 1, "bob", 20, "new"), (3, 1, "bob", 5, "new")]


def run_both(project: Project) -> dict[str, Result]:
    reports = [ingest(project), build(project)]
    return {result.address: result for report in reports for result in report.results}


def versions(project: Project) -> dict[str, int]:
    return {
        name: DeltaTable(str(project.path(name))).version()
        for name in ("bronze.orders", "silver.orders", "gold.totals")
    }


@pytest.fixture
def shop(spark: Any, make_project: Any) -> Project:
    project: Project = make_project(SOURCES, TABLES)
    write_orders(project.folder, "1", ROWS)
    results = run_both(project)
    assert {result.status for result in results.values()} == {"done"}
    agree(project.root, ROWS)
    return project


def test_nothing_new_writes_nothing(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    before = versions(shop)
    monkeypatch.setattr("lakehouse.pipeline.running.open_session", lambda project: pytest.fail("a session was opened"))
    results = run_both(shop)
    assert {result.status for result in results.values()} == {"unchanged"}
    assert versions(shop) == before
    assert {step.action for step in plan(shop).steps} == {"unchanged"}


def test_a_changed_definition_rebuilds_its_table_and_what_follows(shop: Project, make_project: Any) -> None:
    make_project(SOURCES, TABLES.replace("# ", "#  ").replace('"""What each', '"""All that each'))
    assert {step.action for step in plan(shop).steps} == {"unchanged"}, "a comment or a docstring changed"
    changed = TABLES.replace("<> 'draft'", "NOT IN ('draft', 'void')").replace('AS bigint)\').alias("amount")', "")
    make_project(SOURCES, changed)
    assert [(step.address, step.action) for step in plan(shop).steps] == [
        ("bronze.orders", "unchanged"),
        ("silver.orders", "rebuild"),
        ("gold.totals", "update"),
    ]
    table = str(shop.path("silver.orders"))
    identity = DeltaTable(table).metadata().id
    results = run_both(shop)
    assert results["silver.orders"].note == "its function, rules or settings changed"
    assert DeltaTable(table).metadata().id == identity
    agree(shop.root, ROWS)


def test_a_wider_type_rebuilds_in_place(shop: Project, make_project: Any) -> None:
    make_project(SOURCES, TABLES.replace("try_cast(amount AS bigint)", "try_cast(amount AS double)"))
    run_both(shop)
    schema = DeltaTable(str(shop.path("silver.orders"))).schema()
    assert {field.name: str(field.type) for field in schema.fields}["amount"] == 'PrimitiveType("double")'
    agree(shop.root, ROWS)


@pytest.mark.parametrize(
    "address", ["silver.orders", "gold.totals", pytest.param("bronze.orders", marks=pytest.mark.torture)]
)
def test_a_restored_table_ends_right(spark: Any, shop: Project, address: str) -> None:
    more: list[Row] = [(1, 2, "ada", 11, "paid"), (9, 1, "eve", 1, "new")]
    write_orders(shop.folder, "2", more)
    run_both(shop)
    for _ in range(2):  # restoring brings properties back too: the second time must not look like the first
        spark.sql(f"RESTORE TABLE delta.`{shop.path(address)}` TO VERSION AS OF 0").collect()
        run_both(shop)
        agree(shop.root, ROWS + more)
    last: list[Row] = [(9, 2, "eve", 2, "paid")]
    write_orders(shop.folder, "3", last)
    run_both(shop)
    agree(shop.root, ROWS + more + last)


def test_a_row_that_goes_leaves_gold(spark: Any, shop: Project) -> None:
    more: list[Row] = [(1, 2, "eve", 11, "paid")]  # ada's only order is another's now
    write_orders(shop.folder, "2", more)
    run_both(shop)
    assert {row["customer"] for row in rows_of(shop.path("gold.totals"))} == {"bob", "eve"}


REFRESHED = (
    PARTS
    + """
@gold.table(key="id", refresh=gold.by("customer"))
def ranked(silver_orders, gold_totals):
    return silver_orders.join(gold_totals, "customer").select("id", "customer", "orders")

@gold.table(key="id", refresh=gold.by("seq"))
def unlike(silver_orders, gold_totals):
    return silver_orders.join(gold_totals, "customer").select("id", "seq", "orders")
"""
)


def test_a_table_that_is_refreshed_by_a_column(spark: Any, make_project: Any) -> None:
    """Silver's own feed tells which customers changed, and so does gold's; a plan says what will be whole."""
    project: Project = make_project(SOURCES, REFRESHED)
    write_orders(project.folder, "1", ROWS)
    run_both(project)
    more: list[Row] = [(2, 2, "eve", 20, "paid"), (5, 1, "cy", 3, "new")]  # bob's order is eve's now
    write_orders(project.folder, "2", more)
    whole = "the whole table, for gold.totals has no 'seq' of the table's type"
    before = {step.address: step.why for step in plan(project).steps}
    assert before["gold.totals"] == "silver.orders changes"
    assert before["gold.unlike"] == f"silver.orders, gold.totals changes; {whole}"
    results = run_both(project)
    assert results["gold.totals"].note == "2 new, 1 changed; 3 values of 'customer'"
    assert results["gold.ranked"].note == "1 new, 2 changed; 3 values of 'customer'"
    assert results["gold.unlike"].note == f"its inputs changed; {whole}; 1 new, 2 changed"
    agree(project.root, ROWS + more)
    assert {(row["id"], row["customer"], row["orders"]) for row in rows_of(project.path("gold.ranked"))} == {
        (1, "ada", 1),
        (2, "eve", 1),
        (3, "bob", 1),
        (5, "cy", 1),
    }


@pytest.mark.parametrize(
    "why",
    ["deletion vectors", *(pytest.param(why, marks=pytest.mark.torture) for why in ("mapped columns", "many files"))],
)
def test_a_table_that_is_left_to_delta(spark: Any, shop: Project, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Files alone are not the rows of every table: a deleted row is still in its file."""
    if why == "many files":
        monkeypatch.setattr("lakehouse.delta.reading.FEW", 0)
    elif why == "mapped columns":
        table = f"delta.`{shop.path('silver.orders')}`"
        mapped = "'delta.columnMapping.mode' = 'name', 'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5'"
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ({mapped})")
        spark.sql(f"ALTER TABLE {table} RENAME COLUMN customer TO other")
        spark.sql(f"ALTER TABLE {table} RENAME COLUMN seq TO customer")
        assert None not in read_table(spark, shop.path("silver.orders")).select("other").toPandas()["other"].tolist()
        return
    else:
        table = f"delta.`{shop.path('silver.orders')}`"
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES (delta.enableDeletionVectors = true)")
    more: list[Row] = [(1, 2, "eve", 11, "paid")]
    write_orders(shop.folder, "2", more)
    run_both(shop)
    agree(shop.root, ROWS + more)
    if why == "deletion vectors":
        log = shop.path("silver.orders") / "_delta_log"
        assert any("deletionVector" in file.read_text() for file in log.glob("*.json")), "no row was deleted in place"


@pytest.mark.parametrize("layer", ["silver", "gold"])
def test_a_deleted_layer_comes_back(shop: Project, layer: str) -> None:
    import shutil

    shutil.rmtree(shop.root / layer)
    run_both(shop)
    agree(shop.root, ROWS)


GATED = (
    TABLES.replace("in_range(", 'in_range("seq", 1, 1, on_fail="fail"), in_range(')
    + """
@silver.table(key="id")
def names(bronze_orders):
    return bronze_orders.select("id", "customer")
"""
)


def test_a_gate_stops_its_table_and_what_follows(shop: Project, make_project: Any) -> None:
    make_project(SOURCES, GATED)
    run_both(shop)
    before = versions(shop)
    write_orders(shop.folder, "2", [(1, 2, "ada", 11, "paid")])
    assert ingest(shop).exit_code == 0
    report: Report = build(shop)
    results = {result.address: result for result in report.results}
    assert report.exit_code == GateError.exit_code
    assert "in_range(seq, 1, 1) fails for 1 rows" in str(results["silver.orders"].error)
    assert results["gold.totals"].status == "stopped"
    assert results["silver.names"].status == "done"
    after = versions(shop)
    assert (after["silver.orders"], after["gold.totals"]) == (before["silver.orders"], before["gold.totals"])


def test_a_doubled_gold_key_fails_by_name(shop: Project, make_project: Any) -> None:
    make_project(SOURCES, TABLES.replace('@gold.table(key="customer")', '@gold.table(key="orders")'))
    write_orders(shop.folder, "2", [(4, 1, "bob", 1, "new"), (5, 1, "ada", 1, "new"), (6, 1, "ada", 1, "new")])
    results = run_both(shop)
    assert "more than once" in str(results["gold.totals"].error)
    assert "orders=3" in str(results["gold.totals"].error)


def test_a_users_mistake_names_its_place(shop: Project, make_project: Any) -> None:
    make_project(SOURCES, TABLES.replace('"customer",', '"custommer",').replace('sum("amount")', 'sum("amonut")'))
    results = run_both(shop)
    error = results["silver.orders"].error
    assert error is not None
    assert "custommer" in str(error)
    assert "tables.py:" in str(error)
    assert results["gold.totals"].status == "stopped"


def test_a_missing_key_column_is_named(shop: Project, make_project: Any) -> None:
    make_project(SOURCES, TABLES.replace('@gold.table(key="customer")', '@gold.table(key="custommer")'))
    results = run_both(shop)
    assert "Did you mean 'customer'?" in str(results["gold.totals"].error)


def test_a_second_run_is_told_of_the_first(spark: Any, shop: Project) -> None:
    from lakehouse.delta import locked

    write_orders(shop.folder, "2", [(7, 1, "zoe", 1, "new")])
    files = {"bronze.orders": shop.lock("bronze.orders")}
    with locked(spark, files), pytest.raises(LockedError, match=r"bronze.orders: another run is writing it"):
        ingest(shop)
    assert ingest(shop).exit_code == 0


def test_a_new_column_reaches_silver(spark: Any, make_project: Any) -> None:
    head = 'from lakehouse import silver\n\n@silver.table(key="id")\n'
    tables = f"{head}def orders(bronze_orders):\n    return bronze_orders\n"
    project: Project = make_project(SOURCES, tables)
    raw = project.folder / "data" / "raw"
    (raw / "orders-1.csv").write_text("id,a\n1,x\n2,y\n")
    run_both(project)
    (raw / "orders-2.csv").write_text("id,a,b\n2,z,new\n")
    results = run_both(project)
    assert results["bronze.orders"].note == "new columns: b"
    assert results["silver.orders"].note == "bronze has other columns"
    rows = rows_of(project.path("silver.orders"))
    assert {(row["id"], row["a"], row["b"]) for row in rows} == {("1", "x", None), ("2", "z", "new")}


def test_jobs_modules_of_other_projects_do_not_leak(shop: Project) -> None:
    assert Path(sys.modules["jobs.shop.tables"].__file__ or "").is_relative_to(shop.folder)


ARRAYS = """
from pyspark.sql import functions as F
from lakehouse import gold, silver

@silver.table(key="id")
def orders(bronze_orders):
    return bronze_orders.select("id", F.split("customer", "").alias("letters"))

@gold.table(key="id")
def totals(silver_orders):
    return silver_orders.select("id", "letters", F.array(F.lit(1)).alias("ones"))
"""


def test_arrays_are_merged_and_compared(spark: Any, make_project: Any) -> None:
    project: Project = make_project(SOURCES, ARRAYS)
    write_orders(project.folder, "1", ROWS)
    run_both(project)
    write_orders(project.folder, "2", [(9, 1, "eve", 1, "new")])
    results = run_both(project)
    assert (results["silver.orders"].read, results["silver.orders"].note) == (1, "")
    assert (results["gold.totals"].landed, results["gold.totals"].note) == (1, "1 new")
