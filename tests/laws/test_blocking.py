"""What stops a table is listed row by row, by rules over a whole table too; a decision lets the next build pass."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import GateError, UsageError
from lakehouse.pipeline.quarantine import quarantines
from lakehouse.pipeline.resolving import discard, replay
from tests.laws.shop import rows_of
from tests.laws.test_quarantine import both_sides, run

SOURCES = "  orders: {type: files, format: csv, path: data/raw/orders-*.csv}"
SILVER = """
from pyspark.sql import functions as F
from lakehouse import gold, silver
from lakehouse.quality import in_range, not_null, unique

@silver.table(key="id", expect=[unique("code"), in_range("amount", 0, 100, on_fail="fail")])
def orders(bronze_orders):
    return bronze_orders.select("id", "code", F.expr("try_cast(amount AS bigint)").alias("amount"))
"""
GOLD = """
from pyspark.sql import functions as F
from lakehouse import gold, silver
from lakehouse.quality import in_range, unique

@silver.table(key="id")
def orders(bronze_orders):
    return bronze_orders.select("id", "code", F.expr("try_cast(amount AS bigint)").alias("amount"))

@gold.table(key="code", expect=[unique("amount"), in_range("amount", 0, 100, on_fail="fail")])
def codes(silver_orders):
    return silver_orders.where("code != 'hidden'").select("code", "amount")
"""


def write(project: Project, name: str, *lines: str) -> None:
    file = project.folder / "data" / "raw" / f"orders-{name}.csv"
    file.write_text("\n".join(["id,code,amount", *lines]) + "\n")


def blocking(project: Project, address: str) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    (held,) = quarantines(project, [address])
    return sorted(((json.loads(row.record), row.reasons) for row in held.open if row.blocking), key=str)


def named(project: Project, record: dict[str, Any]) -> list[str]:
    (held,) = quarantines(project, ["silver.orders"])
    return [row.place.id for row in held.open if json.loads(row.record).items() >= record.items()]


def silver(project: Project) -> Counter[tuple[Any, ...]]:
    return Counter((row["id"], row["code"], row["amount"]) for row in rows_of(project.path("silver.orders")))


@pytest.mark.torture
def test_doubled_values_are_listed_and_go_on_without_what_is_discarded(spark: Any, make_project: Any) -> None:
    project = make_project(SOURCES, SILVER)
    write(project, "1", "1,a,1", "2,b,2", "9,,3", "10,,4")  # a null is not compared
    assert run(project)[-1].error is None
    # c twice among the new rows; a beside a row that the table has; b moves to another key, and 5 was another before.
    write(project, "2", "3,c,5", "4,c,6", "5,a,7", "2,d,8", "6,b,9", "7,x,1", "7,y,2")
    result = run(project)[-1]
    assert isinstance(result.error, GateError)
    assert "lakehouse quarantine show silver.orders" in result.error.hint
    assert blocking(project, "silver.orders") == [
        ({"id": "3", "code": "c", "amount": 5}, ("unique(code)",)),
        ({"id": "4", "code": "c", "amount": 6}, ("unique(code)",)),
        ({"id": "5", "code": "a", "amount": 7}, ("unique(code)",)),
    ]
    assert isinstance(run(project)[-1].error, GateError)  # a second time lists them once
    assert len(blocking(project, "silver.orders")) == 3
    assert discard(project, "silver.orders", ids=named(project, {"id": "4"}), because="a double").done == 1
    assert isinstance(run(project)[-1].error, GateError)
    assert discard(project, "silver.orders", ids=named(project, {"id": "5"}), because="a double").done == 1
    result = run(project)[-1]
    assert (result.error, result.quarantined) == (None, 2)
    want = Counter({("1", "a", 1): 1, ("2", "d", 8): 1, ("3", "c", 5): 1, ("6", "b", 9): 1, ("7", "y", 2): 1})
    want |= Counter({("9", None, 3): 1, ("10", None, 4): 1})
    assert silver(project) == want
    assert blocking(project, "silver.orders") == []
    both_sides(project)
    # What doubled it goes, and the record stays out: live, and in a rebuild from bronze alone.
    write(project, "3", "1,z,1")
    assert run(project)[-1].error is None
    want = want - Counter({("1", "a", 1): 1}) + Counter({("1", "z", 1): 1})
    assert silver(project) == want
    for lost in ("silver", "state"):
        shutil.rmtree(project.root / lost)
    assert run(project)[-1].error is None
    assert silver(project) == want
    both_sides(project)


@pytest.mark.torture
def test_what_a_decision_brings_to_light_is_listed_too(spark: Any, make_project: Any) -> None:
    """First a rule on rows stops the table, then the doubled values, then an older row of a key that was discarded."""
    project = make_project(SOURCES, SILVER)
    write(project, "1", "1,a,500", "2,b,2", "3,b,3", "3,b,4")
    for record, reason in (
        ({"id": "1"}, "in_range(amount, 0, 100)"),
        ({"id": "3", "amount": 4}, "unique(code)"),
        ({"id": "3", "amount": 3}, "unique(code)"),
    ):
        assert isinstance(run(project)[-1].error, GateError)
        assert any(
            reason in reasons and row.items() >= record.items() for row, reasons in blocking(project, "silver.orders")
        )
        assert discard(project, "silver.orders", ids=named(project, record), because="wrong").done == 1
    assert run(project)[-1].error is None
    assert silver(project) == {("2", "b", 2): 1}
    both_sides(project)


CASES = [
    (["1,a,1", "2,a,2"], {"a 1", "a 2"}, "its key is there 2 times"),
    (["1,a,1", "2,,2"], {"None 2"}, "key code is null"),
    (["1,a,500", "2,b,2"], {"a 500"}, "in_range(amount, 0, 100)"),
    (["1,a,7", "2,b,7", "3,c,8"], {"a 7", "b 7"}, "unique(amount)"),
]


@pytest.mark.parametrize(
    ("lines", "rows", "reason"),
    [pytest.param(*case, marks=[pytest.mark.torture] * (case is not CASES[-1]), id=case[2]) for case in CASES],
)
def test_the_rows_that_stop_a_gold_table_are_listed(
    spark: Any, make_project: Any, lines: list[str], rows: set[str], reason: str
) -> None:
    project = make_project(SOURCES, GOLD.replace("code != 'hidden'", "true"))
    write(project, "1", *lines)
    for _ in range(2):
        result = run(project)[-1]
        assert isinstance(result.error, GateError)
        assert "lakehouse quarantine show gold.codes" in result.error.hint
    listed = blocking(project, "gold.codes")
    assert {f"{row['code']} {row['amount']}" for row, _ in listed} == rows
    assert len(listed) == len(rows) and all(reasons == (reason,) for _, reasons in listed)


def test_a_gold_table_goes_on_when_what_it_reads_is_mended(spark: Any, make_project: Any) -> None:
    project = make_project(SOURCES, GOLD)
    write(project, "1", "1,a,1")
    assert run(project)[-1].error is None
    write(project, "2", "2,b,500")
    assert isinstance(run(project)[-1].error, GateError)
    assert len(blocking(project, "gold.codes")) == 1
    for decide in (
        lambda: discard(project, "gold.codes", reason="in_range", because="no"),
        lambda: replay(project, "gold.codes"),
    ):
        with pytest.raises(UsageError, match="made anew"):
            decide()
    write(project, "3", "2,b,50")
    assert run(project)[-1].error is None
    assert blocking(project, "gold.codes") == []
    assert Counter(row["amount"] for row in rows_of(project.path("gold.codes"))) == {1: 1, 50: 1}
