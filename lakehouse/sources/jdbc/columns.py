"""Which columns a table has, and how each is selected so that its values land exactly (see docs/sources.md)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from lakehouse.errors import ConfigError, ContractError, did_you_mean
from lakehouse.quality import literals
from lakehouse.sources.files.inspection import bronze_name, unusable
from lakehouse.sources.jdbc.connection import Connection, Login

TREE = """
    WITH RECURSIVE tree(oid) AS (
        SELECT {oid}::pg_catalog.oid
        UNION
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON i.inhparent = tree.oid
    )"""
"""SQL: a table, its partitions and its children."""
POSTGRES_OWN = {
    **{"bool": "bool", "int2": "int2", "int4": "int4", "int8": "int8", "float4": "float4", "float8": "float8"},
    **{"text": "text", "varchar": "text", "bytea": "bytea"},
}
"""Types whose every value Spark's reader maps exactly, and what they are selected as (a domain as what it is of)."""
POSTGRES_TEXT = {
    "bpchar": "pg_catalog.textin(pg_catalog.bpcharout({}))",  # a cast would cut the padding off
    "money": "{}::pg_catalog.numeric::pg_catalog.text",  # its own text depends on the server's locale
}


@dataclass(frozen=True)
class Column:
    name: str
    """As the database has it."""
    type: str
    """As the database calls it."""
    expression: str
    """SQL that selects it from ``t``."""
    number: int = 0
    """Postgres: its place, which no other column of the table ever has, also after it is renamed or dropped."""
    filled: bool = False
    """Postgres: added with a value for the rows that were there, which were not written anew for it."""
    mark: str = ""
    """Postgres: changes with its name, its type and the value that it was added with."""


def postgres_columns(connection: Connection, oid: str) -> list[Column]:
    """The columns of a relation of Postgres, in their order."""
    found = connection.rows(f"""
        SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnum, (
            {TREE.format(oid=oid)}
            SELECT pg_catalog.string_agg(m.attmissingval::pg_catalog.text, ' ' ORDER BY m.attrelid)
            FROM pg_catalog.pg_attribute m JOIN tree ON m.attrelid = tree.oid
            WHERE m.attname = a.attname AND m.atthasmissing
        ), (
            WITH RECURSIVE base(oid) AS (
                SELECT a.atttypid
                UNION ALL
                SELECT t.typbasetype FROM pg_catalog.pg_type t JOIN base USING (oid) WHERE t.typtype = 'd'
            )
            SELECT t.typname FROM base JOIN pg_catalog.pg_type t USING (oid)
            WHERE t.typtype <> 'd' AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
        )
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum""")
    return [
        Column(
            name or "",
            kind or "",
            _postgres(name or "", base or ""),
            int(number or 0),
            filled is not None,
            hashlib.sha256(f"{name}\0{kind}\0{filled}".encode()).hexdigest()[:16],
        )
        for name, kind, number, filled, base in found
    ]


def _postgres(name: str, base: str) -> str:
    column = f"t.{literals.column(name).duckdb}"
    if base in POSTGRES_OWN:
        return f"{column}::pg_catalog.{POSTGRES_OWN[base]}"
    return POSTGRES_TEXT.get(base, "{}::pg_catalog.text").format(column)


def require_usable(login: Login, columns: list[Column]) -> None:
    """Raises ContractError for names that bronze can't have, and ConfigError for names in conf/ that are not there."""
    names = [column.name for column in columns]
    if not names:
        raise ContractError(f"{login.where}: {login.source.table} has no column", hint="Nothing can land from it.")
    problem = unusable(names)
    if problem:
        raise ContractError(
            f"{login.where}: {login.source.table}: {problem}; nothing landed",
            hint="Make a view with other names, and name the view as the table.",
        )
    wanted = {"cursor": login.source.cursor, "partition_column": login.source.partition_column}
    pairs = [*wanted.items(), *(("key", name) for name in login.source.key)]
    for setting, name in pairs:
        if name is not None and name not in names:
            raise ConfigError(
                f"sources.{login.name}.{setting}: {login.source.table} has no column {name!r}",
                hint=did_you_mean(name, names),
            )


def bronze_names(columns: list[Column]) -> list[str]:
    return [bronze_name(column.name) for column in columns]
