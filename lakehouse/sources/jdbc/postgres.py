"""Postgres: one exported snapshot for all readers, and which row versions it has that an earlier one had not.

Every row version carries the number of the transaction that wrote it (``xmin``). A snapshot knows which transactions
it sees: all below its own xmin that committed, and above it just those that had ended when it was taken. So the rows
of a snapshot that an earlier one did not see are exactly those whose transaction is not below the earlier one's xmin
and was not among those that it saw. A column that grows can't tell that: its value is chosen before the commit.

The numbers of the transactions that a snapshot saw above its xmin are taken from the rows themselves, so that
subtransactions, which no list of Postgres names, are told as exactly.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lakehouse.errors import ConfigError, SetupError
from lakehouse.quality import literals
from lakehouse.sources.jdbc.columns import TREE, Column, postgres_columns
from lakehouse.sources.jdbc.connection import Connection, Login

OLDEST = 130_000
"""Postgres 13 is the first with snapshots of 64 bits."""
MOST_SEEN = 20_000
"""Transactions above the oldest running one that a cursor lists; when there are more, their rows wait for it to end."""
STEADY = (
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL IntervalStyle = 'postgres'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 3",
    "SET LOCAL search_path = pg_catalog",
    "SET LOCAL standard_conforming_strings = on",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)
"""The same text for the same value, whatever the server, the database or the user is set to."""
FULL = 2**32
HEAP = 2
"""Postgres's own kind of storage; no other keeps the promise about numbers of transactions."""
TABLES = ("r", "p")
"""Kinds of relation that can be locked: tables, also partitioned ones."""


@dataclass(frozen=True)
class Relation:
    """A table or view as one snapshot has it."""

    oid: str
    versioned: bool
    """Whether its rows carry the number of the transaction that made them to be seen: no view, nothing foreign, no
    storage of an extension, and no row-level security, which shows old rows when it is altered."""
    identity: str
    """A hash; it changes when the server, its history or the table's files are others: then transactions' numbers mean
    nothing."""
    blocks: int
    plain: bool
    """Whether it is one table, without partitions and children."""
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    place: str
    """Quoted, with its schema."""

    @property
    def marks(self) -> dict[str, str]:
        """The columns as a cursor keeps them, by their numbers."""
        return {str(column.number): column.mark for column in self.columns}

    def unlike(self, marks: dict[str, str]) -> bool:
        """Whether rows may have other values now than when the columns had these marks, though none was written: a
        column has another name or type, or was added with a value."""
        known = [(marks.get(str(column.number)), column) for column in self.columns]
        return any(column.filled if mark is None else mark != column.mark for mark, column in known)


@dataclass(frozen=True)
class Snapshot:
    """What one transaction sees; held as long as its connection is open."""

    connection: Connection
    id: str
    """What other connections name to see the same."""
    text: str
    xmin: int
    xmax: int

    @property
    def joining(self) -> str:
        """What a connection says first to see the same, and to write values the same way."""
        begin = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
        return "; ".join((begin, f"SET TRANSACTION SNAPSHOT {literals.text_literal(self.id).duckdb}", *STEADY))


