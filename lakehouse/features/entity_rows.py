"""What a training set is asked for: the entity rows as Arrow, whatever form they came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.repo_config import RepoConfig

from lakehouse.errors import DefinitionError, UsageError, did_you_mean
from lakehouse.features.reading import OpenTable, open_table
from lakehouse.features.source import DeltaSource, project_of
from lakehouse.kernels.times import UTC_TIME

TIME = "event_timestamp"


@dataclass(frozen=True)
class EntityRows:
    table: pa.Table
    """The caller's columns in the caller's order; pandas' own types ride along in the schema's metadata."""
    time: str
    """The column with the time at which each row asks."""
    times: pa.ChunkedArray
    """That column as timestamps, also where it is text."""

    def span(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last time, in UTC and in whole microseconds; None where no row has one."""
        if not pa.types.is_timestamp(self.times.type) or self.times.null_count == len(self.times):
            return None, None
        ends = pc.min_max(self.times.cast(pa.timestamp("us"), safe=False)).as_py()
        return ends["min"].replace(tzinfo=UTC), ends["max"].replace(tzinfo=UTC)


def require_keys(names: Sequence[str], keys: Sequence[str], view: str) -> None:
    """Raise DefinitionError, with the nearest name, for a join key that the rows lack."""
    for key in keys:
        if key not in names:
            raise DefinitionError(
                f"the entity rows have no column '{key}', a join key of '{view}'", hint=did_you_mean(key, names)
            )


def entity_rows(given: Any, config: RepoConfig, sources: Mapping[str, DeltaSource]) -> EntityRows:
    """Entity rows of a pandas frame, an Arrow table (or what exports one) or SQL text. The caller's is not changed.

    The time is in ``event_timestamp``, else in the only timestamp column. Text must be ISO 8601; a time without a zone
    is in UTC.
    """
    if isinstance(given, str):
        table = _of_sql(given, config, sources)
    elif isinstance(given, pd.DataFrame):
        table = _of_pandas(given)
    elif isinstance(given, pa.Table):
        table = _of_arrow(given)
    elif hasattr(given, "__arrow_c_stream__"):
        table = _of_arrow(pa.table(given))
    else:
        kind = type(given).__name__
        raise DefinitionError(
            f"entity rows can't be of type {kind}", hint="Give a pandas frame, an Arrow table or SQL."
        )
    return of_table(table, time_column({field.name: pa.types.is_timestamp(field.type) for field in table.schema}))


def of_table(table: pa.Table, time: str) -> EntityRows:
    """Entity rows of an Arrow table. Raises DefinitionError for a text that is no time."""
    column = table.column(time)
    if len(column) == column.null_count and not pa.types.is_timestamp(column.type):
        return EntityRows(table, time, pa.chunked_array([pa.nulls(len(column), UTC_TIME)]))
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)):
        column = _moments(column, time)
    return EntityRows(table, time, column)


def _moments(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    texts = column.to_pandas().astype(object)
    found = pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")
    far = texts[found.isna() & texts.notna()]  # of years that are beyond 64 bits of nanoseconds, or no times
    if not len(far):
        return pa.chunked_array([pa.array(found)])
    if (finer := found.dt.nanosecond > 0).any():
        raise DefinitionError(
            f"the entity rows: '{name}' has {texts[finer].iloc[0]!r} and {far.iloc[0]!r}, which no type of time holds",
            hint="Ask for one of them at a time.",
        )
    found = found.dt.as_unit("us").copy()
    for row, text in far.items():
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise DefinitionError(
                f"the entity rows: '{name}' has {text!r}, which is no time",
                hint="Write times as in ISO 8601: 2026-01-31T12:00:00+01:00 (without a zone: UTC).",
            ) from None
        found[row] = pd.Timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).as_unit("us")
    return pa.chunked_array([pa.array(found)])


def _of_arrow(table: pa.Table) -> pa.Table:
    _refuse_doubled(table.column_names)
    return table


def _refuse_doubled(names: list[str]) -> None:
    if len(set(names)) != len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise DefinitionError(f"the entity rows have more than one column called {', '.join(doubled)}")


def _of_pandas(frame: pd.DataFrame) -> pa.Table:
    _refuse_doubled([str(name) for name in frame.columns])
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        text = str(error.args[-1] if error.args else error)
        raise DefinitionError(f"the entity rows mix types: {text}", hint="Cast that column to one type.") from error
    except (pa.ArrowNotImplementedError, TypeError) as error:
        text = str(error.args[-1] if error.args else error)
        raise DefinitionError(f"the entity rows: {text}", hint="Leave that column out, or cast it.") from error


def time_column(columns: Mapping[str, bool]) -> str:
    """The column with the time, of columns of which it is known whether they are timestamps."""
    if TIME in columns:
        return TIME
    times = [name for name, is_time in columns.items() if is_time]
    if len(times) == 1:
        return times[0]
    found = f"several timestamps: {', '.join(times)}" if times else "no timestamp"
    raise DefinitionError(
        f"the entity rows have no column '{TIME}' and {found}", hint=f"Name the time of each row '{TIME}'."
    )


def _of_sql(query: str, config: RepoConfig, sources: Mapping[str, DeltaSource]) -> pa.Table:
    """Run a query with DuckDB on the project's silver and gold tables and on Feast's data sources; times are in UTC."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for number, address in enumerate(sorted(connection.get_table_names(query, qualified=True))):
            address = address.replace('"', "")
            layer, _, name = address.rpartition(".")
            table = _table_of_sql(address, config, sources)
            connection.register(f"lakehouse_{number}", table.read(table.schema.names))
            if layer:
                connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{layer}"')
            place = f'"{layer}"."{name}"' if layer else f'"{name}"'
            connection.execute(f'CREATE VIEW {place} AS SELECT * FROM "lakehouse_{number}"')
        connection.execute("SET enable_external_access = false")
        return _of_arrow(connection.sql(query).to_arrow_table())
    except duckdb.Error as error:
        hint = "A file is read first: pandas.read_parquet(…)." if len(query.split()) == 1 else ""
        raise UsageError(f"entity SQL: {str(error).strip()}", hint=hint) from error
    finally:
        connection.close()


def _table_of_sql(address: str, config: RepoConfig, sources: Mapping[str, DeltaSource]) -> OpenTable:
    if address in sources:
        return sources[address].open(config)
    layer, _, name = address.partition(".")
    if layer not in ("silver", "gold") or not name:
        raise UsageError(
            f"entity SQL: '{address}' is not a table",
            hint=did_you_mean(address, sources) + " Or name silver.NAME or gold.NAME.",
        )
    hint = f"Run: lakehouse run --select +{address}"
    return open_table(str(project_of(config).path(address)), address, hint=hint)
