"""Tiles merged with those of new events are, to the bit, the tiles of all events."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse import gold
from lakehouse.kernels.aggregations import HOP, START, Aggregations
from lakehouse.kernels.merging import LateError, Since, merged_tiles, ordered
from lakehouse.kernels.tiles import tiles_of

US = pa.timestamp("us", "UTC")
SCHEMA = pa.schema({"k": pa.string(), "t": US, "v": pa.float64(), "n": pa.int64(), "s": pa.string()})
VALUES = (0.1, -0.0, 0.0, 1e16, -1e16, 3.0, float("nan"), float("inf"), 1e-300, None)
MINUTE = 60_000_000
WISHES = [
    *(gold.count(over=["1h", "1d"]), gold.mean("v", over=["1h", "7d"]), gold.max("v", over="1d"), gold.last("s")),
    *(gold.last_n("s", 3, over="1d"), gold.min("n", over="1h"), gold.variance("v", over="28d")),
    *(gold.sum("n", over="2d"), gold.last_n("v", 2, over="30m"), gold.count("s", over="1d")),
]


def told(wishes: list[Any]) -> Aggregations:
    load = gold.windows(of="silver.events", entity="k", at="t", features=wishes)
    assert load.windows is not None
    return load.windows


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def shown(tiles: pa.Table) -> set[str]:
    """Each tile as text: the two zeros differ there, and NaN is itself."""
    return {repr(row) for row in tiles.to_pylist()}


def stream(draw: random.Random, late: float) -> tuple[pa.Table, pa.Table]:
    """Events of few times and keys, many of one time; those that came first, and the rest, some of which are late."""
    rows = [
        {
            "k": draw.choice(["a", "a", "", "b", None]),
            "t": draw.choice([None, *[draw.randrange(400) * 7 * MINUTE + draw.choice([0, 0, 1])] * 12]),
            "v": draw.choice(VALUES),
            "n": draw.choice([1, -(2**62), 2**62, None]),
            "s": draw.choice(["x", "y", "", None]),
        }
        for _ in range(draw.randrange(60))
    ]
    rows.sort(key=lambda row: row["t"] if row["t"] is not None else draw.randrange(10**10))
    cut = draw.randrange(len(rows) + 1)
    old, new = list[dict[str, Any]](), list[dict[str, Any]]()
    for place, row in enumerate(rows):
        (old if (place < cut) != (draw.random() < late) else new).append(row)
    for part in (old, new):
        draw.shuffle(part)
    return table(old), table(new)


def merge(one: Aggregations, old: pa.Table, new: pa.Table) -> tuple[pa.Table, Any]:
    everything = pa.concat_tables([old, new])
    known = new.column("t").drop_null().cast(pa.int64()).to_pylist()
    at = min(known, default=0)
    newest = everything.filter(pa.compute.greater_equal(everything.column("t").cast(pa.int64()), at))
    return merged_tiles(one, tiles_of(old, one), new, Since(at, newest) if ordered(one) else None)


@pytest.mark.parametrize("late", [0.0, 0.05, 0.5])
def test_any_parting_gives_the_tiles_of_all(late: float) -> None:
    """Of 300 streams for each share of late events; what came first is left out, and is the next test's."""
    draw = random.Random(f"merging {late}")
    merged, updated = 0, 0
    for _ in range(300):
        one = told(draw.sample(WISHES, draw.randint(1, len(WISHES))))
        old, new = stream(draw, late)
        found, there = merge(one, old, new)
        every = tiles_of(pa.concat_tables([old, new]), one)
        before = {(row["k"], row[HOP], row[START]) for row in tiles_of(old, one).to_pylist()}
        touched = {(row["k"], row[HOP], row[START]) for row in tiles_of(new, one).to_pylist()}
        assert found.schema == every.schema
        wanted = [row for row in every.to_pylist() if (row["k"], row[HOP], row[START]) in touched]
        assert shown(found) == {repr(row) for row in wanted}
        rows = found.to_pylist()
        assert len(rows) == len(wanted)
        assert [(row["k"], row[HOP], row[START]) in before for row in rows] == list(there)
        merged, updated = merged + len(rows), updated + int(np.sum(there))
    assert updated > 250 < merged - updated


def test_what_came_first() -> None:
    """As above, or an error where an old event that is among the newest may have come first."""
    draw, refused, told_well = random.Random("first"), 0, 0
    one = told([gold.first("s", over="1d"), gold.first("v"), gold.last("s", over="30m"), gold.count(over="1h")])
    for late in (0.0, 0.05, 0.5) * 100:
        old, new = stream(draw, late)
        try:
            found, _ = merge(one, old, new)
        except LateError:
            refused += 1
            continue
        told_well += 1
        touched = {(row["k"], row[HOP], row[START]) for row in found.to_pylist()}
        every = tiles_of(pa.concat_tables([old, new]), one).to_pylist()
        assert shown(found) == {repr(row) for row in every if (row["k"], row[HOP], row[START]) in touched}
    assert told_well > 100 < refused * 10
