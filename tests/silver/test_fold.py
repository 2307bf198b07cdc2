"""The fold against a replay in plain Python: any permutation, any batching, ten thousand histories."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.delta.difference import CHANGE
from lakehouse.silver.fold import (
    CUT,
    DELETED,
    KIND,
    MEMORY,
    ORDERS,
    SEQUENCE,
    TRUNCATE,
    Fold,
    folded,
    outcomes,
)
from tests.silver.histories import Change, history, replayed, written

COLUMNS = "h int, id int, seq int, word string, number double"
LANDED = ("batch", "file", "row")


CASES = [(1, 1_500, "seq", False), (2, 700, "seq", True), (3, 300, None, True)]
MORE = [(4, 7_000, "seq", False), (5, 2_000, "seq", True), (6, 700, None, True), (7, 700, None, False)]


@pytest.mark.parametrize(
    ("seed", "count", "by", "nulls"), [*CASES, *(pytest.param(*case, marks=pytest.mark.torture) for case in MORE)]
)
def test_every_order_and_every_cut(spark: Any, seed: int, count: int, by: str | None, nulls: bool) -> None:
    """Fold each history in one to three batches of random cuts; compare the rows with its replay."""
    draw = random.Random(seed)
    histories = [history(draw) for _ in range(count)]
    cuts = [sorted(draw.randrange(len(events) + 1) for _ in range(2)) for events in histories]
    fold = Fold(("h", "id"), _types(spark), by, LANDED, nulls, scope=("h",))
    table, memory, cut = spark.createDataFrame([], COLUMNS), None, None
    for batch in range(3):
        rows = [
            (h, event, place)
            for h, events in enumerate(histories)
            for place, event in enumerate(events)
            if sum(place >= start for start in cuts[h]) == batch
        ]
        table, memory, cut = _merged(spark, fold, rows, batch, table, memory, cut)
    found: dict[int, set[Any]] = {}
    for h, key, seq, word, number in table.collect():
        found.setdefault(h, set()).add((key, seq, word, written(number)))
    for h, events in enumerate(histories):
        want = replayed(events, ordered=by is not None, keep_nulls_out=nulls)
        assert found.get(h, set()) == want, f"history {h} of seed {seed}: {events}, cut at {cuts[h]}"


def _types(spark: Any) -> dict[str, Any]:
    return {field.name: field.dataType for field in spark.createDataFrame([], COLUMNS).schema}


def _merged(
    spark: Any,
    fold: Fold,
    rows: list[tuple[int, Change, int]],
    batch: int,
    table: DataFrame,
    memory: DataFrame | None,
    cut: DataFrame | None,
) -> tuple[DataFrame, DataFrame | None, DataFrame | None]:
    """One batch into the table, as a build does it but without files."""
    values = [(h, e.id, e.seq, e.word, e.number, e.op, batch, "f", place) for h, e, place in rows]
    events = spark.createDataFrame(values, f"{COLUMNS}, {KIND} string, batch bigint, file string, row bigint")
    events = events.withColumn(SEQUENCE, fold.sequence()).localCheckpoint()
    cuts = events.where(F.col(KIND) == TRUNCATE).groupBy("h").agg(F.max(SEQUENCE).alias(CUT))
    if cut is not None:
        cuts = cuts.unionByName(cut).groupBy("h").agg(F.max(CUT).alias(CUT))
    cuts = cuts.localCheckpoint()
    new = folded(fold, events.where(F.col(KIND) != TRUNCATE))
    changes = outcomes(fold, new, table, memory, cuts, everywhere=True).localCheckpoint()
    kept = table.join(changes.where(F.col(CHANGE).isNotNull()), ["h", "id"], "left_anti")
    table = kept.unionByName(changes.where(f"{CHANGE} IN ('inserted', 'updated')").select(*table.columns))
    if not fold.sequence_by:
        return table.localCheckpoint(), None, None
    parts = ["d", "f"] if fold.merged else ["d"]
    told = [F.col(column).alias(part) for column, part in zip((DELETED, ORDERS), parts, strict=False)]
    news = changes.select("h", "id", F.struct(*told).alias(MEMORY))
    best = [F.max(f"{MEMORY}.d").alias("d")]
    best += [F.struct(*(F.max(f"{MEMORY}.f.{name}").alias(name) for name in fold.merged)).alias("f")] * bool(
        fold.merged
    )
    grouped = (news if memory is None else news.unionByName(memory)).groupBy("h", "id").agg(*best)
    return table.localCheckpoint(), grouped.select("h", "id", F.struct(*parts).alias(MEMORY)).localCheckpoint(), cuts
