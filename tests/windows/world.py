"""Events that change in every way, window features over them, and what these must be in plain Python.

The events are written by delta-rs, which is quick and keeps a change feed as silver does.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore

from lakehouse.config import Project, load_project
from lakehouse.delta.feed import FEED
from lakehouse.features import registry
from lakehouse.features.publishing import publish
from lakehouse.features.repository import apply, open_store
from lakehouse.gold.building import Built, build_gold
from lakehouse.gold.planning import plan_gold
from lakehouse.kernels.aggregations import EVENTS, Aggregation, Aggregations
from lakehouse.pipeline.tiling import merge_events
from lakehouse.quality.gate import Gate
from lakehouse.tables import Table, tables_in
from tests.windows.oracle import come_to, in_window, rank, same

REPOSITORY = Path(__file__).parents[2] / "features"
US = pa.timestamp("us", "UTC")
START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Row = dict[str, Any]
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "k": pa.string(),
        "shop": pa.string(),
        "t": US,
        "v": pa.float64(),
        "n": pa.int32(),
        "s": pa.string(),
    }
)
TABLES = """
from lakehouse import gold
from lakehouse.gold import count, first, last, last_n, max, mean, min, rate, sum, variance

load = gold.windows(
    of="silver.events", entity="k", at="t",
    features=[
        count(over=["1h", "7d"]), mean("v", over=["1d", "7d", "28d"]), rate("v > 0.5", over="7d"), max("v", over="7d"),
        last("s"), last_n("s", 3, over="7d"), sum("n", over="1d"), sum("v", over="28d"), variance("v", over="7d"),
        first("s", over="1d"), min("n", over="1h"), count("s", over="1d"),
    ],
)
by_shop = gold.windows(
    of="silver.events", entity="k", at="t", where="n <> 3", bucket="shop",
    features=[count(over="7d"), mean("v", over="1d"), last("s", over="7d")],
)
"""
DEFINITIONS = """
from feast import Entity, FeatureService, ValueType
from lakehouse.features.view import feature_view
from depot import tables

