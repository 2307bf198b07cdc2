"""Read a database's rows with Spark, once, and tell those that landed already from those that did not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import held, read_table
from lakehouse.delta.commit import quoted
from lakehouse.errors import ContractError
from lakehouse.sources.files.inspection import bronze_name
from lakehouse.sources.jdbc.connection import Login, in_words

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def read_rows(
    session: SparkSession,
    login: Login,
    queries: Sequence[str],
    names: Sequence[str],
    kept: ExitStack,
    *,
    first: str = "",
) -> tuple[DataFrame, int]:
    """The rows of all queries, each read by a connection of its own, and how many there are: the columns under
    ``names``, ``_file``, ``_row``.

    They are read here and now and held by Spark until ``kept`` ends, so that what is counted is what lands and the
    database is free again. ``first`` is what each connection says before it reads. Raises as in_words.
    """
    from pyspark.sql import functions as F

    # Spark would pad CHAR columns itself; a database does so or does not.
    session.conf.set("spark.sql.readSideCharPadding", "false")
    options = {
        **login.properties(),
        "url": login.source.url.get_secret_value(),
        "driver": login.driver,
        "fetchsize": str(login.source.fetch_size),
        "preferTimestampNTZ": "true",
        **({"sessionInitStatement": first} if first else {}),
    }
    with in_words(login):
        frames = [
            session.read.format("jdbc").options(**options, dbtable=f"({query}) q").load().toDF(*names)
            for query in queries
        ]
        rows = reduce(lambda one, other: one.union(other), frames)
        placed = rows.select(
            *(F.col(quoted(name)) for name in names),
            F.lit(".".join(login.source.names)).alias("_file"),
            F.monotonically_increasing_id().alias("_row"),
        )
        rows = kept.enter_context(held(placed))
        return rows, rows.count()


def content(rows: DataFrame) -> str:
    """A hash of held rows, of their columns and types: the same for the same rows in any order."""
    from pyspark.sql import functions as F

    digest = F.sha2(F.concat(*(_told(rows, name) for name in rows.columns if name not in ("_file", "_row"))), 256)
    halves = [F.conv(F.substring(digest, start, 16), 16, 10).cast("decimal(20, 0)") for start in (1, 17)]
    # A sum is the same in any order, and tells how often a row is there.
    sums = tuple(rows.select(F.count("*"), *map(F.sum, halves)).collect()[0])
    return hashlib.sha256(f"{rows.schema.simpleString()} {sums}".encode()).hexdigest()


def _told(rows: DataFrame, name: str) -> Column:
    """A value as text that ends where its length says, so that no two rows are the same text when put together."""
    from pyspark.sql import functions as F

    value = F.col(quoted(name))
    text = F.hex(value) if rows.schema[name].dataType.typeName() == "binary" else value.cast("string")
    return F.when(value.isNull(), "-").otherwise(F.concat(F.length(text).cast("string"), F.lit(":"), text))


def without_landed(
    session: SparkSession,
    login: Login,
    rows: DataFrame,
    key: Sequence[str],
    bronze: Path,
    kept: ExitStack,
    since: Column | None = None,
) -> tuple[DataFrame, int]:
    """Those of the rows that differ from what landed last under their key, in any column, and how many they are;
    ``since`` limits where that is looked for. ``kept`` holds them. Raises ContractError where two rows have one key."""
    from pyspark.sql import functions as F

    keys = [bronze_name(name) for name in key]
    doubled = rows.groupBy(*map(quoted, keys)).count().where("count > 1").limit(1).collect()
    if doubled:
        raise ContractError(
            f"{login.where}: two rows of {login.source.table} have the key {tuple(doubled[0])[:-1]!r}; nothing landed",
            hint=f"Correct sources.{login.name}.key: it must tell a row from all others.",
        )
    values = [name for name in rows.columns if name not in ("_file", "_row")]
    landed = read_table(session, bronze).where("_kind = 'record'")
    if since is not None:
        landed = landed.where(since)
    there = set(landed.columns)
    content = F.struct(*(F.col(quoted(n)) if n in there else F.lit(None).alias(n) for n in values))
    newest = (
        landed.groupBy(*(F.col(quoted(name)).alias(f"_key{i}") for i, name in enumerate(keys)))
        .agg(F.max_by(content, F.struct("_batch", "_row")).alias("_landed"))
    )  # fmt: skip
    same_key = reduce(
        lambda one, other: one & other,
        (F.col(quoted(name)).eqNullSafe(F.col(f"_key{i}")) for i, name in enumerate(keys)),
    )
    same = reduce(
        lambda one, other: one & other,
        (F.col(quoted(n)).eqNullSafe(F.col("_landed").getField(n)) for n in values),
    )
    fresh = rows.join(newest, same_key, "left").where(F.col("_landed").isNull() | ~same)
    fresh = kept.enter_context(held(fresh.select(*map(quoted, rows.columns))))
    return fresh, fresh.count()
