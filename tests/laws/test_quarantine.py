"""What is kept out is counted, decided about once, and a decision survives a kill and a rebuild."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.config import Project
from lakehouse.errors import GateError, UsageError
from lakehouse.pipeline import build, ingest
from lakehouse.pipeline.quarantine import quarantines
from lakehouse.pipeline.resolving import discard, replay
from tests.laws.shop import rows_of
from tests.laws.test_exactly_once import Killed, dies

SOURCES = "  orders: {type: files, format: csv, path: data/raw/orders-*.csv}"
TABLES = """
from pyspark.sql import functions as F
from lakehouse import silver
from lakehouse.quality import in_range, not_null

@silver.table(key="id", expect=[in_range("amount", 0, 100, on_fail="fail"), not_null("customer")])
def orders(bronze_orders):
    return bronze_orders.select("id", "customer", F.expr("try_cast(amount AS bigint)").alias("amount"))
"""
HEADER = "id,customer,amount"


def write(project: Project, name: str, *lines: str) -> None:
    (project.folder / "data" / "raw" / f"orders-{name}.csv").write_text("\n".join([HEADER, *lines]) + "\n")


def run(project: Project) -> list[Any]:
    return [result for part in (ingest, build) for result in part(project).results]


def silver(project: Project) -> Counter[tuple[Any, ...]]:
    return Counter((row["id"], row["customer"], row["amount"]) for row in rows_of(project.path("silver.orders")))


def bronze(project: Project) -> Counter[tuple[Any, ...]]:
    rows = rows_of(project.path("bronze.orders"), "_kind = 'record'")
    return Counter((row["id"], row["customer"], row["amount"]) for row in rows)


def both_sides(project: Project) -> None:
    """Law 1 from the rows: each batch by itself, and each quarantine = open + replayed + discarded."""
    for row in rows_of(project.path("bronze.orders"), "_kind = 'receipt'"):
        receipt = json.loads(row["_receipt"])
        kinds = Counter(
            one["_kind"] for one in rows_of(project.path("bronze.orders")) if one["_batch"] == row["_batch"]
        )
        assert (receipt["landed"], receipt["quarantined"]) == (kinds["record"], kinds["reject"])
        assert receipt["read"] == receipt["landed"] + receipt["quarantined"]
    for held in quarantines(project):
        assert len(held.rows) == len(held.open) + held.count("replayed") + held.count("discarded")
    for row in rows_of(project.state("silver.orders"), "_kind = 'receipt'"):
        counts = json.loads(row["_receipt"])
        assert counts["rows_out"] == counts["merged"] + counts["quarantined"] + counts["superseded"]
        rejects = rows_of(project.state("silver.orders"), f"_kind = 'reject' AND _origin = '{row['_origin']}'")
        assert counts["quarantined"] == sum(counts["after"] < one["_batch"] <= counts["upto"] for one in rejects)


def open_ids(project: Project, address: str) -> list[str]:
    (held,) = quarantines(project, [address])
    return [row.place.id for row in held.open]


@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.torture), "after"])
def test_a_replay_that_is_killed_lands_nothing_twice(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    project = make_project(SOURCES, TABLES)
    write(project, "1", "1,ada,5", "2;bob;6", "3,cy", '4,"dan,7')
    run(project)
    assert bronze(project) == {("1", "ada", "5"): 1}
    (held,) = quarantines(project, ["bronze.orders"])
    before = [row.place.id for row in held.open]
    assert len(set(before)) == 3
    with monkeypatch.context() as patched:
        dies(patched, "lakehouse.delta.draft", "Draft.commit", moment)
        with pytest.raises(Killed):
            replay(project, "bronze.orders", ids=before[1:2], given=b"3,cy,8\n")
    again = [replay(project, "bronze.orders", ids=before[1:2], given=b"3,cy,8\n") for _ in "ab"]
    assert [one.done for one in again] == [moment == "before", 0]
    assert bronze(project) == {("1", "ada", "5"): 1, ("3", "cy", "8"): 1}
    assert open_ids(project, "bronze.orders") == [before[0], before[2]]
    # Where it stood, under a batch of its own, and the bytes that stood in for its own are kept.
    (record,) = rows_of(project.path("bronze.orders"), "_kind = 'record' AND id = '3'")
    (reject,) = rows_of(project.path("bronze.orders"), "_kind = 'reject' AND _line = 4")
    assert (record["_file"], record["_row"], record["_batch"]) == ("data/raw/orders-1.csv", reject["_offset"], 1)
    (resolution,) = rows_of(project.path("bronze.orders"), "_kind = 'resolution'")
    assert json.loads(resolution["_receipt"])["given"] == "MyxjeSw4Cg=="
    both_sides(project)
    results = run(project)  # nothing of the source is new, and silver gets the record
    assert [result.status for result in results] == ["unchanged", "done"]
    assert silver(project) == {("1", "ada", 5): 1, ("3", "cy", 8): 1}
    both_sides(project)


@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.torture), "after"])
def test_a_discard_that_is_killed_is_recorded_once(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    project = make_project(SOURCES, TABLES)
    write(project, "1", "1,ada,5", "2;bob;6", "3,cy")
    run(project)
    (first, second) = open_ids(project, "bronze.orders")
    with monkeypatch.context() as patched:
        dies(patched, "lakehouse.pipeline.resolving", "resolve", moment)
        with pytest.raises(Killed):
            discard(project, "bronze.orders", ids=[first], because="a test order")
    assert open_ids(project, "bronze.orders") == ([second] if moment == "after" else [first, second])
    again = [discard(project, "bronze.orders", ids=[first], because="a test order") for _ in "ab"]
    assert [one.done for one in again] == [moment == "before", 0]
    assert open_ids(project, "bronze.orders") == [second]
    assert len(rows_of(project.path("bronze.orders"), "_kind = 'resolution'")) == 1
    both_sides(project)


def test_what_parses_with_other_settings_lands(spark: Any, make_project: Any) -> None:
    project = make_project(SOURCES, TABLES)
    write(project, "1", "1,ada,5", "2;bob;6", "3;cy;7", "4,dan")
    run(project)
    done = replay(project, "bronze.orders")
    assert (done.chosen, done.done) == (3, 0)
    assert {why for _, why in done.still} == {
        "it has 1 fields where the header has 3",
        "it has 2 fields where the header has 3",
    }
    make_project(SOURCES.replace("format: csv", "format: csv, delimiter: ';'"), TABLES)
    from lakehouse.config import load_project

    project = load_project(project.folder)
    done = replay(project, "bronze.orders", reason="1 fields")
    assert (done.chosen, done.done, done.landed, done.still) == (2, 2, 2, ())
    assert bronze(project) == {("1", "ada", "5"): 1, ("2", "bob", "6"): 1, ("3", "cy", "7"): 1}
    assert len(open_ids(project, "bronze.orders")) == 1
    both_sides(project)


def test_a_file_that_was_rejected_whole_lands(spark: Any, make_project: Any) -> None:
    project = make_project(SOURCES, TABLES)
    write(project, "1", "1,ada,5")
    path = project.folder / "data" / "raw" / "orders-2.csv"
    path.write_bytes(b"id,id,amount\n2,bob,6\n3,cy\n")
    run(project)
    (name,) = open_ids(project, "bronze.orders")
    assert replay(project, "bronze.orders", ids=[name]).done == 0
    done = replay(project, "bronze.orders", ids=[name], given=b"id,customer,amount\n2,bob,6\n3,cy\n")
    assert (done.done, done.landed, done.quarantined) == (1, 1, 1)
    assert bronze(project) == {("1", "ada", "5"): 1, ("2", "bob", "6"): 1}
    (left,) = open_ids(project, "bronze.orders")
    assert replay(project, "bronze.orders", ids=[left], given=b"3,cy,7\n").done == 1
    assert bronze(project) == {("1", "ada", "5"): 1, ("2", "bob", "6"): 1, ("3", "cy", "7"): 1}
    both_sides(project)
    assert [result.status for result in run(project)] == ["unchanged", "done"]


def test_a_stopped_table_goes_on_without_what_is_discarded(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(SOURCES, TABLES)
    write(project, "1", "1,ada,5")
    run(project)
    write(project, "2", "2,bob,600", "3,,7", "4,dan,8", "5,eve,-1")
    with monkeypatch.context() as patched:
        dies(patched, "lakehouse.silver.merging", "record_blocking", "after")
        with pytest.raises(Killed):
            run(project)
    for _ in range(2):
        *_, result = run(project)
        assert isinstance(result.error, GateError)
        assert "lakehouse quarantine show silver.orders" in result.error.hint
    assert silver(project) == {("1", "ada", 5): 1}
    (held,) = quarantines(project, ["silver.orders"])
    assert [(json.loads(row.record)["id"], row.blocking, row.reasons) for row in held.open] == [
        ("2", True, ("in_range(amount, 0, 100)",)),
        ("5", True, ("in_range(amount, 0, 100)",)),
    ]
    with pytest.raises(UsageError, match="judged again by every build"):
        replay(project, "silver.orders")
    with monkeypatch.context() as patched:
        dies(patched, "lakehouse.bronze.quarantine", "append", "before")
        with pytest.raises(Killed):
            discard(project, "silver.orders", ids=[held.open[0].place.id], because="a test order")
    assert discard(project, "silver.orders", ids=[held.open[0].place.id], because="a test order").done == 1
    assert isinstance(run(project)[-1].error, GateError)  # the other one stops it still
    assert discard(project, "silver.orders", reason="in_range", because="[bold]bob's[/bold]").done == 1
    assert discard(project, "silver.orders", reason="in_range", because="again").done == 0
    result = run(project)[-1]
    assert (result.error, result.read, result.landed, result.quarantined) == (None, 4, 1, 3)
    want = {("1", "ada", 5): 1, ("4", "dan", 8): 1}
    assert silver(project) == want
    both_sides(project)
    (held,) = quarantines(project, ["silver.orders"])
    assert (len(held.open), held.count("discarded")) == (1, 2)
    # A rebuild, and a lake of which just bronze is left, come to the same.
    for lost in ("silver", "silver state"):
        for folder in lost.split():
            shutil.rmtree(project.root / folder)
        result = run(project)[-1]
        assert (result.error, result.quarantined) == (None, 3)
        assert silver(project) == want
        both_sides(project)
    # The decision was about a rule: rows that a changed rule lets through are rows again.
    make_project(SOURCES, TABLES.replace("0, 100,", "0, 1000,"))
    assert run(project)[-1].error is None
    assert silver(project) == want | {("2", "bob", 600): 1}
    both_sides(project)


def test_rejects_that_land_alone_and_not_together(spark: Any, make_project: Any) -> None:
    """One gives bronze a column that the other has not: the first lands, the other stays and says why."""
    project = make_project("  s: {type: files, format: json, path: data/raw/*.json, lost_columns: reject}")
    lines = ['{"a":"1","b c":"2"}', '{"a":"3","b_c":"4","c":"5"}', '{"a":"6","b_c":"7"}']
    (project.folder / "data" / "raw" / "a.json").write_text("\n".join(lines))
    assert [result.quarantined for result in ingest(project).results] == [2]
    done = [replay(project, "bronze.s") for _ in "ab"]
    assert [(one.done, one.landed, [why for _, why in one.still]) for one in done] == [
        (1, 1, ["sources.s: data/raw/a.json: lost columns: c"]),
        (0, 0, ["sources.s: data/raw/a.json: lost columns: c"]),
    ]
    assert sorted(row["a"] for row in rows_of(project.path("bronze.s"), "_kind = 'record'")) == ["1", "3"]


def test_a_file_that_was_rejected_whole_twice_lands_once_a_batch(spark: Any, make_project: Any) -> None:
    """Rows of a batch are told apart by their file and place, and both stood at the same ones."""
    said = "  orders: {type: files, format: csv, path: data/raw/*.csv, changed: reread}"
    project = make_project(said)
    path = project.folder / "data" / "raw" / "a.csv"
    for last in "xy":
        path.write_text(f"id;n,id;n\n1;2;{last}\n{last}\n")
        assert [result.quarantined for result in ingest(project).results] == [1]
    make_project(said.replace("csv,", "csv, delimiter: ';',", 1))
    from lakehouse.config import load_project

    project = load_project(project.folder)
    done = replay(project, "bronze.orders", reason="twice")
    ((left, why),) = done.still
    assert (done.done, done.landed, done.quarantined) == (1, 1, 1)
    assert why == "another reject of its place is replayed with it: replay it alone, by its --id"
    done = replay(project, "bronze.orders", ids=[left.place.id])
    assert (done.done, done.landed, done.quarantined, done.still) == (1, 1, 1, ())
    assert sorted(row["n"] for row in rows_of(project.path("bronze.orders"), "_kind = 'record'")) == ["x", "y"]
    (held,) = quarantines(project, ["bronze.orders"])
    assert sorted(held.raw(held.open).values()) == [b"x\n", b"y\n"]


def test_a_first_build_may_be_stopped_too(spark: Any, make_project: Any) -> None:
    project = make_project(SOURCES, TABLES)
    write(project, "1", "1,ada,500")
    assert isinstance(run(project)[-1].error, GateError)
    assert not project.path("silver.orders").exists()
    assert len(open_ids(project, "silver.orders")) == 1
    write(project, "2", "2,bob,501")
    assert isinstance(run(project)[-1].error, GateError)
    assert len(open_ids(project, "silver.orders")) == 2
    make_project(SOURCES, TABLES.replace("0, 100,", "0, 1000,"))
    assert open_ids(project, "silver.orders") == []
    assert run(project)[-1].error is None
    assert silver(project) == {("1", "ada", 500): 1, ("2", "bob", 501): 1}
    version = DeltaTable(str(project.path("silver.orders"))).version()
    assert run(project)[-1].status == "unchanged"
    assert DeltaTable(str(project.path("silver.orders"))).version() == version
