"""Sales, returns and shops that change in every way, two tables made of them, and what these must hold in plain Python.

The inputs are written by delta-rs, which is quick and keeps a change feed as Delta does.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lakehouse import gold
from lakehouse.delta.feed import FEED
from lakehouse.gold.building import Built, build_gold
from lakehouse.gold.planning import Work, plan_gold
from lakehouse.quality.gate import Gate
from lakehouse.tables import Table
from tests.laws.shop import rows_of

SCHEMAS = {
    "silver.sales": pa.schema({"id": pa.int64(), "shop": pa.string(), "day": pa.date32(), "amount": pa.int64()}),
    "silver.returns": pa.schema({"id": pa.int64(), "day": pa.date32(), "amount": pa.int64()}),
    "silver.shops": pa.schema({"shop": pa.string(), "region": pa.string()}),
}
KEYS = {"silver.sales": "id", "silver.returns": "id", "silver.shops": "shop"}
SHOPS = ("a", "b'\\", "c${d}")
FIRST_DAY = date(2026, 1, 1)

Row = dict[str, Any]


@gold.table(key="id", refresh=gold.by("day"))
def sold(silver_sales, silver_returns, silver_shops):
    """Each sale beside what was sold and given back on its day: a day that is not known is a day too."""
    return silver_sales.sparkSession.sql(
        """
        WITH back AS (SELECT day, SUM(amount) AS back FROM {returns} GROUP BY day)
        SELECT s.id, s.day, s.amount, SUM(s.amount) OVER (PARTITION BY s.day) AS total, b.back, p.region
        FROM {sales} s LEFT JOIN back b ON b.day <=> s.day LEFT JOIN {shops} p ON p.shop = s.shop
        """,
        sales=silver_sales,
        returns=silver_returns,
        shops=silver_shops,
    )


@gold.table(key="day", refresh=gold.by("day"), lookback=timedelta(days=2))
def three_days(silver_sales, silver_returns):
    """Each day on which something was given back: what was sold on it and on the two days before, and given back."""
    return silver_sales.sparkSession.sql(
        """
        SELECT r.day, COALESCE(SUM(s.amount), 0) AS sold, COUNT(s.amount) AS sales
        FROM (SELECT DISTINCT day FROM {returns} WHERE day IS NOT NULL) r
        LEFT JOIN {sales} s ON s.day BETWEEN r.day - INTERVAL 2 DAYS AND r.day GROUP BY r.day
        """,
        sales=silver_sales,
        returns=silver_returns,
    )


def oracle_of_sold(rows: dict[str, dict[Any, Row]]) -> Counter[tuple[Any, ...]]:
    sales, returns = rows["silver.sales"].values(), rows["silver.returns"].values()
    found: Counter[tuple[Any, ...]] = Counter()
    for sale in sales:
        total = sum(other["amount"] for other in sales if other["day"] == sale["day"])
        back = [other["amount"] for other in returns if other["day"] == sale["day"]]
        region = rows["silver.shops"].get(sale["shop"], {}).get("region")
        found[sale["id"], sale["day"], sale["amount"], total, sum(back) if back else None, region] += 1
    return found


def oracle_of_three_days(rows: dict[str, dict[Any, Row]]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for day in {row["day"] for row in rows["silver.returns"].values()} - {None}:
        sales = [
            sale["amount"]
            for sale in rows["silver.sales"].values()
            if sale["day"] is not None and timedelta(0) <= day - sale["day"] <= timedelta(days=2)
        ]
        found[day, sum(sales), len(sales)] += 1
    return found


ORACLES: dict[str, Callable[[dict[str, dict[Any, Row]]], Counter[tuple[Any, ...]]]] = {
    "gold.sold": oracle_of_sold,
    "gold.three_days": oracle_of_three_days,
}


@dataclass
class Lake:
    """The inputs in a folder, what they hold in Python, and gold tables built of them."""

    root: Path
    spark: Any
    rows: dict[str, dict[Any, Row]] = field(default_factory=lambda: {name: {} for name in SCHEMAS})
    history: dict[str, list[dict[Any, Row]]] = field(default_factory=lambda: {name: [] for name in SCHEMAS})
    """What each input held at each of its versions."""

    def __post_init__(self) -> None:
        for name in SCHEMAS if not self.root.exists() or not list(self.root.iterdir()) else ():
            self.put(name)

    def path(self, name: str) -> Path:
        return self.root / name

    def table(self, name: str) -> DeltaTable:
        return DeltaTable(str(self.path(name)))

    def put(self, name: str, *rows: Row) -> None:
        """Add rows whose keys are new."""
        made = pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])
        write_deltalake(str(self.path(name)), made, mode="append", configuration={FEED: "true"})
        self.rows[name] |= {row[KEYS[name]]: row for row in rows}
        self.noted(name)

    def change(self, name: str, gone: list[Any], rows: list[Row]) -> None:
        """Take keys away and write rows, in one commit as silver makes it."""
        key = KEYS[name]
        marked = [{**row, "gone": False} for row in rows]
        marked += [{**dict.fromkeys(SCHEMAS[name].names), key: one, "gone": True} for one in gone]
        source = pa.Table.from_pylist(marked, schema=SCHEMAS[name].append(pa.field("gone", pa.bool_())))
        merge = self.table(name).merge(source, f"s.{key} = t.{key}", source_alias="s", target_alias="t")
        values = {column: f"s.{column}" for column in SCHEMAS[name].names}
        merge.when_matched_delete("s.gone").when_matched_update(values).when_not_matched_insert(
            values, "NOT s.gone"
        ).execute()
        for one in gone:
            self.rows[name].pop(one, None)
        self.rows[name] |= {row[key]: row for row in rows}
        self.noted(name)

    def restore(self, name: str, version: int) -> None:
        self.table(name).restore(version)
        self.rows[name] = dict(self.history[name][version])
        self.noted(name)

    def noted(self, name: str) -> None:
        """Nothing that delta-rs leaves out when nothing changed is a version."""
        if self.table(name).version() == len(self.history[name]):
            self.history[name].append(dict(self.rows[name]))

    def step(self, draw: random.Random) -> None:
        """One commit to one input, of any kind."""
        name = draw.choices(list(SCHEMAS), [6, 4, 1])[0]
        known, version = self.rows[name], self.table(name).version()
        kind = draw.choices(["insert", "change", "delete", "compact", "restore"], [3, 6, 2, 1, version > 0])[0]
        if kind == "insert" or not known:
            new = next(one for one in (*SHOPS, None) if one not in known) if name == "silver.shops" else None
            if name != "silver.shops":
                start = draw.randrange(10**6)
                self.put(name, *(self.row(name, draw, start + n) for n in range(draw.randrange(1, 4))))
            elif new is not None:
                self.put(name, self.row(name, draw, new))
        elif kind == "compact":
            self.table(name).optimize.compact()
            self.noted(name)
        elif kind == "restore":
            self.restore(name, draw.randrange(version))
        else:
            keys = draw.sample(sorted(known), min(len(known), draw.randrange(1, 4)))
            rows = [self.row(name, draw, key) for key in keys] if kind == "change" else []
            self.change(name, [] if rows else keys, rows)

    def row(self, name: str, draw: random.Random, key: Any) -> Row:
        if name == "silver.shops":
            return {"shop": key, "region": draw.choice(["north", "south"])}
        day = draw.choice([None, *(FIRST_DAY + timedelta(days=n) for n in range(30))])
        row = {"id": key, "day": day, "amount": draw.randrange(100)}
        return row | ({"shop": draw.choice(SHOPS)} if name == "silver.sales" else {})

    def plan(self, table: Table, into: str = "gold", print_: str = "print") -> Work:
        inputs = {name: self.path(name) for name in table.inputs}
        return plan_gold(table, print_, *self.places(table, into), inputs)

    def places(self, table: Table, into: str) -> tuple[Path, Path]:
        return self.root / into / table.name, self.root / f"{into}-state" / table.name

    def build(self, table: Table, into: str = "gold", print_: str = "print") -> Built | None:
        """What a run does; None where there is nothing to do."""
        work = self.plan(table, into, print_)
        if work.action == "unchanged":
            return None
        inputs = {name: self.path(name) for name in table.inputs}
        gate = Gate(table.address, table.key, table.expect, datetime.now(UTC), {"versions": work.versions})
        return build_gold(self.spark.newSession(), table, work, inputs, *self.places(table, into), gate)

    def held(self, table: Table, into: str = "gold") -> Counter[tuple[Any, ...]]:
        return Counter(tuple(row.values()) for row in rows_of(self.places(table, into)[0]))

    def agrees(self, table: Table) -> None:
        """Assert that the table holds what the oracle says."""
        want, have = ORACLES[table.address](self.rows), self.held(table)
        assert have == want, f"{table.address}: {have - want} too many, {want - have} lost"

    def feed(self, table: Table, after: int) -> list[Row]:
        """The rows of the table's own change feed since a version."""
        path = str(self.places(table, "gold")[0])
        if DeltaTable(path).version() == after:
            return []
        return pa.table(DeltaTable(path).load_cdf(starting_version=after + 1)).to_pylist()

    def version(self, table: Table) -> int:
        return DeltaTable(str(self.places(table, "gold")[0])).version()

    def copied(self, root: Path) -> Lake:
        """The same lake in another folder."""
        shutil.copytree(self.root, root)
        return replace(self, root=root, rows={name: dict(rows) for name, rows in self.rows.items()})

    def switch_off(self, name: str) -> None:
        """The change feed, for one commit."""
        self.table(name).alter.set_table_properties({FEED: "false"})
        self.put(name, self.row(name, random.Random(0), 77))
        self.table(name).alter.set_table_properties({FEED: "true"})
