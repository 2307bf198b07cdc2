"""Every value lands exactly, whatever its type, its column's name and the server's settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]
DIGITS = "1234567890" * 8
LONG = f"{DIGITS}.{DIGITS}"
NAN, INF = float("nan"), float("inf")

CASES: dict[str, list[tuple[str, Any]]] = {
    "smallint": [("-32768", -32768), ("32767", 32767)],
    "int": [("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)],
    "bigint": [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)],
    "boolean": [("true", True), ("false", False)],
    "real": [("'NaN'", NAN), ("'-Infinity'", -INF), ("0.1", 0.10000000149011612), ("1e-45", 1.401298464324817e-45)],
    "double precision": [("'NaN'", NAN), ("'Infinity'", INF), ("0.1", 0.1), ("5e-324", 5e-324), ("'-0.0'", -0.0)],
    "numeric": [(LONG, LONG), ("'NaN'", "NaN"), ("'-Infinity'", "-Infinity"), ("1.10", "1.10")],
    "numeric(50,10)": [("1.5", "1.5000000000"), ("'NaN'", "NaN")],
    "numeric(5,2)": [("-999.99", "-999.99"), ("'NaN'", "NaN"), ("0", "0.00")],
    "numeric(3,-2)": [("12345", "12300")],
    "money": [("'-92233720368547758.08'", "-92233720368547758.08"), ("12.5", "12.50")],
    "text": [
        ("''", ""),
        ("' a '", " a "),
        (r"E'\t\n\r\\'", "\t\n\r\\"),
        ("'日本 🦊 \"q\" ''s'''", "日本 🦊 \"q\" 's'"),
    ],
    "varchar(10)": [("'ab  '", "ab  ")],
    "char(5)": [("'ab'", "ab   "), ("''", "     ")],
    '"char"': [("'x'", "x")],
    "name": [("'n'", "n")],
    "bytea": [(r"'\x00ff0a'", b"\x00\xff\x0a"), (r"'\x'", b"")],
    "date": [
        ("'infinity'", "infinity"),
        ("'-infinity'", "-infinity"),
        ("'0001-01-01'", "0001-01-01"),
        ("'4713-01-01 BC'", "4713-01-01 BC"),
        ("'5874897-12-31'", "5874897-12-31"),
        ("'1582-10-10'", "1582-10-10"),
    ],
    "timestamp": [
        ("'infinity'", "infinity"),
        ("'0001-01-01 00:00'", "0001-01-01 00:00:00"),
        ("'2026-03-29 02:30:00.123456'", "2026-03-29 02:30:00.123456"),
        ("'294276-12-31'", "294276-12-31 00:00:00"),
    ],
    "timestamptz": [
        ("'-infinity'", "-infinity"),
        ("'0001-01-01 00:00Z'", "0001-01-01 00:00:00+00"),
        ("'2026-10-25 02:30:00.5+01'", "2026-10-25 01:30:00.5+00"),
        ("'1883-11-18 12:00Z'", "1883-11-18 12:00:00+00"),
    ],
    "time": [("'24:00'", "24:00:00"), ("'00:00:00.000001'", "00:00:00.000001")],
    "timetz": [("'12:00+05:30'", "12:00:00+05:30")],
    "interval": [("'1 year 2 mons -3 days 04:05:06.789'", "1 year 2 mons -3 days +04:05:06.789"), ("'0'", "00:00:00")],
    "int[]": [("'{1,NULL}'", "{1,NULL}"), ("'{}'", "{}"), ("'[2:3]={7,8}'", "[2:3]={7,8}")],
    "float8[]": [("'{0.1,NaN}'", "{0.1,NaN}")],
    "text[]": [("""'{"a,b","c\\"d",""}'""", """{"a,b","c\\"d",""}""")],
    "timestamptz[]": [("'{2026-01-01 00:00+05}'", '{"2025-12-31 19:00:00+00"}')],
    "json": [("""'{"a" : 1.10,  "a": 2}'""", '{"a" : 1.10,  "a": 2}')],
    "jsonb": [("""'{"b": 1.10, "a": null}'""", '{"a": null, "b": 1.10}'), ("'null'", "null")],
    "uuid": [("'00000000-0000-0000-0000-0000000000FF'", "00000000-0000-0000-0000-0000000000ff")],
    "mood": [("'so ''so'''", "so 'so'")],
    "inet": [("'10.0.0.1/8'", "10.0.0.1/8"), ("'::1'", "::1/128")],
    "cidr": [("'10.0.0.0/8'", "10.0.0.0/8")],
    "macaddr": [("'08:00:2b:01:02:03'", "08:00:2b:01:02:03")],
    "bit(1)": [("B'1'", "1")],
    "bit(5)": [("B'00101'", "00101")],
    "bit varying": [("B''", "")],
    "point": [("'(0.1,2)'", "(0.1,2)")],
    "int4range": [("'[1,5]'", "[1,6)"), ("'empty'", "empty")],
    "tsvector": [("'a:1 b'", "'a':1 'b'")],
    "oid": [("4294967295", "4294967295")],
    "pair": [("ROW(1, 'x,y')", '(1,"x,y")'), ("ROW(NULL, NULL)", "(,)")],
    "positive": [("7", 7)],
    "padded": [("'a'", "a  ")],
    "label": [("'a '", "a ")],
    "int8": [("1", 1)],
}
SETUP = """CREATE TYPE mood AS ENUM ('so ''so'''); CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN padded AS char(3);
    CREATE DOMAIN label AS varchar(5); CREATE SCHEMA IF NOT EXISTS own"""


