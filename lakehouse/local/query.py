"""SQL over the tables in a DuckDB that is locked down: one statement, reading only, no file and no network."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError, NotBuiltError, UsageError, did_you_mean
from lakehouse.local.snapshot import Snapshot
from lakehouse.tables.definition import LAYERS

if TYPE_CHECKING:
    import duckdb

    from lakehouse.local.lake import Lake

_EXPLAIN = re.compile(r"^\s*explain\s+(analyze\s+)?", re.IGNORECASE)
_DUCKDB_OWN = {"information_schema", "pg_catalog", "main", "temp", "system"}


def run_query(lake: Lake, query: str) -> duckdb.DuckDBPyRelation:
    """The relation of one SELECT (or DESCRIBE, SUMMARIZE, EXPLAIN); see :meth:`Lake.sql`."""
    import duckdb

    connection = duckdb.connect(":memory:")
    try:
        tree = _tree(connection, query)
        for layer in LAYERS:
            connection.execute(f"CREATE SCHEMA {layer}")
        for address in _addresses(tree, lake):
            _register(connection, lake.snapshot(address))
        # Nothing after this line can change a setting back.
        for setting in (
            "TimeZone = 'UTC'",
            "python_enable_replacements = false",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
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


def _register(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    layer, _, name = snapshot.address.partition(".")
    source = f"{layer} {name}"  # a space: it can't be the name of a table
    connection.register(source, snapshot.dataset())
    columns = ", ".join(_quoted(column) for column in snapshot.columns)
    connection.execute(
        f"CREATE VIEW {layer}.{_quoted(name)} AS SELECT {columns} FROM {_quoted(source)} WHERE {snapshot.condition}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
