"""A silver function's plan is looked at: what is not row-wise is refused by name, and origins pass through the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import DefinitionError
from lakehouse.silver.rowwise import ORIGIN, with_origin

Function = Callable[[DataFrame], DataFrame]


@pytest.fixture(scope="module")
def bronze(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    path = str(tmp_path_factory.mktemp("bronze") / "t")
    rows = [(1, "a b", 10, 0, "x.csv", 5), (2, "c", 20, 1, "y.csv", 7)]
    spark.createDataFrame(rows, "id int, words string, n int, b long, f string, r long").write.format("delta").save(
        path
    )
    origin = [F.col(old).alias(new) for old, new in zip("bfr", ORIGIN, strict=True)]
    frame: DataFrame = spark.read.format("delta").load(path).select("id", "words", "n", *origin)
    return frame


KEPT: dict[str, tuple[Function, list[tuple[Any, ...]]]] = {
    "select": (lambda b: b.select((F.col("n") * 2).alias("m")), [(20, 0, "x.csv", 5), (40, 1, "y.csv", 7)]),
    "filter": (lambda b: b.where("n > 10").select("id"), [(2, 1, "y.csv", 7)]),
    "explode": (
        lambda b: b.select(F.explode(F.split("words", " ")).alias("w")).withColumnRenamed("w", "v"),
        [("a", 0, "x.csv", 5), ("b", 0, "x.csv", 5), ("c", 1, "y.csv", 7)],
    ),
    "sql": (
        lambda b: b.sparkSession.sql("SELECT upper(words) AS w FROM {b} WHERE n >= 20", b=b),
        [("C", 1, "y.csv", 7)],
    ),
    "drop": (lambda b: b.drop("n", "words"), [(1, 0, "x.csv", 5), (2, 1, "y.csv", 7)]),
}

REFUSED: dict[str, tuple[Function, str]] = {
    "groupBy": (lambda b: b.groupBy("id").count(), "Aggregate"),
    "distinct": (lambda b: b.distinct(), "Deduplicate"),
    "dropDuplicates": (lambda b: b.dropDuplicates(["id"]), "Deduplicate"),
    "limit": (lambda b: b.limit(1), "Limit"),
    "orderBy": (lambda b: b.orderBy("id"), "Sort"),
    "join": (lambda b: b.join(b.select("id"), "id"), "Join"),
    "union": (lambda b: b.union(b), "Union"),
    "window": (lambda b: b.selectExpr("row_number() OVER (ORDER BY id)"), "Window"),
    "subquery": (lambda b: b.sparkSession.sql("SELECT id FROM {b} WHERE id IN (SELECT 1)", b=b), "a subquery"),
    "rand": (lambda b: b.select(F.rand()), "not deterministic"),
    "now": (lambda b: b.select(F.current_timestamp()), "time of the run"),
    "now in SQL": (lambda b: b.selectExpr("now()"), "time of the run"),
    "another table": (lambda b: b.sparkSession.range(3).toDF("id"), "something else than the table"),
    "mapInPandas": (lambda b: b.mapInPandas(lambda parts: parts, b.schema), "MapInPandas"),
}


@pytest.mark.parametrize("name", KEPT)
def test_origins_pass_through(bronze: DataFrame, name: str) -> None:
    function, expected = KEPT[name]
    rows = with_origin("silver.t", bronze, function(bronze))
    assert sorted(tuple(row) for row in rows.collect()) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(bronze: DataFrame, name: str) -> None:
    function, what = REFUSED[name]
    with pytest.raises(DefinitionError, match=what) as caught:
        with_origin("silver.t", bronze, function(bronze))
    assert "silver.t" in str(caught.value)
    assert caught.value.hint
