"""The bytes of window features that stores out there hold: read for ever, whatever becomes of what makes them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.kernels.aggregations import EVENTS, Aggregation, Aggregations, Measure
from lakehouse.kernels.buckets import apart, together
from lakehouse.kernels.slides import Plan, slides
from lakehouse.kernels.sliding import Slides
from lakehouse.kernels.tiles import tiles_of
from tests.windows.oracle import EPOCH

US = pa.timestamp("us", "UTC")
HOUR, DAY = 3600, 86400
TYPES = {"k": pa.string(), "t": US, "v": pa.float64(), "n": pa.int64(), "s": pa.string(), "b": pa.bool_(), "w": US}
MEASURES = tuple(Measure(name, name, name == "b") for name in ("v", "n", "s", "b", "w"))
FEATURES = (
    Aggregation("count", "count", EVENTS, HOUR, HOUR),
    Aggregation("sum", "sum", "v", 2 * DAY, DAY),
    Aggregation("whole", "sum", "n", HOUR, HOUR),
    Aggregation("mean", "mean", "v", 5 * HOUR, HOUR),
    Aggregation("variance", "variance", "v", 2 * DAY, DAY),
    Aggregation("min", "min", "w", 5 * HOUR, HOUR),
    Aggregation("rate", "rate", "b", 5 * HOUR, HOUR),
    Aggregation("last", "last", "s", None, HOUR),
    Aggregation("lasts", "last_n", "s", 2 * DAY, DAY, 2),
)
EVENTS_1: list[tuple[Any, ...]] = [
    (-30, 0.1, 1, "x", None, None),
    (-4.5, -0.25, 2**40, "grün", True, EPOCH),
    (-2, None, None, None, False, EPOCH - timedelta(seconds=9)),
    (-0.5, 1e16, 7, "", None, None),
]
"""Hours after the epoch, v, n, s, b, w."""
PLAN_1 = [
    json.dumps(
        {
            "of": "silver.e", "entity": ["k"], "at": "t", "where": "", "bucket": "",
            "features": [
                dict(zip(("name", "kind", "measure", "over_s", "hop_s", "most"), one, strict=True))
                for one in (
                    ("count", "count", "", 3600, 3600, 1), ("sum", "sum", "v", 172800, 86400, 1),
                    ("whole", "sum", "n", 3600, 3600, 1), ("mean", "mean", "v", 18000, 3600, 1),
                    ("variance", "variance", "v", 172800, 86400, 1), ("min", "min", "w", 18000, 3600, 1),
                    ("rate", "rate", "b", 18000, 3600, 1), ("last", "last", "s", None, 3600, 1),
                    ("lasts", "last_n", "s", 172800, 86400, 2),
                )
            ],
            "measures": [{"name": name, "sql": name, "condition": name == "b"} for name in "vnsbw"],
        },
        sort_keys=True, separators=(",", ":"),
    ),
    {"v": "d", "n": "i", "s": "s", "b": "b", "w": "t"},
]  # fmt: skip
SLIDES_1 = (
    "02000000040000000600000006000000080000000c0000001000000014000000180000001c00000035000000380000003b00"
    "000044000000480000004c0000004e000000510000005400000065000000680000006b0000007c0000007e00000080000000"
    "830000008800000062006201620062fb6200030462000001620000016200000762020101640080e03779c341430080e03779"
    "c341430080e03779c3414362000262010069c0ab76ff00000000620201006201000062fe620001620302640080e03779c341"
    "430080e03779c3414362000162010164c9925cf19c4b7a46176e05b5b5b88346620062026200056772c3bc6e"
)
VALUES_1: dict[float, list[Any]] = {
    0: [1, 1e16, 7, 5e15, 3.3333333333333334e31, -9_000_000, 0.5, "", ["", "grün"]],
    2.5: [0, 1e16, None, 1e16, 3.3333333333333334e31, -9_000_000, 0.0, "", ["", "grün"]],
    20: [0, 1e16, None, None, 3.3333333333333334e31, None, None, "", ["", "grün"]],
    100: [0, None, None, None, None, None, None, "", []],
}
"""By hours after the epoch: the features, times in microseconds."""
BUCKETS_1 = (
    "0300000000000000120000000500000012000000010000001200000002000000040000000600000062ff620062016772c3bc"
    "6e02000000040000000600000062ff620062017802000000040000000600000062fe62006201"
)


def test_slides_of_encoding_1_are_read_for_ever() -> None:
    """Never change these bytes, nor what describes them: a change of the encoding says so in the plan's text."""
    text = json.dumps(PLAN_1, sort_keys=True)
    reader = Slides(Plan.of_text(text), [one.name for one in FEATURES])
    for hours, values in VALUES_1.items():
        assert reader.values(bytes.fromhex(SLIDES_1), int(hours * HOUR * 1_000_000)) == values, hours


def test_what_is_made_now_is_of_encoding_1() -> None:
    told = Aggregations("silver.e", ("k",), "t", MEASURES, FEATURES)
    types = {one.name: TYPES[one.name] for one in MEASURES}
    plan = Plan.of(told, types)
    assert plan.text == json.dumps(PLAN_1, sort_keys=True)
    tiles = tiles_of(_events(), told)
    assert slides(plan, tiles, np.zeros(len(tiles), np.int64), np.zeros(1, np.int64), types) == [
        bytes.fromhex(SLIDES_1)
    ]


def test_buckets_of_encoding_1_are_read_for_ever() -> None:
    features = (Aggregation("count", "count", EVENTS, 2 * DAY, DAY),)
    told = Aggregations("silver.e", ("k",), "t", (), features, bucket="s")
    plan = Plan.of(told, {})
    read = Slides(plan, ["count"])
    kept = bytes.fromhex(BUCKETS_1)
    for hours, values in ((0, [1, 1, 1]), (24, [1, 1, 0]), (48, [0, 0, 0])):
        found = {name: read.values(one, hours * HOUR * 1_000_000) for name, one in apart(kept)}
        assert found == dict(zip(("", "grün", "x"), ([one] for one in values), strict=True)), hours
    tiles = tiles_of(_events(), told)
    tiles = tiles.filter(tiles["s"].is_valid())
    assert together(plan, tiles, np.zeros(len(tiles), np.int64), np.zeros(1, np.int64), {"s": pa.string()}) == [kept]


def _events() -> pa.Table:
    rows = [("a", EPOCH + timedelta(hours=hours), *rest) for hours, *rest in EVENTS_1]
    return pa.table(
        {name: pa.array([row[spot] for row in rows], kind) for spot, (name, kind) in enumerate(TYPES.items())}
    )
