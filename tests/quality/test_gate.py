"""Rules over tables and rules of conf/ in whole builds: what they stop, in which order, and what is kept of them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.config import Project, load_project
from lakehouse.errors import DefinitionError, GateError, NotBuiltError
from lakehouse.local import open_lake
from lakehouse.pipeline import plan, run
from lakehouse.pipeline.quarantine import quarantines
from lakehouse.pipeline.steps import do_step
from lakehouse.pipeline.workspace import Workspace

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
SOURCES = """\
  orders: {type: files, format: csv, path: data/raw/orders-*.csv}
  places: {type: files, format: csv, path: data/raw/places-*.csv}
expect:
  silver.orders:
    - {not_null: [buyer], on_fail: warn}
    - references: {columns: place, table: silver.places, to: code}
  gold.totals:
    - {row_count: {least: 1, most: 2}}
"""
TABLES = """
from pyspark.sql import functions as F
from lakehouse import gold, silver
from lakehouse.quality import fresh_within, in_range, sum_matches, unique

@silver.table(key="id", expect=[
    unique("id"), in_range("amount", 0, 100), fresh_within("at", "2h", on_fail="warn"),
    sum_matches("amount", "bronze.orders", "amount", on_fail="warn"),
])
def orders(bronze_orders):
    return bronze_orders.select(
        "id", "place", "buyer", F.expr("try_cast(amount AS bigint)").alias("amount"),
        F.to_timestamp("at").alias("at"), F.lit("secret").alias("card"),
    )

@silver.table(key="code")
def places(bronze_places):
    return bronze_places.select("code")

@gold.table(key="place", expect=[sum_matches("amount", "silver.orders", "amount")])
def totals(silver_orders):
    return silver_orders.where("place IS NOT NULL").groupBy("place").agg(F.sum("amount").alias("amount"))
