"""Generated streams of events and definitions of window features on them, a Feast view each, without a run.

A table has a stream of events for each of its keys. Its tiles are the kernel's own, written by delta-rs. What features
are, plain Python says: see :func:`wanted`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from feast import Entity, FeatureStore, FeatureView, RepoConfig, ValueType

from lakehouse import gold
from lakehouse.config import Project, load_project
from lakehouse.features.events import Events
from lakehouse.features.reading import open_table
from lakehouse.features.source import view_source
from lakehouse.features.view import feature_view
from lakehouse.gold.aggregates import Wish
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.tiles import tiles_of
from lakehouse.tables import Table
from tests.windows.oracle import same
from tests.windows.world import HOUR, SCHEMA, START, Row, expected

K = Entity(name="k", join_keys=["k"], value_type=ValueType.STRING)
J = Entity(name="j", join_keys=["j"], value_type=ValueType.INT64)
EVENTS = SCHEMA.append(pa.field("j", pa.int32()))
LENGTHS = ("5m", "1h", "6h", "1d", "3d")
TICK = timedelta(microseconds=1)
KEYS = ("", "a", *"bcdefghijklmnopqrs")
"""The second one has a third of the events."""


@dataclass(frozen=True)
class Streams:
    """The events of one table, and the one definition on them."""

    rows: list[Row]
    told: Aggregations
    view: FeatureView


def moment(draw: random.Random) -> datetime:
    """A time of few, a microsecond beside it or neither: edges and ties are the rule."""
    at = START + draw.randrange(48) * HOUR * 3 + draw.choice([0, 0, 5, 60]) * timedelta(minutes=1)
    return at + draw.choice([0, 0, 1, -1]) * TICK


def key(draw: random.Random) -> str | None:
    return draw.choice(["a", draw.choice(KEYS), draw.choice(KEYS), draw.choice([*KEYS, None])])


def one_event(draw: random.Random, number: int) -> Row:
    doubles = [None, 0.1, 0.2, 0.30000000000000004, -1e15, 1e15, float("nan"), draw.uniform(-5, 5), 2.0**-1000]
    return {
        "id": number,
        "k": key(draw),
        "j": draw.choice([1, 1, 2, None]),
        "shop": draw.choice(["x", "y", None]),
        "t": None if draw.random() < 0.05 else moment(draw),
        "v": draw.choice(doubles),
        "n": draw.choice([None, 0, 3, -7, 2**31 - 1]),
        "s": draw.choice([None, "", "é", "two"]),
    }


def definition(draw: random.Random, number: int) -> Table:
    def over() -> list[str]:
        return draw.sample(LENGTHS, draw.randrange(1, 3))

    def ever() -> list[str] | None:
        return draw.choice([None, over()])

    numeric = draw.choice(["v", "v", "n"])
    wishes: list[Wish] = [
        gold.count(over=over()),
        gold.count("s", over=over()),
        gold.sum(numeric, over=over()),
        gold.mean("v", over=over()),
        gold.variance("v", over=over()),
        gold.min(numeric, over=over()),
        gold.max("n", over=over()),
        gold.rate("v > 0.5", over=over()),
        gold.first("s", over=ever()),
        gold.last("v", over=ever()),
        gold.last_n("s", draw.randrange(1, 4), over=over()),
    ]
    return gold.windows(
        name=f"w{number}",
        of=f"silver.e{number}",
        entity="k" if number % 2 else draw.choice([["k", "j"], ["j", "k"]]),
        at="t",
        hop=draw.choice(["auto", "auto", "5m", "1h", "1d"]),
        where=draw.choice(["", "n <> 3"]),
        bucket=draw.choice(["", "", "shop"]),
        features=draw.sample(wishes, draw.randrange(6, 12)),
    )


def streams(folder: Path, seed: int, many: int) -> tuple[FeatureStore, list[Streams]]:
    """A Feast store with so many views, those of one entity first."""
    conf = folder / "conf" / "base.yaml"
    conf.parent.mkdir(parents=True)
    conf.write_text("name: streams\nroot: lake\ntables: jobs.streams\nsources: {}\n")
    project, draw, found = load_project(folder), random.Random(seed), []
    for number in (*range(1, many, 2), *range(0, many, 2)):
        rows = [one_event(draw, place) for place in range(draw.choice([0, 1, *[200, 300] * 4]))]
        rows += [{**row, "id": -1} for row in draw.sample(rows, len(rows) // 5)]  # the same once more
        table = definition(draw, number)
        told = table.windows
        assert told is not None
        path = str(project.path(told.of))
        for part in range(2):
            write_deltalake(path, pa.Table.from_pylist(rows[part::2], schema=EVENTS), mode="append")
        found.append(Streams(rows, told, view_of(project, table)))
    return store_of(folder, [one.view for one in found]), found


def view_of(project: Project, table: Table) -> FeatureView:
    """The view of a table of window features, whose tiles are written now."""
    told = table.windows
    assert told is not None
    opened = open_table(str(project.path(told.of)), told.of)
    tiles = tiles_of(Events(told, opened).read(None, (None, None)), told)
    write_deltalake(str(project.path(table.address)), tiles)
    view = feature_view(table, entity=[K, J] if "j" in told.entity else K, ttl=None)
    view_source(view, view.name).events_version = opened.version  # no run is there to say it
    return view


def store_of(folder: Path, views: Sequence[Any]) -> FeatureStore:
    config = RepoConfig(
        project="streams",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "lakehouse.features.offline_store.DeltaOfflineStore", "project": str(folder)},
        online_store={
            "type": "lakehouse.online.sqlite.SqliteOnlineStore",
            "path": str(folder / "online.db"),
        },
        entity_key_serialization_version=3,
        coerce_tz_aware=False,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    store.apply([K, J, *views])
    return store


def wanted(given: Streams, row: Row, at: datetime | None) -> dict[str, Any]:
    """What the features are for an entity row, by looking at each event."""
    told = given.told
    names = told.entity if at and None not in [row[name] for name in told.entity] else None
    rows = [one for one in given.rows if names and all(one[name] == row[name] for name in names)]
    return expected(told, row["k"], at or START, rows)


def alike(found: Any, worth: Any) -> bool:
    if isinstance(worth, list | dict):
        if type(found) is not type(worth) or len(found) != len(worth):
            return False
        if isinstance(worth, list):
            return all(map(alike, found, worth))
        return all(name in found and alike(found[name], one) for name, one in worth.items())
    return same(found, worth)
