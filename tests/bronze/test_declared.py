"""``schema: declared``: the same names, types and values in bronze, whatever kind of source an environment has."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.bronze.casting import exactly
from lakehouse.cli import run as command
from lakehouse.config import Project
from lakehouse.errors import ConfigError
from lakehouse.pipeline import ingest
from lakehouse.sources import open_source
from tests.bronze.landed import OURS, Landed

MakeProject = Callable[..., Project]
SAID = 'schema: declared, columns: {id: bigint, amount: "decimal(6,2)", day: date, at: timestamp, name: string}'
KINDS = ("csv", "json", "parquet", "own")
ROWS = [
    {
        **{"id": 1, "amount": Decimal("12.50"), "day": date(2026, 1, 31)},
        **{"at": datetime(2026, 1, 31, 12, tzinfo=UTC), "name": "é"},
    },
    {"id": -7},
]
TEXTS = [("1", "12.5", "2026-01-31", "2026-01-31T12:00:00Z", "é"), ("-7", "", "", "", "")]
OWN = '''
from lakehouse.tables.batch import Batch


class Rows:
    """What a server gives: numbers as doubles, an own order of the columns."""

    def __init__(self, name, options, folder):
        pass

    def waiting(self, cursors):
        return ""

    def plan(self, session, cursors):
        def read(session):
            return session.sql(
                "SELECT * FROM VALUES (0L, 'é', 12.5D, 1.0D, '2026-01-31 12:00:00Z', DATE'2026-01-31'), "
                "(1L, NULL, NULL, -7.0D, NULL, NULL) AS t(_row, name, amount, id, at, day)"
            ).selectExpr("*", "'server' AS _file")

        return None if cursors else Batch(cursor={"end": 2}, took="2 rows", read=read, records=2)
'''


def content(kind: str) -> bytes:
    if kind == "csv":
        return "\n".join(["id,amount,day,at,name", *map(",".join, TEXTS)]).encode()
    if kind == "json":
        keys = [[text if text != "" else None for text in texts] for texts in TEXTS]
        return "\n".join(json.dumps(dict(zip(ROWS[0], texts, strict=True))) for texts in keys).encode()
    buffer = io.BytesIO()
    types = [pa.int16(), pa.decimal128(4, 1), pa.date32(), pa.timestamp("us", "UTC"), pa.large_string()]
    columns = zip(ROWS[0], types, strict=True)
    values = [{name: row.get(name) for name in ROWS[0]} for row in ROWS]
    table = pa.table({name: pa.array([row[name] for row in values], kind) for name, kind in columns})
    pq.write_table(table, buffer)
    return buffer.getvalue()


def test_one_table_from_every_kind_of_source(spark: Any, make_project: MakeProject) -> None:
    lines = [f"  {kind}: {{type: files, format: {kind}, path: data/raw/{kind}, {SAID}}}" for kind in KINDS[:-1]]
    project = make_project("\n".join([*lines, f"  own: {{type: jobs.own.Rows, {SAID}}}"]))
    (project.folder / "jobs" / "own.py").write_text(OWN)
    for kind in KINDS[:-1]:
        (project.folder / "data" / "raw" / kind).write_bytes(content(kind))
    assert {result.address: str(result.error) for result in ingest(project).results if result.error} == {}
    schemas, values = [], []
    for kind in KINDS:
        fields = {field.name: field.type for field in DeltaTable(str(project.path(f"bronze.{kind}"))).schema().fields}
        schemas.append({name: str(fields[name]) for name in sorted(fields)})
        rows = sorted(Landed(project, kind).kinds["record"], key=lambda row: row["_row"])
        values.append([{k: v for k, v in row.items() if k not in OURS and v is not None} for row in rows])
    assert schemas == [schemas[0]] * len(KINDS)
    assert values == [ROWS] * len(KINDS)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("schema: declared", "schema: declared needs columns"),
        ("schema: declared, columns: {}", "schema: declared needs columns"),
        ("schema: infer, columns: {a: int}", "schema: infer takes no columns"),
        ("schema: inferred", "'inferred' is not known. Did you mean 'infer'"),
        ("shema: declared", "Did you mean 'schema'"),
        ("columns: {a: 'decimal(39,2)'}", "sources.s.columns.a: must be a type"),
        ("columns: {a: 'decimal(0,0)'}", "sources.s.columns.a: must be a type"),
        ("columns: {a: 'decimal(09,2)'}", "sources.s.columns.a: must be a type"),
        ("columns: {a: 'decimal(2,3)'}", "sources.s.columns.a: decimal(2,3) has more digits behind the point"),
    ],
)
def test_a_schema_that_contradicts_itself_is_named(make_project: MakeProject, said: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_project(f"  s: {{type: files, format: csv, path: x, {said}}}")
    assert wrong in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        ("{flight no: int}", "the column 'flight no' is 'flight_no' in bronze"),
        ("{_row: int}", "the column '_row' has a name that bronze keeps for itself"),
        ("{_Rescued: string}", "the column '_rescued' has a name that bronze keeps for itself"),
        ("{a: int, A: int}", "the column 'A' is there twice"),
    ],
)
def test_a_declared_name_that_bronze_can_not_have_is_named(make_project: MakeProject, columns: str, wrong: str) -> None:
    for kind in ("files, format: csv, path: x", "kafka, servers: 'h:1', topic: t, value: json", "jobs.own.Rows"):
        project = make_project(f"  s: {{type: {kind}, columns: {columns}}}")
        with pytest.raises(ConfigError) as caught:
            open_source(project, "s")
        assert f"sources.s.columns: {wrong}" in str(caught.value)
        assert "Correct sources.s.columns in conf/" in str(caught.value.hint)


def test_the_largest_decimals_are_types(make_project: MakeProject) -> None:
    make_project("  s: {type: files, format: csv, path: x, columns: {a: 'decimal(38,38)', b: 'decimal(1,0)'}}")


def test_what_is_said_is_shown(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project("  s: {type: files, format: csv, path: data/raw/*, columns: {a: int}}")
    monkeypatch.chdir(project.folder)
    assert command(["show", "source", "s", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["schema"], data["columns"], data["new_columns"]) == ("declared", {"a": "int"}, "rescue")
    assert "schema_" not in data


TYPES = (
    *("string", "boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "date", "timestamp"),
    *("timestamp_ntz", "binary", "decimal(9,2)", "struct<x:int>", "array<string>", "map<string,int>"),
)


def test_every_type_meets_every_other(spark: Any) -> None:
    """No pair is an error of Spark's analysis: what can't be compared is null."""
    from pyspark.sql import functions as F

    frame = spark.range(1).select(*(F.lit(None).cast(kind).alias(f"c{i}") for i, kind in enumerate(TYPES)))
    pairs = [(i, kind, into) for i, kind in enumerate(TYPES) for into in TYPES if kind != into]
    made = frame.select(*(exactly(F.col(f"c{i}"), kind, into) for i, kind, into in pairs))
    assert [field.dataType.simpleString() for field in made.schema] == [into for *_, into in pairs]


NUMBERS = (
    *("-Infinity", "Infinity", "NaN", "0", "-0.0", "000.", "0e9", "0e-400", "1", "+.5", "0.1", "1e-5", "-12.50E+3"),
    *("1e400", "-1e400", "1e308", "1e39", "3.5e38", "3.4028235e38", "9" * 39, "9" * 310, "9" * 400),
    *("1e-400", "-1e-400", "4.9e-324", "1e-46", "1.4e-45", "0." + "0" * 400 + "1"),
)


def nearest(text: str, largest: Fraction, least: Fraction) -> Fraction | None:
    """The number that a text says, or None where it lies outside of what has a nearest one."""
    number = Fraction(text)
    return number if number == 0 or least / 2 < abs(number) < largest else None


@pytest.mark.parametrize(
    ("into", "digits", "top", "bottom"),
    [("double", 53, 1024, -1074), ("float", 24, 128, -149)],
    ids=["double", "float"],
)
def test_a_text_is_its_nearest_number_or_none(spark: Any, into: str, digits: int, top: int, bottom: int) -> None:
    from pyspark.sql import functions as F

    rows = spark.createDataFrame([(text,) for text in NUMBERS], "text string")
    found = {row[0]: row[1] for row in rows.select("text", exactly(F.col("text"), "string", into)).collect()}
    largest, least = Fraction(2) ** top - Fraction(2) ** (top - digits - 1), Fraction(2) ** bottom
    for text in NUMBERS:
        if "N" in text or "I" in text:
            assert str(found[text]) == str(float(text.replace("Infinity", "inf")))
        elif (number := nearest(text, largest, least)) is None:
            assert found[text] is None, text
        else:
            assert found[text] is not None, text
            assert abs(Fraction(found[text]) - number) <= max(abs(number) / 2**digits, least / 2), text


WHOLE = [0, 1, 2**53, 2**53 + 1, 2**62, 2**63 - 513, 2**63 - 1024, 2**63 - 1, -(2**63), -(2**63) + 1]
FRACTIONS = [0.0, 1.5, 2.0**53, 2.0**62, 2.0**63 - 1024, 2.0**63, -(2.0**63), 2.0**64, float("inf"), float("nan")]


def test_whole_numbers_and_fractions_land_where_they_are_equal(spark: Any) -> None:
    from pyspark.sql import functions as F

    whole = spark.createDataFrame([(value,) for value in WHOLE], "value bigint")
    fractions = spark.createDataFrame([(value,) for value in FRACTIONS], "value double")
    found = [row[0] for row in whole.select(exactly(F.col("value"), "bigint", "double")).collect()]
    # Python compares a whole number with a fraction exactly.
    assert found == [float(value) if float(value) == value else None for value in WHOLE]
    found = [row[0] for row in fractions.select(exactly(F.col("value"), "double", "bigint")).collect()]
    fit = [value.is_integer() and -(2**63) <= value < 2**63 for value in FRACTIONS]
    assert found == [int(value) if fits else None for value, fits in zip(FRACTIONS, fit, strict=True)]
    singles = spark.createDataFrame([(2.0**63,), (2.0**62,)], "value float")
    assert [row[0] for row in singles.select(exactly(F.col("value"), "float", "bigint")).collect()] == [None, 2**62]
