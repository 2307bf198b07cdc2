"""``show quality`` over results that stand beside the tables, written without a JVM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.errors import UsageError
from lakehouse.local import open_lake


def write(shop: Path, address: str, at: str, *results: tuple[str, str, int | None, list[dict[str, Any]]]) -> None:
    layer, _, name = address.partition(".")
    records = [
        {"rule": rule, "on_fail": "fail", "verdict": verdict, "looked": 1000, "failures": failures, "samples": samples}
        for rule, verdict, failures, samples in results
    ]
    texts = [json.dumps({**record, "at": at, "batches": [0, 1], "place": i}) for i, record in enumerate(records)]
    rows = pa.table({"_kind": ["quality"] * len(texts), "_record": texts})
    write_deltalake(shop / "data" / "lake" / "state" / layer / name, rows, mode="append", partition_by=["_kind"])


@pytest.fixture
def judged(shop: Path) -> Path:
    write(shop, "silver.orders", "2026-01-01T00:00:00+00:00", ("unique(a)", "failed", 2, [{"a": "old"}]))
    write(
        shop,
        "silver.orders",
        "2026-01-02T00:00:00.000001+00:00",
        ("row_count(1, None)", "passed", 0, []),
        ("in_range(amount, 0, 9)", "warned", 1234, [{"id": 1, "amount": 10}, {"id": 2, "amount": "\x1b[31m"}]),
    )
    write(shop, "silver.customers", "2026-01-02T00:00:00+00:00", ("unique(name)", "failed", 2, [{"name": "Zoë"}]))
    beside = shop / "data" / "lake" / "state" / "silver" / "orders.versions.1f0c9a5b"
    write_deltalake(beside, pa.table({"id": [1]}))  # what keep_versions keeps, which is no table's results
    return shop


def test_the_last_build_of_each_table_what_fails_first(command: Any, judged: Path) -> None:
    answer = command("show", "quality", folder=judged)
    assert answer.code == 0
    names = ("unique(name)", "in_range(amount, 0, 9)", "row_count(1, None)")
    places = [answer.out.index(name) for name in names]
    assert places == sorted(places)
    assert "1,234" in answer.out and '{"name": "Zoë"}' in answer.out
    assert "old" not in answer.out and "\x1b[31m" not in answer.out
    assert "lakehouse quarantine show silver.customers" in answer.out
    said = json.loads(command("show", "quality", "--json", folder=judged).out)
    assert [one["verdict"] for one in said["last"]] == ["failed", "warned", "passed"]
    assert said["last"][0]["at"] == "2026-01-02T00:00:00Z"


def test_the_builds_of_one_table(command: Any, judged: Path) -> None:
    assert "1 earlier builds are not shown" in command("show", "quality", "silver.orders", folder=judged).out
    said = json.loads(command("show", "quality", "silver.orders", "--json", folder=judged).out)
    assert [one["rule"] for one in said["builds"]] == ["unique(a)", "row_count(1, None)", "in_range(amount, 0, 9)"]
    assert [one["address"] for one in said["last"]] == ["silver.orders"] * 2


def test_where_nothing_was_judged(command: Any, shop: Path) -> None:
    assert "No table has been judged yet." in command("show", "quality", folder=shop).out
    assert "silver.orders has not been judged yet." in command("show", "quality", "silver.orders", folder=shop).out
    with pytest.raises(UsageError, match="there is no table 'silver.odrers'") as caught:
        open_lake(shop).quality("silver.odrers")
    assert caught.value.hint == "Did you mean 'silver.orders'?"


def test_rules_of_conf_stand_with_their_table(command: Any, shop: Path) -> None:
    conf = shop / "conf" / "base.yaml"
    before = len(conf.read_text().splitlines())
    conf.write_text(conf.read_text() + "expect:\n  silver.orders:\n    - {row_count: {least: 1}, on_fail: warn}\n")
    place = f"conf/base.yaml:{before + 3}"
    shown = command("show", "silver.orders", folder=shop).out
    assert f"expects row_count(1, None), or else: warn ({place})" in shown
    assert "No mistakes." in command("check", folder=shop).out
    conf.write_text(conf.read_text().replace("silver.orders:", "silver.odrers:"))
    answer = command("check", folder=shop)
    assert answer.code == 2 and "Did you mean 'silver.orders'?" in answer.out
