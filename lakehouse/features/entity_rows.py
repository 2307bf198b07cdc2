"""What a training set is asked for: the entity rows as Arrow, whatever form they came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
from feast.repo_config import RepoConfig

from lakehouse.errors import DefinitionError, UsageError, did_you_mean
from lakehouse.features.reading import open_table
from lakehouse.features.source import project_of

TIME = "event_timestamp"


@dataclass(frozen=True)
class EntityRows:
    table: pa.Table
    """The caller's columns in the caller's order; pandas' own types ride along in the schema's metadata."""
    time: str
    """The column with the time at which each row asks."""

    def require(self, keys: list[str], view: str) -> None:
        """Raise DefinitionError, with the nearest name, for a join key that the rows lack."""
        for key in keys:
            if key not in self.table.column_names:
                raise DefinitionError(
                    f"the entity rows have no column '{key}', a join key of '{view}'",
                    hint=did_you_mean(key, self.table.column_names),
                )


def entity_rows(given: Any, config: RepoConfig) -> EntityRows:
    """Entity rows of a pandas frame, an Arrow table (or what exports one) or SQL text. The caller's is not changed.

    The time is in ``event_timestamp``, else in the only timestamp column.
    """
    if isinstance(given, str):
        table = _of_sql(given, config)
    elif isinstance(given, pd.DataFrame):
        table = _of_pandas(given)
    elif isinstance(given, pa.Table):
        table = given
    elif hasattr(given, "__arrow_c_stream__"):
        table = pa.table(given)
    else:
        kind = type(given).__name__
        raise DefinitionError(
            f"entity rows can't be of type {kind}", hint="Give a pandas frame, an Arrow table or SQL."
        )
    return EntityRows(table, _time_column(table))


def _of_pandas(frame: pd.DataFrame) -> pa.Table:
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        doubled = sorted({name for name in names if names.count(name) > 1})
        raise DefinitionError(f"the entity rows have more than one column called {', '.join(doubled)}")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        text = str(error.args[-1] if error.args else error)
        raise DefinitionError(f"the entity rows mix types: {text}", hint="Cast that column to one type.") from error


def _time_column(table: pa.Table) -> str:
    if TIME in table.column_names:
        return TIME
    times: list[str] = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if len(times) == 1:
        return times[0]
    found = f"several timestamps: {', '.join(times)}" if times else "none"
    raise DefinitionError(
        f"the entity rows have no column '{TIME}' and {found}", hint=f"Name the time of each row '{TIME}'."
    )


def _of_sql(query: str, config: RepoConfig) -> pa.Table:
    """Run a query on the project's silver and gold tables, named by address, with DuckDB; times are in UTC."""
    import duckdb

    project = project_of(config)
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for address in sorted(connection.get_table_names(query, qualified=True)):
            address = address.replace('"', "")
            layer, _, name = address.partition(".")
            if layer not in ("silver", "gold") or not name:
                raise UsageError(f"entity SQL: '{address}' is not a table", hint="Name it silver.NAME or gold.NAME.")
            hint = f"Run: lakehouse run --select +{address}"
            table = open_table(str(project.path(address)), address, hint=hint)
            connection.register(f"{layer}__{name}", table.read(table.schema.names))
            connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{layer}"')
            connection.execute(f'CREATE VIEW "{layer}"."{name}" AS SELECT * FROM "{layer}__{name}"')
        connection.execute("SET enable_external_access = false")
        result: pa.Table = connection.sql(query).to_arrow_table()
        return result
    except duckdb.Error as error:
        raise UsageError(f"entity SQL: {str(error).strip()}") from error
    finally:
        connection.close()
