"""Where training rows are made: in process, or by Spark; the same rows either way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from feast.repo_config import RepoConfig

from lakehouse.errors import ConservationError, DefinitionError, LakehouseError, SetupError, UsageError
from lakehouse.features.entity_rows import EntityRows, time_column
from lakehouse.features.retrieval import Evaluate, Span, Wanted, new_names, training_rows
from lakehouse.features.source import project_of
from lakehouse.kernels.keys import Column, comparable
from lakehouse.kernels.times import UTC_TIME, ticks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.features.spark_rows import Entities

MANY = 50_000_000
"""From so many rows on, by the tables' logs, `executor: auto` has Spark read them: some 3 GB for each five doubles."""


@dataclass(frozen=True)
class Training:
    """Training rows that are not made yet."""

    evaluate: Evaluate
    columns: tuple[str, ...]
    """Of the entity rows."""
    time: str
    span: Span
    frame: Callable[[], DataFrame] | None = None
    """As a Spark frame, where the entity rows are one."""


def is_spark(given: Any) -> bool:
    """Whether it is a Spark frame, classic or of Spark Connect."""
    return type(given).__module__.startswith("pyspark.sql.") and hasattr(given, "sparkSession")


def of_rows(
    config: RepoConfig, rows: EntityRows, wanted: Sequence[Wanted], full_names: bool, notes: list[str]
) -> Training:
    """Training rows for entity rows in memory, by the executor of the configuration."""
    spark = _session(config, wanted, notes)
    columns = tuple(rows.table.column_names)
    if spark is None:
        return Training(lambda: training_rows(rows, wanted, full_names, notes), columns, rows.time, rows.span())

    def evaluate() -> pa.Table:
        from lakehouse.features.spark_rows import with_features

        names = _flat(new_names(columns, wanted, full_names))
        made = _collected(with_features(spark, _sent(spark, rows, wanted), wanted, names, notes), names)
        result = rows.table
        for name in names:
            result = result.append_column(name, made.column(name))
        return result

    return Training(evaluate, columns, rows.time, rows.span())


def of_frame(
    config: RepoConfig, given: DataFrame, wanted: Sequence[Wanted], full_names: bool, notes: list[str]
) -> Training:
    """Training rows for a Spark frame, by Spark: all of it.

    Its rows are counted, and its first and last time asked for, at once. A frame that would give other rows each time,
    as far as Spark knows, is computed at once, and its rows are kept; one that does so all the same is an error.
    """
    from lakehouse.features.spark_rows import with_features

    if _executor(config) == "process":
        raise UsageError(
            "entity rows are a Spark frame, but offline_store has executor: process",
            hint="Leave it at auto, or give the rows as pandas or Arrow: frame.toArrow().",
        )
    columns = tuple(given.columns)
    if doubled := sorted({name for name in columns if columns.count(name) > 1}):
        raise DefinitionError(f"the entity rows have more than one column called {', '.join(doubled)}")
    names = _flat(new_names(columns, wanted, full_names))
    entities = _asked(given)

    def made() -> Entities:
        return with_features(given.sparkSession, entities, wanted, names, notes)

    def frame() -> DataFrame:
        done = made()
        return done.frame.drop("row").toDF(*done.names)

    return Training(lambda: _collected(made(), [*columns, *names]), columns, entities.time, entities.span, frame)


def _executor(config: RepoConfig) -> str:
    return str(getattr(config.offline_store, "executor", "auto"))


def _session(config: RepoConfig, wanted: Sequence[Wanted], notes: list[str]) -> SparkSession | None:
    """The session that makes the rows; None: they are made in process."""
    executor = _executor(config)
    if executor == "process":
        return None
    rows = sum(one.opened.rows if one.windows is None else one.windows.events.opened.rows for one in wanted)
    if executor == "auto" and (rows < MANY or find_spec("pyspark") is None):
        return None
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    from lakehouse.spark import open_session

    try:
        return open_session(project_of(config))
    except LakehouseError as error:
        if executor == "auto":
            notes.append(f"{rows:,} rows are read in process, since no Spark session could be opened: {error.message}")
            return None
        raise SetupError(
            f"executor: spark, but no Spark session could be opened: {error.message}",
            hint="Open one with Delta before the features are asked for, or set executor: process.",
        ) from error


