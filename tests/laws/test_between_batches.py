"""What is done to tables between batches: files are compacted, old files and log entries removed, bronze restored."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from tests.laws.shop import SOURCES, TABLES, Row, agree, history, write_orders
from tests.laws.test_exactly_once import counts_add_up, run_all

LONG_AGO = timedelta(days=60).total_seconds()


def compact(spark: Any, path: Path) -> None:
    spark.sql(f"OPTIMIZE delta.`{path}`").collect()


def vacuum(spark: Any, path: Path) -> None:
    session = spark.newSession()
    session.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    session.sql(f"VACUUM delta.`{path}` RETAIN 0 HOURS").collect()


def clean_log(spark: Any, path: Path) -> None:
    """Let Delta remove all log entries before the newest, as it does when they are 30 days old."""
    log = path / "_delta_log"
    delta = spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, str(path))
    nothing = spark._jvm.scala.Option.empty()
    newest = max(log.glob("0*.json"))
    for entry in log.glob("0*"):
        if entry.name[:20] < newest.name[:20]:
            os.utime(entry, (time.time() - LONG_AGO,) * 2)
    delta.checkpointAndCleanUpDeltaLog(delta.update(False, nothing, nothing), nothing)
    assert list(log.glob("0*.json")) == [newest]


def restore_bronze(spark: Any, path: Path) -> None:
    """Bronze alone loses its last batch: the next run takes it from the source again."""
    if path.parts[-2] == "bronze":
        version = spark.sql(f"DESCRIBE HISTORY delta.`{path}`").selectExpr("max(version)").collect()[0][0]
        spark.sql(f"RESTORE TABLE delta.`{path}` TO VERSION AS OF {version - 1}").collect()


DONE: dict[str, list[Callable[[Any, Path], None]]] = {
    "compacted": [compact],
    "vacuumed": [vacuum],
    "log cleaned": [clean_log],
    "bronze restored": [restore_bronze],
    "all": [restore_bronze, compact, vacuum, clean_log],
}


@pytest.mark.torture
@pytest.mark.parametrize("what", DONE)
def test_what_is_done_between_batches(spark: Any, make_project: Any, what: str) -> None:
    project: Project = make_project(SOURCES, TABLES)
    waiting = history(7)
    landed: list[Row] = []
    for number in range(4):
        rows = [waiting.pop() for _ in range(10)]
        write_orders(project.folder, str(number), rows)
        landed += rows
        run_all(project)
        agree(project.root, landed)
        if number == 0:
            continue
        for address in ("bronze.orders", "silver.orders", "gold.totals"):
            for step in DONE[what]:
                step(spark, project.path(address))
        compact(spark, project.state("silver.orders"))
        if number == 2:
            run_all(project)  # also where nothing is new
            agree(project.root, landed)
    run_all(project)
    agree(project.root, landed)
    counts_add_up(project, landed)
