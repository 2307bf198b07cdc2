"""A small shop and its oracle: what every table must hold, computed from the raw rows in plain Python."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.config import Project
from lakehouse.features.repository import look_up

SOURCES = "  orders: {type: files, format: csv, path: data/raw/orders-*.csv}"

TABLES = '''
from pyspark.sql import functions as F
from lakehouse import gold, silver
from lakehouse.quality import in_range

@silver.table(key="id", sequence_by="seq", expect=[in_range("amount", 0, 1000)])
def orders(bronze_orders):
    """The newest state of each order; drafts are left out."""
    return bronze_orders.where("status <> 'draft'").select(
        F.expr("try_cast(id AS bigint)").alias("id"),
        F.expr("try_cast(seq AS bigint)").alias("seq"),
        "customer",
        F.expr("try_cast(amount AS bigint)").alias("amount"),
    )

@gold.table(key="customer")
def totals(silver_orders):
    """What each customer ordered."""
    return silver_orders.groupBy("customer").agg(F.sum("amount").alias("amount"), F.count("*").alias("orders"))
'''

CAPTURED = TABLES.replace(
    'sequence_by="seq"', """sequence_by="seq", apply_as_deletes="status = 'gone'", except_column_list=["status"]"""
).replace('"customer",\n', '"customer",\n        "status",\n')
"""The same shop, where an order can be taken back: an event of status 'gone' deletes it, whatever its amount."""

PUBLISHED = TABLES.replace('@gold.table(key="customer")', '@gold.table(key="customer", at="at")').replace(
    '.alias("orders"))', '.alias("orders")).withColumn("at", F.to_timestamp(F.lit("2026-01-01")))'
)
"""The same shop, with a time in gold, which features need."""

PARTS = TABLES.replace('@gold.table(key="customer")', '@gold.table(key="customer", refresh=gold.by("customer"))')
"""The same shop: of gold just the customers whose orders changed are computed."""

FEATURES = """
from feast import Entity, ValueType
from jobs.shop import tables
from lakehouse.features.view import feature_view

customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING)
totals = feature_view(tables.totals, entity=customer, ttl=None)
"""
REPOSITORY = Path(__file__).parents[2] / "features"

Row = tuple[int | None, int, str, int, str]  # id, seq, customer, amount, status


def history(seed: int, *, deletes: bool = False) -> list[Row]:
    """Inserts, updates, doubled and late events, bad values and keys, and deletes; sequences differ within a key."""
    kinds = ["new", "paid", "draft", *["gone"] * deletes]
    draw = random.Random(seed)
    rows: list[Row] = []
    for sequence in range(40):
        key = draw.choice([1, 2, 3, 4, 5, None])
        amount = draw.choice([0, 5, 1000, 1001, -1, draw.randrange(1000)])
        rows.append((key, sequence, draw.choice(["ada", "bob", "cy"]), amount, draw.choice(kinds)))
    rows += draw.sample(rows, 10)
    return rows


def write_orders(folder: Path, name: str, rows: list[Row]) -> Path:
    """A CSV as the shop's till would write it."""
    lines = ["id,seq,customer,amount,status"]
    lines += [f"{'' if row[0] is None else row[0]},{','.join(map(str, row[1:]))}" for row in rows]
    path = folder / "data" / "raw" / f"orders-{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_features(folder: Path) -> None:
    """A Feast repository over the gold table of PUBLISHED."""
    (folder / "features").mkdir()
    (folder / "features" / "definitions.py").write_text(FEATURES)
    shutil.copy(REPOSITORY / "feature_store.yaml", folder / "features")


def served(project: Project, rows: list[Row]) -> None:
    """Assert that the online store answers what the oracle says, for every customer there ever was."""
    want = {name: (amount, orders) for name, amount, orders in expected(rows)["gold"]}
    names = sorted({row[2] for row in rows})
    answers = look_up(project, "totals", [{"customer": name} for name in names])
    assert {row["customer"]: (row["amount"], row["orders"]) for row in answers} == {
        name: want.get(name, (None, None)) for name in names
    }


def expected(rows: list[Row]) -> dict[str, Any]:
    """Silver, gold and the counts of law 1, whatever the order and batches in which the rows came."""
    out = [row for row in rows if row[4] != "draft"]
    good = [row for row in out if row[0] is not None and (0 <= row[3] <= 1000 or row[4] == "gone")]
    newest: dict[int, Row] = {}
    for row in good:
        assert row[0] is not None
        best = newest.get(row[0])
        if best is None or row[1] > best[1]:
            newest[row[0]] = row
    newest = {key: row for key, row in newest.items() if row[4] != "gone"}
    customers: dict[str, list[int]] = {}
    for row in newest.values():
        customers.setdefault(row[2], []).append(row[3])
    return {
        "bronze": Counter(tuple("" if value is None else str(value) for value in row) for row in rows),
        "silver": Counter(row[:4] for row in newest.values()),
        "gold": Counter((name, sum(amounts), len(amounts)) for name, amounts in customers.items()),
        "counts": {"in": len(rows), "out": len(out), "quarantined": len(out) - len(good)},
    }


def rows_of(path: Path, where: str | None = None) -> list[dict[str, Any]]:
    """A Delta table's rows, read without the engine. By scan alone: with to_pyarrow_* beside it a process may abort."""
    return pa.table(DeltaTable(str(path)).scan(predicate=where)).to_pylist()


def stored(root: Path) -> dict[str, Any]:
    """The same from the tables, read without the engine."""
    bronze = rows_of(root / "bronze" / "orders", "_kind = 'record'")
    names = ("id", "seq", "customer", "amount", "status")
    silver = rows_of(root / "silver" / "orders")
    gold = rows_of(root / "gold" / "totals")
    return {
        "bronze": Counter(tuple(row[name] or "" for name in names) for row in bronze),
        "silver": Counter((row["id"], row["seq"], row["customer"], row["amount"]) for row in silver),
        "gold": Counter((row["customer"], row["amount"], row["orders"]) for row in gold),
    }


def agree(root: Path, rows: list[Row]) -> None:
    """Assert that the tables are what the oracle says."""
    want, have = expected(rows), stored(root)
    for layer in ("bronze", "silver", "gold"):
        more, lost = have[layer] - want[layer], want[layer] - have[layer]
        assert have[layer] == want[layer], f"{layer}: {more} too many, {lost} lost"