def _sent(spark: SparkSession, rows: EntityRows, wanted: Sequence[Wanted]) -> Entities:
    """Just the times and the keys of entity rows in memory; their other columns stay here."""
    from lakehouse.features.spark_rows import ROW, Entities
    from lakehouse.features.spark_settings import AS_DATA, settings

    times: Column = rows.times
    ticks(times)  # raises for what is no time
    if pa.types.is_dictionary(times.type):
        times = times.cast(times.type.value_type)
    if not pa.types.is_timestamp(times.type):
        times = times.cast(pa.timestamp("us"))
    number = pa.array(np.arange(rows.table.num_rows))
    columns: dict[str, Column] = {ROW: number, "c0": times.cast(pa.int64())}
    fields = [pa.field("", times.type)]
    keys = tuple(dict.fromkeys(key for one in wanted for key in one.keys))
    for place, key in enumerate(keys, 1):
        column = rows.table.column(key)
        column = comparable(column, column)[0]
        # Without any value it has no type that could be wrong.
        fields.append(pa.field(key, pa.null() if column.null_count == len(column) else column.type))
        if pa.types.is_null(column.type):
            column = column.cast(pa.int64())
        if pa.types.is_decimal256(column.type):
            column = column.cast(pa.decimal128(38, column.type.scale))
        columns[f"c{place}"] = column
    with settings(spark, AS_DATA):
        frame = spark.createDataFrame(pa.table(columns))
    return Entities(frame, ("", *keys), pa.schema(fields), "", rows.table.num_rows, rows.span(), times.type)


def _asked(given: DataFrame) -> Entities:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import to_arrow_schema

    from lakehouse.features.spark_rows import ROW, Entities
    from lakehouse.features.spark_tables import unreadable

    schema = to_arrow_schema(given.schema, timezone="UTC")
    time = time_column({field.name: pa.types.is_timestamp(field.type) for field in schema})
    kind = schema.field(time).type
    if not pa.types.is_timestamp(kind):
        raise DefinitionError(
            f"the entity rows: '{time}' is {kind}, not a timestamp", hint="Cast it: F.to_timestamp('…')."
        )
    frame = given.toDF(*(f"c{number}" for number in range(len(given.columns))))
    plan: Any = getattr(given, "_jdf", None)
    if plan is None or not plan.queryExecution().analyzed().deterministic():  # Spark Connect doesn't say
        frame = frame.localCheckpoint()
    column = F.col(f"c{given.columns.index(time)}")
    moment = F.unix_micros(column) if kind.tz else column
    try:
        count, first, last = frame.agg(F.count(F.lit(1)), F.min(moment), F.max(moment)).first() or (0, None, None)
    except PySparkException as error:
        raise unreadable(error) from error
    frame = frame.select(F.monotonically_increasing_id().alias(ROW), *frame.columns)
    return Entities(frame, tuple(given.columns), schema, time, count, (_moment(first), _moment(last)))


def _moment(found: int | datetime | None) -> datetime | None:
    if isinstance(found, int):
        moment: datetime = pa.scalar(found, UTC_TIME).as_py()
        return moment
    return None if found is None else found.replace(tzinfo=UTC)


def _collected(made: Entities, names: Sequence[str]) -> pa.Table:
    """The columns of the rows, in order, in the types that training gets."""
    from pyspark.errors import PySparkException

    from lakehouse.features.spark_rows import ROW
    from lakehouse.features.spark_settings import settings
    from lakehouse.features.spark_tables import unreadable
    from lakehouse.spark.properties import CUT_BY_ROWS

    columns = [made.column(name) for name in names]
    frame = made.frame.select(ROW, *columns)
    try:
        with settings(frame.sparkSession, CUT_BY_ROWS):  # of any session, which may be none of ours
            table = frame.toArrow()
    except PySparkException as error:
        raise unreadable(error) from error
    number = table.column(ROW).to_numpy()
    order = np.argsort(number)
    if (number[order][1:] == number[order][:-1]).any():
        raise ConservationError("Spark gave back an entity row twice")
    if table.num_rows != made.rows:
        raise ConservationError(
            f"Spark gave back {table.num_rows} of {made.rows} entity rows",
            hint="Does the frame give the same rows each time? Give it after localCheckpoint(), or write it first.",
        )
    schema = pa.schema([made.schema.field(name) for name in names])
    return table.select(columns).take(pa.array(order)).rename_columns(list(names)).cast(schema).combine_chunks()


def _flat(named: dict[str, dict[str, str]]) -> list[str]:
    return [name for names in named.values() for name in names.values()]