def same(found: Any, want: Any) -> bool:
    if isinstance(want, float):
        return repr(found) == repr(want)
    return bool(found == want) and isinstance(found, type(want))


def test_every_type_lands_exactly(source: Make, sql: Any) -> None:
    sql(SETUP)
    columns = ", ".join(f"c{i} {kind}" for i, kind in enumerate(CASES))
    sql(f"CREATE TABLE t (id int, {columns}); INSERT INTO t (id) VALUES (0)")
    for i, cases in enumerate(CASES.values()):
        for number, (written, _) in enumerate(cases, 1):
            sql(f"INSERT INTO t (id, c{i}) VALUES ({i * 100 + number}, {written})")
    project = source("table: public.t, partitions: 2, fetch_size: 7")
    ingested(project)
    rows = {row["id"]: row for row in Landed(project, "t").kinds["record"]}
    for i, (kind, cases) in enumerate(CASES.items()):
        for number, (written, want) in enumerate(cases, 1):
            row = rows[i * 100 + number]
            assert same(row[f"c{i}"], want), (kind, written, row[f"c{i}"], want)
            assert all(row[f"c{other}"] is None for other in range(len(CASES)) if other != i)
    assert all(rows[0][f"c{i}"] is None for i in range(len(CASES)))


NAMES = [
    '"quo""ted"',
    '"Two Words"',
    '"ALL"',
    '"日本"',
    '"a.b"',
    '"it\'s"',
    '"select"',
    '"q?"',
    '"$1"',
    '"back\\slash"',
    '"{x}"',
]


def test_odd_names(source: Make, sql: Any) -> None:
    sql('DROP SCHEMA IF EXISTS "My ""odd"" schéma" CASCADE; CREATE SCHEMA "My ""odd"" schéma"')
    table = """"My ""odd"" schéma"."T a.b'l?e\""""
    sql(f'CREATE TABLE {table} ({", ".join(f"{name} text" for name in NAMES)}, "At ?" int, PRIMARY KEY ("ALL"))')
    values = ", ".join(f"'v{i}'" for i in range(len(NAMES)))
    sql(f"INSERT INTO {table} VALUES ({values}, 5)")
    name = table.replace("'", "''")
    project = source(f'table: \'{name}\', cursor: "At ?", partitions: 2, partition_column: "At ?"')
    ingested(project)
    assert ingested(project).status == "unchanged"
    (row,) = Landed(project, "t").kinds["record"]
    wanted = ['quo"ted', "Two_Words", "ALL", "日本", "a.b", "it's", "select", "q?", "$1", "back\\slash", "_x_"]
    assert [row[name] for name in wanted] == [f"v{i}" for i in range(len(NAMES))]
    assert (row["At_?"], row["_file"]) == (5, 'My "odd" schéma.T a.b\'l?e')


@pytest.mark.parametrize("columns", ['a int, "A" int', "_row int", '"a b" int, a_b int'])
def test_names_that_bronze_cant_have_are_refused(source: Make, sql: Any, columns: str) -> None:
    sql(f"CREATE TABLE t ({columns})")
    project = source("table: public.t")
    (result,) = ingest(project).results
    assert isinstance(result.error, ContractError)
    assert not project.path("bronze.t").exists()


def test_columns_come_and_go_as_the_contract_says(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    project = source("table: public.t, cursor: id")
    ingested(project)
    sql("ALTER TABLE t DROP v; ALTER TABLE t ADD w numeric; INSERT INTO t VALUES (2, 1.50)")
    assert ingested(project).note == "new columns: w; lost columns: v"
    rows = {row["id"]: (row["v"], row["w"]) for row in Landed(project, "t").kinds["record"]}
    assert rows == {1: ("a", None), 2: (None, "1.50")}
    sql("ALTER TABLE t ALTER id TYPE bigint")
    sql("INSERT INTO t VALUES (3)")
    (result,) = ingest(project).results
    assert isinstance(result.error, ContractError) and "'id'" in str(result.error)


def test_declared_columns_are_those_of_bronze_here_too(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id text, amount numeric, more int); INSERT INTO t VALUES ('1', 12.5, 7), ('x', 1.005, 8)")
    project = source('table: public.t, schema: declared, columns: {id: bigint, amount: "decimal(6,2)"}')
    assert ingested(project).quarantined == 1
    landed = Landed(project, "t")
    (row,) = landed.kinds["record"]
    assert (row["id"], row["amount"], row["_rescued"]) == (1, Decimal("12.50"), '{"more":"7"}')
    (row,) = landed.kinds["reject"]
    assert row["_reason"] == "'id' is no bigint and 'amount' is no decimal(6,2)"
    assert json.loads(row["_raw"]) == {"id": "x", "amount": "1.005", "more": 8}
