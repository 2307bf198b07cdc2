"""Definitions of window features that together use all that there is."""

from __future__ import annotations

from typing import Any

from lakehouse import gold

SCHEMA = {
    **{"k": "string", "place": "int", "shop": "string", "t": "timestamp", "day": "date"},
    **{"v": "double", "n": "bigint", "s": "string", "b": "boolean", "price": "decimal(9,2)", "w": "timestamp_ntz"},
}

doubles = gold.windows(
    of="silver.events",
    entity="k",
    at="t",
    features=[
        *(
            gold.sum("v", over=["1h", "28d"]),
            gold.mean("v", over=["1d", "7d"]),
            gold.variance("v", over="7d"),
            gold.min("v", over="1d"),
        ),
        *(
            gold.max("v", over="1d"),
            gold.first("v", over="7d"),
            gold.last("v"),
            gold.last_n("v", 3, over="1d"),
            gold.count("v", over="12h"),
        ),
    ],
)
wholes = gold.windows(
    of="silver.events",
    entity=["k", "place"],
    at="t",
    hop="15m",
    features=[
        *(
            gold.count(over=["15m", "6h"]),
            gold.sum("n", over="1h"),
            gold.mean("n", over="1d"),
            gold.variance("n", over="1d"),
        ),
        gold.min("n", over="1h"),
        gold.max("n", over="6h"),
        gold.last_n("n", 2, over="6h"),
        gold.first("n"),
    ],
)
conditions = gold.windows(
    of="silver.events",
    entity="place",
    at="t",
    where="s <> 'gone' AND n IS NOT NULL",
    features=[
        *(
            gold.rate("v > 0.5", over=["1h", "7d"]),
            gold.rate("s LIKE 'a%' OR b", over="1d"),
            gold.count("s", over="1d"),
        ),
        gold.last("s"),
        gold.first("s", over="1d"),
        gold.last_n("s", 5, over="28d"),
    ],
)
buckets = gold.windows(
    of="silver.events",
    entity="k",
    at="t",
    where="n <> 3",
    bucket="shop",
    features=[
        gold.count(over="7d"),
        gold.mean("v", over="1d"),
        gold.last("s", over="7d"),
        gold.last_n("w", 2, over="1d"),
        gold.max("b", over="1d"),
        gold.sum("v", over="1h"),
        gold.rate("b = true", over="7d"),
    ],
)
others = gold.windows(
    of="silver.events",
    entity="k",
    at="day",
    hop="1d",
    features=[
        *(
            gold.sum("price", over="7d"),
            gold.mean("price", over="28d"),
            gold.min("w", over="7d"),
            gold.max("w", over="1d"),
        ),
        *(
            gold.last("w"),
            gold.count("w", over="7d"),
            gold.last_n("b", 2, over="7d"),
            gold.sum("b", over="7d"),
            gold.variance("price", over="28d"),
            gold.last("day"),
        ),
    ],
)
ALL: list[Any] = [doubles, wholes, conditions, buckets, others]
