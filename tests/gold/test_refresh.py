"""``refresh=by(…)``: a table of which just the changed part is computed is what it would be if all of it were."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import functions as F

from lakehouse import gold
from lakehouse.delta import read_table
from lakehouse.delta.feed import FEED, read_feed
from lakehouse.errors import DefinitionError, GateError
from lakehouse.gold.part import Part
from lakehouse.gold.refreshing import Refresh, computed
from lakehouse.quality import unique
from lakehouse.tables import Table
from tests.gold.days import FIRST_DAY, Lake, sold, three_days

PART = "its inputs changed; just what changed by 'day'"
LACKS = "the whole table, for silver.shops has no 'day' of the table's type"


def day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)


def sale(key: int, number: int | None, amount: int = 1, shop: str = "a") -> dict[str, Any]:
    return {"id": key, "shop": shop, "day": None if number is None else day(number), "amount": amount}


@pytest.mark.parametrize(
    ("seed", "builds"), [(42, 4), *(pytest.param(n, 30, marks=pytest.mark.torture) for n in range(1, 13))]
)
def test_any_changes_to_any_input(spark: Any, tmp_path: Path, seed: int, builds: int) -> None:
    draw, lake = random.Random(seed), Lake(tmp_path, spark)
    for name in ("silver.sales", "silver.returns"):
        lake.put(name, *(lake.row(name, draw, key) for key in range(60)))
    parts = 0
    for number in range(builds):
        for _ in range(draw.randrange(1, 4)):
            lake.step(draw)
        table = (sold, three_days)[number % 2]
        built = lake.build(table)
        lake.agrees(table)
        parts += built is not None and built.why.endswith("of 'day'")
    # Some steps make a whole build right; of 30 builds the seeds have 9 in part at least.
    assert parts >= builds / 4, "hardly anything was computed in part"
    for table in (sold, three_days) if builds > 4 else ():
        lake.build(table)
        lake.agrees(table)
        lake.build(table, into="whole")
        assert lake.held(table) == lake.held(table, into="whole")


def test_what_is_computed_and_what_is_written(spark: Any, tmp_path: Path) -> None:
    """A day that changed is computed again, a difference is written; what can't be told apart is computed whole."""
    lake = Lake(tmp_path, spark)
    lake.put("silver.shops", {"shop": "a", "region": "north"})
    lake.put("silver.sales", *(sale(n, n // 10 if n < 40 else None) for n in range(50)))
    lake.build(sold)
    version = lake.version(sold)

    assert lake.plan(sold).action == "unchanged"
    assert lake.build(sold) is None
    assert lake.version(sold) == version, "a repeated build writes nothing"

    lake.change("silver.sales", [10], [sale(11, 3)])  # of day 1: one goes, one is of another day now
    assert lake.plan(sold).why == PART
    built = lake.build(sold)
    assert built is not None
    assert (built.why, built.rows) == ("2 values of 'day'", 8 + 11)
    assert (built.inserted, built.updated, built.deleted) == (0, 19, 1)
    assert Counter(row["_change_type"] for row in lake.feed(sold, version)) == {
        "delete": 1,
        "update_preimage": 19,
        "update_postimage": 19,
    }
    lake.agrees(sold)

    version = lake.version(sold)
    lake.change("silver.sales", [key for key, row in lake.rows["silver.sales"].items() if row["day"] == day(2)], [])
    lake.put("silver.returns", {"id": 1, "day": None, "amount": 5})
    built = lake.build(sold)
    assert built is not None and (built.why, built.rows) == ("2 values of 'day'", 10)
    assert (built.inserted, built.updated, built.deleted) == (0, 10, 10)
    lake.agrees(sold)

    lake.put("silver.shops", {"shop": "b", "region": "south"})
    assert lake.plan(sold).why == f"its inputs changed; {LACKS}"
    built = lake.build(sold)
    assert built is not None and (built.rows, built.inserted + built.updated + built.deleted) == (39, 0)
    lake.agrees(sold)

    version = lake.version(sold)
    lake.table("silver.shops").optimize.compact()
    lake.noted("silver.shops")
    assert lake.plan(sold).action == "unchanged", "no row of it changed"
    assert lake.build(sold) is None
    assert lake.version(sold) == version

    def other(*inputs: Any) -> Any:
        return sold(*inputs).withColumn("region", F.expr("IF(id < 3, 'west', region)"))

    version = lake.version(sold)
    changed = replace(sold, function=other)
    assert lake.plan(changed, print_="other").action == "rebuild"
    lake.build(changed, print_="other")
    assert Counter((row["id"], row["_change_type"]) for row in lake.feed(sold, version)) == Counter(
        (key, change) for key in range(3) for change in ("update_preimage", "update_postimage")
    ), "a rebuild that changes three keys tells of three"


def test_a_plan_tells_what_will_be_whole(spark: Any, tmp_path: Path) -> None:
    """What makes the whole table new is known without running; a run in which all of it holds ends right."""
    lake = Lake(tmp_path / "lake", spark)
    lake.put("silver.sales", *(sale(n, n) for n in range(3)))
    lake.build(sold)
    lake.change("silver.sales", [], [sale(1, 9)])
    assert lake.plan(sold).why == PART
    assert lake.plan(sold).why_when(["silver.sales"]) == PART
    assert lake.plan(sold).why_when(["silver.sales", "silver.shops"]) == f"its inputs changed; {LACKS}"

    def after(tamper: Callable[[Lake], object]) -> str:
        copied = lake.copied(tmp_path / "copy")
        tamper(copied)
        why = copied.plan(sold).why
        shutil.rmtree(copied.root)
        return why.removeprefix("its inputs changed; the whole table, for ")

    def cleaned(one: Lake) -> None:
        one.table("silver.sales").create_checkpoint()
        (one.path("silver.sales") / "_delta_log" / f"{2:020d}.json").unlink()

    assert after(cleaned) == "silver.sales has no log of its version 2 any more"
    assert after(lambda one: shutil.rmtree(one.root / "gold-state")) == "nothing tells what it was last made of"
    assert after(lambda one: one.switch_off("silver.sales")) == "silver.sales kept no change feed"
    lake.switch_off("silver.sales")
    lake.build(sold)
    lake.agrees(sold)


@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=pytest.mark.torture)])
def test_killed_between_the_receipt_and_the_table(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A receipt without its commit counts for nothing; a commit whose reply was lost counts."""
    from lakehouse.gold import building

    class Killed(BaseException): ...

    lake = Lake(tmp_path, spark)
    lake.put("silver.sales", *(sale(n, n) for n in range(4)))
    lake.build(sold)
    real = building.replace_by_difference

    def dies(*args: Any, **named: Any) -> None:
        if moment == "after":
            real(*args, **named)
        raise Killed

    lake.change("silver.sales", [], [sale(1, 8)])
    monkeypatch.setattr(building, "replace_by_difference", dies)
    with pytest.raises(Killed):
        lake.build(sold)
    monkeypatch.setattr(building, "replace_by_difference", real)
    lake.change("silver.sales", [3], [])
    built = lake.build(sold)
    assert built is not None
    assert built.why == ("3 values of 'day'" if moment == "before" else "1 value of 'day'")
    lake.agrees(sold)


@gold.table(key="amount", refresh=gold.by("day"))
def amounts(silver_sales):
    """Each amount, which no two sales may have."""
    return silver_sales.select("amount", "day", "id")


@gold.table(key="id", refresh=gold.by("share"))
def shares(silver_sales):
    """Each sale by its share, which no refresh can be told by."""
    return silver_sales.selectExpr("id", "CAST(amount AS DOUBLE) AS share")


@gold.table(key="id", refresh=gold.by("day"), expect=[unique("amount", on_fail="fail")])
def ids(silver_sales):
    """Each sale, with an amount of its own."""
    return silver_sales.select("id", "day", "amount")


@pytest.mark.parametrize(("table", "says"), [(amounts, "amount=7"), (ids, "unique(amount) fails")])
def test_what_is_doubled_across_days(spark: Any, tmp_path: Path, table: Table, says: str) -> None:
    """Also what is not computed is looked at: a value of the changed day that another day has stops the table."""
    lake = Lake(tmp_path, spark)
    lake.put("silver.sales", sale(1, 1, 7), sale(2, 2, 8))
    lake.build(table)
    version = lake.version(table)
    lake.put("silver.sales", sale(3, 3, 7))
    with pytest.raises(GateError, match="1 keys are there more than once|fails") as caught:
        lake.build(table)
    assert says in str(caught.value)
    assert lake.version(table) == version
    if table is ids:
        return
    lake.change("silver.sales", [1], [])  # the other day's goes: what stopped it is no more
    built = lake.build(table)
    assert built is not None and built.why == "2 values of 'day'"
    assert {row[0] for row in lake.held(table)} == {7, 8}


NOON = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
TYPES = {
    "at": (pa.timestamp("us", "UTC"), [NOON, NOON + timedelta(microseconds=1), NOON - timedelta(days=9), None]),
    "local": (pa.timestamp("us"), [one.replace(tzinfo=None) for one in (NOON, NOON + timedelta(hours=1))] + [None]),
    "Day": (pa.date32(), [date(1, 1, 1), date(9999, 12, 31), date(1582, 10, 4), None]),
    "text": (pa.string(), ["", "it's", "a\\nb", "a\nb", "${x}", "${env:HOME}", "`'\"", "ä😀", None]),
    "n": (pa.int64(), [0, -(2**63), 2**63 - 1, 2**31, None]),
    "small": (pa.int16(), [0, -(2**15), 7, None]),
}


@pytest.mark.parametrize("name", TYPES)
def test_each_value_is_found_alone(spark: Any, tmp_path: Path, name: str) -> None:
    """What the feed says of a value, in SQL, is that value and no other."""
    kind, values = TYPES[name]
    rows = pa.table({"i": range(len(values)), name: pa.array(values, kind)})
    write_deltalake(str(tmp_path), rows.slice(0, 0), configuration={FEED: "true"})
    write_deltalake(str(tmp_path), rows, mode="append")
    found = read_feed(tmp_path, 0, 1).values(spark, name, 99)
    assert found == set(values)
    frame = read_table(spark, tmp_path)
    for value in found:
        part = Part(name, frozenset([value]))
        assert [row["i"] for row in frame.where(part.results()).collect()] == [values.index(value)]
    others = frame.where(f"NOT {Part(name, frozenset(values[1:])).results()}").collect()
    assert [row["i"] for row in others] == [0]


def test_a_part_looks_back(spark: Any) -> None:
    """Results from a changed day on as far as rows look back; inputs for these from as far before the first."""
    days = [day(n) for n in range(20)]
    part = Part("day", frozenset([day(5), day(6), day(12)]), timedelta(days=2))
    frame = spark.createDataFrame([(one,) for one in days], "day date")
    results = {row["day"] for row in frame.where(part.results()).collect()}
    needed = {row["day"] for row in frame.where(part.inputs()).collect()}
    assert results == {day(n) for n in (5, 6, 7, 8, 12, 13, 14)}
    assert needed == {day(n) for n in (*range(3, 9), *range(10, 15))}
    for edge in (date.min, date.max):
        assert "BETWEEN" in Part("day", frozenset([edge]), timedelta(days=2)).inputs()


def test_many_values_are_computed_whole(spark: Any, tmp_path: Path) -> None:
    lake = Lake(tmp_path, spark)
    lake.put("silver.sales", *(sale(n, n) for n in range(30)))
    lake.build(sold)

    def found() -> Refresh:
        inputs = {name: lake.path(name) for name in sold.inputs}
        return computed(spark.newSession(), sold, lake.plan(sold), inputs, lake.places(sold, "gold")[0])

    lake.put("silver.sales", *(sale(n, n) for n in range(100, 111)))
    assert found().why == "11 values of 'day'", "new days cost no more than they are"
    lake.change("silver.sales", [], [sale(n, n, 5) for n in range(11)])
    assert found().why == "the whole table, for 11 of its 30 values of 'day' changed"
    lake.put("silver.sales", *(sale(n, n) for n in range(1000, 2001)))
    assert found().why == "the whole table, for silver.sales changed in more than 1,000 values of 'day'"
    assert found().part is None


def test_what_can_not_be_is_said(spark: Any, tmp_path: Path) -> None:
    lake = Lake(tmp_path, spark)
    by_text = replace(three_days, refresh=gold.by("shop"))
    with pytest.raises(
        DefinitionError, match="lookback= is for dates and times, and silver.sales has 'shop' as string"
    ):
        lake.plan(by_text)
    by_hours = replace(three_days, lookback=timedelta(hours=36))
    with pytest.raises(DefinitionError, match="no whole number of days"):
        lake.plan(by_hours)
    with pytest.raises(DefinitionError, match="'week'"):
        lake.build(replace(sold, refresh=gold.by("week")))
    with pytest.raises(DefinitionError, match="'share' is double"):
        lake.build(shares)
