"""Keys with more rows than one bucket should hold, split over cells: in Spark, before rows go to their buckets.

The cells of a hot key are a grid: its entity rows are cut into ``asked`` slices, its feature rows into ``seen`` ones,
and each cell has one slice of either. An entity row stands in ``seen`` cells, and has an answer in each; its own is the
newest of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.features.bucket import CELL, KEY

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SLICED = "sliced"
SAMPLED = 1_000
"""So many rows of a key that is just hot are in a sample, as a rule: counting all rows would cost as much as a join."""
ENOUGH = 0.8
"""This part of them makes a key suspect."""


@dataclass(frozen=True)
class Hot:
    """A hot key, by its hash."""

    key: int
    asked: int
    seen: int
    more: int
    """How many more rows there are because it is split."""


def hot_keys(entities: DataFrame, views: Sequence[DataFrame], most: int, *, together: bool = False) -> list[Hot]:
    """The keys with more than ``most`` entity rows, or more rows of one view. Frames have their hashes in KEY.

    ``together``: just entity rows are split, and each cell of a key has all rows of the views.
    """
    from pyspark.sql import functions as F

    keys = [frame.select(KEY, F.lit(number).alias("input")) for number, frame in enumerate((entities, *views))]
    suspects = _suspects(keys[:1] if together else keys, most)
    if not suspects:
        return []
    counts: dict[int, dict[int, int]] = defaultdict(dict)
    for row in _counted(keys).where(F.col(KEY).isin(suspects)).collect():
        counts[row[KEY]][row["input"]] = row["count"]
    found = []
    for key, inputs in sorted(counts.items()):
        own, theirs = inputs.pop(0, 0), list(inputs.values())
        asked, seen = -(-own // most) or 1, max((-(-rows // most) for rows in theirs), default=1)
        seen = 1 if together else seen
        if asked * seen > 1:
            found.append(Hot(key, asked, seen, own * (seen - 1) + sum(theirs) * (asked - 1)))
    return found


def _suspects(inputs: Sequence[DataFrame], most: int) -> list[int]:
    """The keys that may have more than ``most`` rows in one of the inputs, by a sample of the rows.

    One that has is missed once in 10¹⁰ times (its sample is then 6 standard deviations short), and is not split then.
    """
    from pyspark.sql import functions as F

    share = min(1.0, SAMPLED / most)
    many = _counted([keys.sample(share, seed=0) for keys in inputs]).where(F.col("count") > most * share * ENOUGH)
    return sorted({row[KEY] for row in many.collect()})


def _counted(inputs: Sequence[DataFrame]) -> DataFrame:
    return reduce(lambda one, other: one.unionAll(other), inputs).groupBy(KEY, "input").count()


def in_cells(spark: SparkSession, frame: DataFrame, slice_by: str, hot: Sequence[Hot], *, asks: bool) -> DataFrame:
    """The rows with their CELL, those of hot keys once for each cell that they belong in; KEY tells cells apart."""
    from pyspark.sql import functions as F

    if not hot:
        return frame.withColumn(CELL, F.lit(0))
    rows = [{KEY: one.key, "asked": one.asked, "seen": one.seen} for one in hot]
    kinds = {KEY: pa.int64(), "asked": pa.int32(), "seen": pa.int32()}
    split = spark.createDataFrame(pa.Table.from_pylist(rows, pa.schema(kinds)))
    columns = [column(name) for name in frame.columns if name != KEY]
    wide = frame.select(KEY, F.struct(*columns).alias(SLICED), F.xxhash64(column(slice_by)).alias("by"))
    wide = wide.join(F.broadcast(split), KEY, "left")
    own, others = ("asked", "seen") if asks else ("seen", "asked")
    one = F.lit(1)
    mine = F.pmod("by", F.coalesce(own, one)).cast("int")
    each = F.explode(F.sequence(F.lit(0), F.coalesce(others, one) - 1))
    wide = wide.select("*", mine.alias("mine"), each.alias("each"))
    across, down = ("mine", "each") if asks else ("each", "mine")
    cell = (F.col(across) * F.coalesce("seen", one) + F.col(down)).cast("int")
    key = F.when(F.col("asked").isNull(), F.col(KEY)).otherwise(F.xxhash64(KEY, cell))
    return wide.select(key.alias(KEY), cell.alias(CELL), f"{SLICED}.*")


def column(name: str) -> Column:
    """A column by its name, whatever is in it."""
    from pyspark.sql import functions as F

    return F.col("`" + name.replace("`", "``") + "`")