key = Entity(name="k", join_keys=["k"], value_type=ValueType.STRING)
load = feature_view(tables.load, entity=key, ttl=None)
by_shop = feature_view(tables.by_shop, entity=key, ttl=None)
everything = FeatureService(name="everything", features=[load, by_shop])
"""


@dataclass
class World:
    """A project with events and window features, and what the events are."""

    project: Project
    spark: Any = None
    rows: dict[int, Row] = field(default_factory=dict)

    @staticmethod
    def make(folder: Path, spark: Any = None, online: dict[str, Any] | None = None) -> World:
        registry.register()
        for file, text in {
            "conf/base.yaml": "name: shop\nroot: data/lake\ntables: depot.tables\nsources: {}\n",
            "depot/__init__.py": "",
            "depot/tables.py": TABLES,
            "features/definitions.py": DEFINITIONS,
        }.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        target = folder / "features" / "feature_store.yaml"
        shutil.copy(REPOSITORY / "feature_store.yaml", target)
        if online is not None:
            target.write_text(json.dumps({**yaml.safe_load(target.read_text()), "online_store": online}))
        return World.at(folder, spark)

    @staticmethod
    def at(folder: Path, spark: Any = None) -> World:
        """The project in a folder."""
        return World(load_project(folder), spark)

    @property
    def tables(self) -> dict[str, Table]:
        return {table.name: table for table in tables_in("depot.tables", self.project.folder)}

    @property
    def events(self) -> Path:
        return self.project.path("silver.events")

    def put(self, *rows: Row) -> None:
        made = pa.Table.from_pylist(list(rows), schema=SCHEMA)
        write_deltalake(str(self.events), made, mode="append", configuration={FEED: "true"})
        self.rows |= {row["id"]: row for row in rows}

    def change(self, gone: list[int], rows: list[Row]) -> None:
        """Take keys away and write rows, in one commit as silver makes it."""
        marked = [{**row, "gone": False} for row in rows]
        marked += [{**dict.fromkeys(SCHEMA.names), "id": one, "gone": True} for one in gone]
        source = pa.Table.from_pylist(marked, schema=SCHEMA.append(pa.field("gone", pa.bool_())))
        merge = DeltaTable(str(self.events)).merge(source, "s.id = t.id", source_alias="s", target_alias="t")
        values = {column: f"s.{column}" for column in SCHEMA.names}
        merge.when_matched_delete("s.gone").when_matched_update(values).when_not_matched_insert(
            values, "NOT s.gone"
        ).execute()
        for one in gone:
            self.rows.pop(one, None)
        self.rows |= {row["id"]: row for row in rows}

    def build(self, name: str = "load") -> Built | None:
        """What a run does with the table of window features; None where there is nothing to do."""
        table, project = self.tables[name], self.project
        path, memory = project.path(table.address), project.state(table.address)
        inputs = {of: project.path(of) for of in table.inputs}
        work = plan_gold(table, "print", path, memory, inputs)
        if work.action == "unchanged":
            return None
        session = self.spark.newSession()
        if (merged := merge_events(session, self.project, table, work, datetime.now(UTC))) is not None:
            return merged
        gate = Gate(table.address, table.key, (), datetime.now(UTC), {"versions": work.versions})
        return build_gold(session, table, work, inputs, path, memory, gate)

    def apply(self) -> None:
        apply(self.project)

    def store(self, as_of: datetime | None = None) -> FeatureStore:
        return open_store(self.project, as_of)

    def publish(self, now: datetime, view: str = "load") -> Any:
        return publish(self.project, [view], now=now)[0]


def event(draw: random.Random, number: int, days: float = 40.0) -> Row:
    """One event, at a time that has hours and hops of its own, or a whole one."""
    at = START + timedelta(days=draw.uniform(0, days))
    at = draw.choice([at, at, at.replace(minute=0, second=0, microsecond=0), at.replace(minute=at.minute // 5 * 5)])
    return {
        "id": number,
        "k": draw.choice(["a", "a", "b", "", None]),
        "shop": draw.choice(["x", "y", None]),
        "t": draw.choice([at, at, at, at, at, None]),
        "v": draw.choice([None, 0.1, 0.2, 0.30000000000000004, -0.0, 1e15, -1e15, draw.uniform(-5, 5)]),
        "n": draw.choice([None, 0, 3, -7, 2**31 - 1]),
        "s": draw.choice([None, "", "é", "two"]),
    }


def expected(told: Aggregations, key: str | None, at: datetime, rows: list[Row]) -> dict[str, Any]:
    """All features of a key at a time, by looking at each event."""
    buckets = {row["shop"] for row in rows if row["shop"] is not None} if told.bucket else {None}
    found: dict[str, Any] = {}
    for one in told.features:
        if not told.bucket:
            found[one.name] = value(told, one, key, at, rows)
            continue
        of = {name: value(told, one, key, at, [row for row in rows if row["shop"] == name]) for name in buckets}
        found[one.name] = {
            name: worth
            for name, worth in of.items()
            if worth not in (None, 0, []) or (worth == 0 and one.kind != "count")
        }
    return found


def value(told: Aggregations, one: Aggregation, key: str | None, at: datetime, rows: list[Row]) -> Any:
    mine = [row for row in rows if key is not None and row["k"] == key and in_window(one, row["t"], at)]
    held = [row for row in mine if not told.where or (row["n"] is not None and row["n"] != 3)]
    if one.measure == EVENTS:
        return len(held)
    measures = {measure.name: measure for measure in told.measures}

    def of(row: Row, name: str) -> Any:
        if not measures[name].condition:
            return row[name]
        return None if row["v"] is None else rank(row["v"]) > rank(0.5)  # as SQL has it, NaN is above all

    held.sort(key=lambda row: (row["t"], *(rank(of(row, name)) for name in sorted(measures))))
    return come_to(one, [worth for row in held if (worth := of(row, one.measure)) is not None])


def agree(world: World, at: datetime, *keys: str, views: Sequence[str] = ("load", "by_shop")) -> None:
    """The views give at a moment what plain Python says."""
    for view in views:
        told = world.tables[view].windows
        assert told is not None
        names = [one.name for one in told.features]
        served = (
            world.store()
            .get_online_features(
                [f"{view}:{name}" for name in names], {"k": list(keys), "event_timestamp": [at] * len(keys)}
            )
            .to_dict()
        )
        for place, key in enumerate(keys):
            wanted = expected(told, key, at, list(world.rows.values()))
            for name in names:
                assert same(served[name][place], wanted[name]), (at, key, name, served[name][place], wanted[name])
