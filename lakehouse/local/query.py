"""SQL over the tables in a DuckDB that is locked down: one statement, reading only, no file and no network."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError, NotBuiltError, StorageError, UsageError, did_you_mean
from lakehouse.local.snapshot import Snapshot
from lakehouse.tables.definition import LAYERS

if TYPE_CHECKING:
    import duckdb

    from lakehouse.local.lake import Lake

_EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?", re.IGNORECASE)
_LOCKED = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "asof_loop_join_threshold": "0",  # an Arrow dataset looks like one row, and a loop over it takes minutes
    "enable_external_access": "false",
    "lock_configuration": "true",
}
_TYPES = {
    **{"string": "VARCHAR", "binary": "BLOB", "boolean": "BOOLEAN", "date": "DATE"},
    **{"byte": "TINYINT", "short": "SMALLINT", "integer": "INTEGER", "long": "BIGINT"},
    **{"float": "FLOAT", "double": "DOUBLE", "timestamp": "TIMESTAMPTZ", "timestamp_ntz": "TIMESTAMP"},
}
_DUCKDB_OWN = {"information_schema", "pg_catalog", "main", "temp", "system"}


def run_query(lake: Lake, query: str) -> duckdb.DuckDBPyRelation:
    """The relation of one SELECT (or DESCRIBE, SUMMARIZE, EXPLAIN); see :meth:`Lake.sql`."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        tree = _tree(connection, query)
        for layer in LAYERS:
            connection.execute(f"CREATE SCHEMA {layer}")
        connection.execute("SET TimeZone = 'UTC'")
        files = [file for address in _addresses(tree, lake) for file in _register(connection, lake.snapshot(address))]
        # The tables' own files are all that it can reach; nothing after this can change a setting back.
        connection.execute(f"SET allowed_paths = [{', '.join(map(_text, files))}]")
        if (connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() or [False])[0]:
            # In a notebook without ipywidgets it is off, and DuckDB refuses to have it switched off again.
            connection.execute("SET enable_progress_bar = false")  # it would be written to stdout, into CSV and JSON
        for setting, value in _LOCKED.items():
            connection.execute(f"SET {setting} = {value}")
        return connection.sql(query)
    except duckdb.Error as error:
        raise sql_error(error) from error


def sql_error(error: Exception) -> LakehouseError:
    """DuckDB's words about a statement, which point into it, as a UsageError."""
    return UsageError(f"the SQL can't be run: {str(error).strip()}", hint="Tables and columns: lakehouse show tables")


def _tree(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    """The statement as DuckDB parses it. Raises UsageError unless it is one that reads."""
    import duckdb

    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise UsageError(f"one SQL statement is needed, not {len(statements)}", hint="Run them one at a time.")
    kind = statements[0].type
    inner = _EXPLAIN.sub("", statements[0].query) if kind == duckdb.StatementType.EXPLAIN else statements[0].query
    if kind in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        # Only what reads can be put into words this way: it is the check, for EXPLAIN of something that writes too.
        (answer,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [inner]).fetchone() or ("{}",)
        tree: dict[str, Any] = json.loads(answer)
        if not tree.get("error", True):
            return tree
    raise UsageError(
        f"only statements that read are run here, not {kind.name.replace('_', ' ')}",
        hint="Begin with SELECT, WITH, FROM, DESCRIBE, SUMMARIZE or EXPLAIN. Tables are written by 'lakehouse build'.",
    )


def _addresses(tree: dict[str, Any], lake: Lake) -> list[str]:
    """The tables that the statement names; a name without its layer is an error that offers the whole one."""
    named: set[tuple[str, ...]] = set()
    local: set[str] = set()
    _collect(tree, named, local)
    addresses = set()
    for name in sorted(named):
        layer = name[0].casefold()
        if len(name) == 2 and layer in LAYERS:
            addresses.add(_as_built(lake, f"{layer}.{name[1]}"))
        elif len(name) == 1 and (layer in local or layer.startswith(("duckdb_", "pg_", "pragma_", "sqlite_"))):
            continue
        elif layer not in _DUCKDB_OWN:
            _refuse(lake, ".".join(name))
    return sorted(addresses)


def _collect(node: Any, named: set[tuple[str, ...]], local: set[str]) -> None:
    """Every table that a parsed statement names, and every name that a WITH in it gives."""
    if isinstance(node, list):
        for child in node:
            _collect(child, named, local)
    elif isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            parts = (node["catalog_name"], node["schema_name"], node["table_name"])
            named.add(tuple(part for part in parts if part))
        if isinstance(node.get("cte_map"), dict):
            local.update(str(entry["key"]).casefold() for entry in node["cte_map"]["map"])
        for child in node.values():
            _collect(child, named, local)


def _as_built(lake: Lake, address: str) -> str:
    """SQL does not mind case; folders do."""
    built = {other.casefold(): other for other in lake.addresses()}
    return built.get(address.casefold(), address)


def _refuse(lake: Lake, name: str) -> None:
    built = lake.addresses()
    full = [address for address in built if address.partition(".")[2].casefold() == name.casefold()]
    if full:
        raise UsageError(
            f"there is no table '{name}': a table has its layer before its name",
            hint=f"Did you mean {' or '.join(full)}?",
        )
    if not built:
        raise NotBuiltError(f"there is no table '{name}': nothing is built yet", hint="Run: lakehouse run")
    raise UsageError(f"there is no table '{name}'", hint=did_you_mean(name, built))


def _register(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> list[str]:
    """Make a view of a table; returns the files that it reads when it is asked."""
    import duckdb

    layer, _, name = snapshot.address.partition(".")
    files = snapshot.files()
    condition = "true"
    if files:
        # DuckDB reads the files itself, just the columns and row groups that it needs.
        listed = ", ".join(map(_text, files))
        source = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
        here = {row[0] for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()}
        columns = [
            f"CAST({_quoted(column) if column in here else 'NULL'} AS {_duckdb_type(kind)}) AS {_quoted(column)}"
            for column, kind in snapshot.columns.items()
        ]
    else:
        source = _quoted(f"{layer} {name}")  # a space: it can't be the name of a table
        connection.register(f"{layer} {name}", snapshot.rows_of_all_kinds())
        columns = [_quoted(column) for column in snapshot.columns]
        condition = snapshot.condition
    try:
        view = f"{layer}.{_quoted(name)} AS SELECT {', '.join(columns)} FROM {source} WHERE {condition}"
        connection.execute(f"CREATE VIEW {view}")
    except duckdb.Error as error:
        raise StorageError(
            f"{snapshot.address} can't be read: {str(error).splitlines()[0]}", hint=f"Look into {snapshot.folder}."
        ) from error
    return files or []


def _duckdb_type(kind: str) -> str:
    """DuckDB's name of a type of Delta: ``array<struct<a:long>>`` is ``STRUCT("a" BIGINT)[]``."""
    if kind.startswith("array<"):
        return f"{_duckdb_type(kind[6:-1])}[]"
    if kind.startswith("map<"):
        return f"MAP({', '.join(_duckdb_type(part) for part in _parts(kind[4:-1]))})"
    if kind.startswith("struct<"):
        fields = (part.partition(":") for part in _parts(kind[7:-1]))
        return f"STRUCT({', '.join(f'{_quoted(name)} {_duckdb_type(inner)}' for name, _, inner in fields)})"
    return _TYPES.get(kind, kind)  # decimal(10,2) is called alike


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no brackets."""
    parts, depth, begun = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(text[begun:place])
            begun = place + 1
    return [*parts, text[begun:]]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