"""
Verdicts = dict[str, tuple[str, int | None, int | None]]


def land(project: Project, source: str, name: str, *lines: str) -> None:
    header = {"orders": "id,place,buyer,amount,at", "places": "code"}[source]
    (project.folder / "data" / "raw" / f"{source}-{name}.csv").write_text("\n".join([header, *lines]) + "\n")


def results(project: Project, address: str) -> list[dict[str, Any]]:
    return open_lake(project.folder).quality(address)


def last(project: Project, address: str) -> Verdicts:
    found = results(project, address)
    newest = [one for one in found if one["at"] == found[-1]["at"]]
    return {one["rule"].partition("(")[0]: (one["verdict"], one["looked"], one["failures"]) for one in newest}


def done(project: Project) -> dict[str, str]:
    report = run(project)
    failed = next((one.error for one in report.results if one.error is not None), None)
    assert report.exit_code == (failed.exit_code if failed else 0)
    return {one.address: one.status for one in report.results}


def version(project: Project, address: str) -> int:
    return int(DeltaTable(str(project.path(address))).version())


def test_a_reference_that_is_not_there_stops_the_table_until_it_is(spark: Any, make_project: Any) -> None:
    project = make_project(SOURCES, TABLES)
    land(project, "orders", "1", "1,a,ada,10,2026-01-02T11:00:00Z", "2,b,,20,2026-01-02T09:00:00Z", "3,a,cy,500,")
    land(project, "places", "1", "a", "b")
    assert set(done(project).values()) == {"done"}  # orders come after places, whose name is later
    assert last(project, "silver.orders") == {
        "unique": ("passed", None, 0),
        "in_range": ("quarantined", 3, 1),
        "fresh_within": ("warned", 2, 1),
        "sum_matches": ("warned", 2, 1),
        "not_null": ("warned", 3, 1),
        "references": ("passed", 2, 0),
    }
    samples = {one["rule"].partition("(")[0]: one["samples"] for one in results(project, "silver.orders")}
    assert samples["in_range"] == [{"id": "3", "amount": 500}]
    assert samples["sum_matches"] == [{"amount": 30, "bronze.orders.amount": 530}]
    assert samples["fresh_within"] == [{"at": "2026-01-02T11:00:00.000000Z"}]
    assert "secret" not in json.dumps(samples)
    assert last(project, "gold.totals") == {"sum_matches": ("passed", 2, 0), "row_count": ("passed", 2, 0)}
    assert results(project, "silver.places") == []
    (first,) = {json.dumps(one["batches"]) for one in results(project, "silver.orders")}
    assert first == "[0, 0]" and results(project, "gold.totals")[0]["versions"] == {"silver.orders": 0}

    kept = version(project, "silver.orders"), len(results(project, "silver.orders"))
    assert set(done(project).values()) == {"unchanged"}
    assert kept == (version(project, "silver.orders"), len(results(project, "silver.orders")))

    land(project, "orders", "2", "4,c,ada,1,2026-01-02T11:00:00Z", "5,,bob,0,")  # a null is not compared
    for _ in range(2):
        statuses = done(project)
        assert (statuses["silver.orders"], statuses["gold.totals"]) == ("failed", "stopped")
    assert version(project, "silver.orders") == kept[0]
    found = results(project, "silver.orders")
    assert Counter(one["verdict"] for one in found if one["rule"].startswith("references")) == {
        "passed": 1,
        "failed": 2,
    }
    assert found[-1]["samples"] == [{"place": "c", "_rows": 1}] and found[-1]["compared_with"] == {"silver.places": 0}
    (held,) = quarantines(project, ["silver.orders"])
    blocking = [(json.loads(row.record)["id"], row.reasons) for row in held.open if row.blocking]
    assert blocking == [("4", ("references(place, 'silver.places', 'code')",))]

    land(project, "places", "2", "c")
    # Now the reference is there, and the third place is one too many for gold, whose rule is of conf/.
    assert run(project, select=["bronze.*", "silver.*"]).exit_code == 0
    (held,) = quarantines(project, ["gold.totals"])  # it has work to do, and has kept nothing but results so far
    assert held.open == ()
    assert done(project)["gold.totals"] == "failed"
    assert last(project, "silver.orders")["references"] == ("passed", 3, 0)
    assert last(project, "gold.totals")["row_count"] == ("failed", 3, 1)
    assert last(project, "gold.totals")["sum_matches"] == ("passed", 3, 0)
    assert version(project, "gold.totals") == 0


def test_the_clock_is_the_runs_and_a_missing_table_is_named(spark: Any, make_project: Any) -> None:
    project = make_project(SOURCES, TABLES.replace('"2h", on_fail="warn"', '"2h"'))
    land(project, "orders", "1", "1,a,ada,10,2026-01-02T11:00:00Z")
    land(project, "places", "1", "a")

    def build(address: str, now: datetime) -> Any:
        return do_step(spark, Workspace(project, now=lambda: now), address)

    steps = {step.address: step.inputs for step in plan(project).steps}
    assert steps["silver.orders"] == ("bronze.orders", "silver.places")  # which must be done before
    for source in ("orders", "places"):
        build(f"bronze.{source}", NOW)
    with pytest.raises(NotBuiltError, match=r"compares with silver.places, which is not built yet") as caught:
        build("silver.orders", NOW)
    assert caught.value.hint == "Run: lakehouse run --select +silver.orders"
    build("silver.places", NOW)
    late = NOW + timedelta(hours=1, microseconds=1)
    with pytest.raises(GateError, match="fresh_within"):
        build("silver.orders", late)
    assert [one["at"] for one in results(project, "silver.orders")] == [late] * 6
    assert build("silver.orders", NOW + timedelta(hours=1)).status == "done"

    text = (project.folder / "conf" / "base.yaml").read_text()
    (project.folder / "conf" / "base.yaml").write_text(text.replace("to: code", "to: kode"))
    project = load_project(project.folder)
    with pytest.raises(DefinitionError, match="silver.places has no column 'kode'") as missing:
        build("silver.orders", NOW)  # a changed rule of conf/ rebuilds the table
    assert "Did you mean 'code'?" in missing.value.hint
