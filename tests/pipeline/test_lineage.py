"""Lineage by column: hand-written tables against what a person reads off them."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse import gold
from lakehouse.pipeline.lineage import lineage


def by_frame(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
    joined = silver_orders.where("status <> 'x'").join(silver_people, "id", "left")
    return joined.select(
        "id", (F.col("price") * F.col("count")).alias("spent"), F.upper("name").alias("name"), F.lit(1).alias("one")
    )


def by_sql(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
    return silver_orders.sparkSession.sql(
        "WITH p AS (SELECT id, upper(name) AS name FROM {p}) SELECT o.id, o.price * o.count AS spent, p.name, 1 AS one "
        "FROM {o} o LEFT JOIN p ON o.id = p.id WHERE o.status <> 'x'",
        o=silver_orders,
        p=silver_people,
    )


def grouped(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
    return silver_orders.groupBy("id").agg(F.sum("price").alias("total"), F.count("*").alias("n")).where("n > 1")


def ranked(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
    place = F.row_number().over(Window.partitionBy("id").orderBy("price"))
    return silver_orders.withColumn("place", place).select("id", "place", "count")


def itself(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
    return (
        silver_orders.alias("a").join(silver_orders.alias("b"), F.expr("a.id = b.count")).selectExpr("a.id", "b.price")
    )


def united(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
    names = silver_people.select("id", F.explode(F.split("name", " ")).alias("word"))
    return names.unionByName(silver_orders.selectExpr("id", "status AS word"))


def asked(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
    return silver_orders.sparkSession.sql(
        "SELECT id, price FROM {o} WHERE id IN (SELECT id FROM {p} WHERE name = 'a')", o=silver_orders, p=silver_people
    )


JOINED = (
    {
        "id": ["orders.id"],
        "spent": ["orders.count", "orders.price"],
        "name": ["people.name"],
        "one": [],
    },
    ["orders.id", "orders.status", "people.id"],
)
EXPECTED: dict[Any, tuple[dict[str, list[str]], list[str]]] = {
    by_frame: JOINED,
    by_sql: JOINED,
    grouped: ({"id": ["orders.id"], "total": ["orders.price"], "n": []}, ["orders.id"]),
    ranked: ({"id": ["orders.id"], "place": ["orders.id", "orders.price"], "count": ["orders.count"]}, []),
    itself: ({"id": ["orders.id"], "price": ["orders.price"]}, ["orders.count", "orders.id"]),
    united: ({"id": ["orders.id", "people.id"], "word": ["orders.status", "people.name"]}, []),
    asked: (
        {"id": ["orders.id"], "price": ["orders.price"]},
        ["orders.id", "people.id", "people.name"],
    ),
}


@pytest.fixture(scope="module")
def frames(spark: Any) -> list[DataFrame]:
    orders = "id bigint, price double, count bigint, status string"
    return [spark.createDataFrame([], orders), spark.createDataFrame([], "id bigint, name string")]


@pytest.mark.parametrize("function", EXPECTED)
def test_what_each_column_comes_from(frames: list[DataFrame], function: Any) -> None:
    found = lineage(gold.table(key="id")(function), frames)
    columns, rows = EXPECTED[function]
    short = {name: [one.removeprefix("silver.") for one in sources] for name, sources in found.columns.items()}
    assert (short, [one.removeprefix("silver.") for one in found.rows]) == (columns, rows)


def test_a_column_that_is_computed_otherwise_has_another_text(frames: list[DataFrame]) -> None:
    def table(price: str, limit: int) -> Any:
        def spending(silver_orders: DataFrame, silver_people: DataFrame) -> DataFrame:
            return silver_orders.where(F.col("count") > limit).selectExpr("id", f"{price} AS spent", "status")

        return lineage(gold.table(key="id")(spending), frames).texts

    first = table("price", 1)
    assert table("price", 1) == first
    changed = table("price + 1", 1)
    assert {name for name in first if changed[name] != first[name]} == {"spent"}
    assert {name for name in first if table("price", 2)[name] != first[name]} == {""}
