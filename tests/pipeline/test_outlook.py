"""A plan says what it reads and costs, and which features change: by column where that is known, and not too few."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli import run
from lakehouse.config import Project
from lakehouse.pipeline import build, ingest, publish
from lakehouse.pipeline.outlook import Outlook, outlooks
from lakehouse.pipeline.planning import plan_in
from lakehouse.pipeline.workspace import Workspace

SOURCES = """
  orders: {type: files, format: csv, path: data/raw/orders-*.csv}
  people: {type: files, format: csv, path: data/raw/people-*.csv}
"""
TABLES = """
from pyspark.sql import functions as F
from lakehouse import gold, silver

@silver.table(key="id")
def orders(bronze_orders):
    return bronze_orders.select("id", "customer", F.expr("try_cast(amount AS bigint)").alias("amount"))

@silver.table(key="customer")
def people(bronze_people):
    return bronze_people.select("customer", F.upper("city").alias("city"))

@gold.table(key="customer", at="at")
def totals(silver_orders, silver_people):
    sums = silver_orders.groupBy("customer").agg(F.sum("amount").alias("amount"))
    return sums.join(silver_people, "customer", "left").withColumn("at", F.to_timestamp(F.lit("2026-01-01")))
"""
FEATURES = """
from feast import Entity, ValueType
from jobs.shop import tables
from lakehouse.features.view import feature_view

customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
totals = feature_view(tables.totals, entity=customer, ttl=None)
"""
REPOSITORY = Path(__file__).parents[2] / "features"


def known(project: Project) -> dict[str, Outlook]:
    workspace = Workspace(project)
    return outlooks(workspace, plan_in(workspace))


def built(project: Project) -> None:
    for verb in (ingest, build):
        report = verb(project)
        assert report.exit_code == 0, [str(result.error) for result in report.results if result.error]


def test_what_a_plan_foretells(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project: Project = make_project(SOURCES, TABLES)
    raw = project.folder / "data" / "raw"
    (raw / "orders-1.csv").write_text("id,customer,amount\n1,ada,5\n2,bob,7\n3,bob,1\n")
    (raw / "people-1.csv").write_text("customer,city\nada,rome\n")
    (project.folder / "features").mkdir()
    (project.folder / "features" / "definitions.py").write_text(FEATURES)
    shutil.copy(REPOSITORY / "feature_store.yaml", project.folder / "features")

    monkeypatch.chdir(project.folder)
    monkeypatch.setattr("lakehouse.pipeline.running.open_session", open_nothing := OpenNothing())
    assert run(["plan", "--exit-code"]) == 8
    assert "not applied" in capfd.readouterr().out
    assert {(one.columns, one.features) for one in known(project).values()} == {(None, None)}

    monkeypatch.undo()
    monkeypatch.chdir(project.folder)
    built(project)
    assert publish(project).exit_code == 0
    assert known(project) == {}
    assert run(["plan", "--exit-code"]) == 0

    (raw / "orders-2.csv").write_text("id,customer,amount\n4,eve,5\n")
    coming = known(project)
    assert set(coming) == {"bronze.orders", "silver.orders", "gold.totals"}
    assert coming["silver.orders"].features == ("totals:amount", "totals:city"), "a new row has every feature"
    capfd.readouterr()
    assert run(["plan", "--json"]) == 0
    (said,) = (step for step in json.loads(capfd.readouterr().out)["steps"] if step["address"] == "gold.totals")
    assert said["action"] == "update"
    assert (said["reads"]["rows"], said["reads"]["and_more"], said["by_column"]) == (4, True, True)
    assert said["features"] == ["totals:amount", "totals:city"]
    assert run(["plan", "--details", "--select", "+gold.totals"]) == 0
    shown = capfd.readouterr().out
    assert "features  totals:amount, totals:city" in shown
    (raw / "orders-2.csv").unlink()

    changed = TABLES.replace('F.upper("city")', 'F.lower("city")')
    make_project(SOURCES, changed)
    first = known(project)
    assert set(first) == {"silver.people", "gold.totals"}
    people = first["silver.people"]
    assert (people.batches, people.rows, people.columns, people.by_column) == (1, 1, None, False), "unknown until built"
    assert people.features == ("totals:amount", "totals:city")
    built(project)

    make_project(SOURCES, TABLES)
    people = known(project)["silver.people"]
    assert (people.columns, people.features, people.by_column) == (("city",), ("totals:city",), True)
    assert people.seconds is not None and people.seconds > 0
    totals = known(project)["gold.totals"]
    assert (totals.rows, totals.more) == (3 + 1, True)
    assert totals.bytes is not None and totals.bytes > 0

    assert not open_nothing.asked


class OpenNothing:
    asked = False

    def __call__(self, project: Project) -> None:
        self.asked = True