@dataclass(frozen=True)
class Window:
    """The row versions that landed with one snapshot: all of transactions below ``low``, and of those in ``seen``."""

    low: int
    seen: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        return {"low": self.low, "seen": list(self.seen)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Window:
        return cls(value["low"], tuple(value["seen"]))


def open_snapshot(connection: Connection, login: Login) -> Snapshot:
    """Begin the transaction that all readers share. Raises ConfigError where there is no such table, and SetupError for
    a Postgres that is too old.

    A table is locked before the snapshot is taken: one that is emptied (TRUNCATE) or altered between would look empty,
    or other than its columns say.
    """
    connection.do(*STEADY)
    _, kind, place = _find(connection, login)
    connection.java.commit()
    connection.do("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", *STEADY)
    if kind in TABLES:
        connection.do(f"LOCK TABLE {place} IN ACCESS SHARE MODE")
    ((version,),) = connection.rows("SELECT pg_catalog.current_setting('server_version_num')")
    if int(version or 0) < OLDEST:
        raise SetupError(f"{connection.login.where}: this Postgres is older than 13", hint="Update the server.")
    ((exported, text, xmin, xmax),) = connection.rows(
        "SELECT pg_catalog.pg_export_snapshot(), s::pg_catalog.text, pg_catalog.pg_snapshot_xmin(s)::pg_catalog.text, "
        "pg_catalog.pg_snapshot_xmax(s)::pg_catalog.text FROM pg_catalog.pg_current_snapshot() s"
    )
    return Snapshot(connection, exported or "", text or "", int(xmin or 0), int(xmax or 0))


def look_up(connection: Connection, login: Login) -> Relation:
    """The table that conf/ names. Raises ConfigError where there is none."""
    oid, _, place = _find(connection, login)
    ((blocks, plain),) = connection.rows(f"""
        SELECT pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int,
            c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
        FROM pg_catalog.pg_class c WHERE c.oid = {oid}""")
    versioned, identity = _identity(connection, oid)
    return Relation(
        oid=oid,
        versioned=versioned,
        identity=identity,
        blocks=int(blocks or 0),
        plain=plain == "t",
        primary_key=_primary_key(connection, oid),
        columns=tuple(postgres_columns(connection, oid)),
        place=place,
    )


def transaction(snapshot: Snapshot) -> str:
    """SQL: the number of the transaction that wrote a row, in 64 bits. A row keeps the lower half, and lies below
    the snapshot's end; 1 and 2 stand for what is older than all."""
    lower = "t.xmin::pg_catalog.text::bigint"
    whole = f"({snapshot.xmax} - (({snapshot.xmax} - {lower}) & {FULL - 1}))"
    return f"CASE WHEN {lower} < 3 THEN 0 ELSE {whole} END"


def not_in(window: Window, snapshot: Snapshot) -> str:
    """SQL: whether a row version did not land with the window's snapshot."""
    number = f"({transaction(snapshot)})"
    later = f"{number} >= {window.low}"
    if window.seen:
        later += f" AND {number} <> ALL ('{{{','.join(map(str, window.seen))}}}'::bigint[])"
    return f"({later})"


def split(relation: Relation, parts: int) -> list[str]:
    """Conditions that cut a plain table into as many parts by where its rows lie; each row meets one of them."""
    step = -(-max(relation.blocks, 1) // parts)
    edges = [f"'({step * part},0)'::tid" for part in range(1, parts) if step * part < relation.blocks]
    return _between("t.ctid", edges)


def split_by(connection: Connection, relation: Relation, column: str, parts: int) -> list[str]:
    """The same by the values of a number column; what has none there is in the first part."""
    name = f"t.{literals.column(column).duckdb}"
    ((least, most),) = connection.rows(
        f"SELECT pg_catalog.floor(min({name})::numeric), pg_catalog.ceil(max({name})::numeric) "
        f"FROM {relation.place} t WHERE {name}::pg_catalog.text NOT IN ('NaN', 'Infinity', '-Infinity')"
    )
    if least is None or most is None:
        return ["true"]
    low, high = int(least), int(most)
    edges = sorted({low + (high - low) * part // parts for part in range(1, parts)} - {low})
    conditions = _between(name, [str(edge) for edge in edges])
    if len(conditions) > 1:
        conditions[0] = f"({conditions[0]} OR {name} IS NULL)"
    return conditions


def _between(name: str, edges: list[str]) -> list[str]:
    if not edges:
        return ["true"]
    middle = [f"{name} >= {low} AND {name} < {high}" for low, high in pairwise(edges)]
    return [f"{name} < {edges[0]}", *middle, f"{name} >= {edges[-1]}"]


def _find(connection: Connection, login: Login) -> tuple[str, str, str]:
    """The relation's oid, its kind, and its name in quotes. Raises ConfigError where there is none."""
    *schema, table = login.source.names
    schema_name = schema[0] if schema else "public"
    place = f"{literals.column(schema_name).duckdb}.{literals.column(table).duckdb}"
    found = connection.rows(f"""
        SELECT c.oid, c.relkind FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = {literals.text_literal(schema_name).duckdb}
            AND c.relname = {literals.text_literal(table).duckdb} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')""")
    if not found:
        raise ConfigError(
            f"{login.where}: there is no table {place} that this user can see",
            hint=f"Correct sources.{login.name}.table; names are taken exactly, capitals too.",
        )
    ((oid, kind),) = found
    return oid or "", kind or "", place


def _identity(connection: Connection, oid: str) -> tuple[bool, str]:
    """Whether all its rows carry the transactions that made them to be seen, and the hash of where they are."""
    ((server, timeline, database),) = connection.rows("""
        SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()),
            CASE WHEN pg_catalog.pg_is_in_recovery()
                THEN (SELECT timeline_id::pg_catalog.text FROM pg_catalog.pg_control_checkpoint())
                ELSE (('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))::bit(32)
                    ::int)::pg_catalog.text END,
            (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())""")
    ((versioned, files),) = connection.rows(f"""
        {TREE.format(oid=oid)}
        SELECT pg_catalog.bool_and(c.relkind IN ('r', 'p') AND c.relam IN (0, {HEAP}))
                AND NOT pg_catalog.row_security_active({oid}::pg_catalog.oid),
            pg_catalog.string_agg(oid || '/' || coalesce(pg_catalog.pg_relation_filenode(oid), 0), ' ' ORDER BY oid)
        FROM tree JOIN pg_catalog.pg_class c USING (oid)""")
    # What landed without numbers is no ground for them, when rows begin to carry them: another user, no more policies.
    told = "" if versioned == "t" else " by their content"
    whole = f"{server}/{timeline}/{database} {files}{told}"
    return versioned == "t", hashlib.sha256(whole.encode()).hexdigest()[:32]


def _primary_key(connection: Connection, oid: str) -> tuple[str, ...]:
    found = connection.rows(f"""
        SELECT a.attname FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = {oid} AND i.indisprimary ORDER BY a.attnum""")
    return tuple(name or "" for (name,) in found)
