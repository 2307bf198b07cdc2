"""``lakehouse query`` on tables that were written without a JVM."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

SEEN = datetime(2026, 1, 2, 3, 4, 5, 600_700, tzinfo=UTC)


@pytest.fixture
def built(shop: Path) -> Path:
    schema = {
        "customer": pa.string(),
        "seen": pa.timestamp("us", "UTC"),
        "spent": pa.decimal128(10, 2),
        "share": pa.float64(),
    }
    rows = [
        {"customer": 'Ada "A", Jr', "seen": SEEN, "spent": Decimal("1.50"), "share": float("nan")},
        {"customer": None, "seen": None, "spent": None, "share": 0.25},
        {"customer": "[red]Bo[/red]", "seen": SEEN, "spent": Decimal("2.00"), "share": 1e-9},
    ]
    write_deltalake(shop / "data" / "lake" / "gold" / "spend", pa.Table.from_pylist(rows, schema=pa.schema(schema)))
    return shop


def test_a_table_is_shown_as_it_is(command, built: Path) -> None:
    answer = command("query", "select * from gold.spend", folder=built)
    assert (answer.code, answer.err) == (0, "")
    assert [line.rstrip() for line in answer.out.splitlines() if line.strip()] == [
        " customer       seen                        spent  share",
        " ───────────────────────────────────────────────────────",
        ' Ada "A", Jr    2026-01-02 03:04:05.600700   1.50    NaN',
        "                                                    0.25",
        " [red]Bo[/red]  2026-01-02 03:04:05.600700   2.00  1e-09",
        "3 rows",
    ]


def test_json_is_one_value_of_plain_types(command, built: Path) -> None:
    answer = json.loads(command("query", "select * from gold.spend", "--json", folder=built).out)
    assert answer["columns"][0] == {"name": "customer", "type": "VARCHAR"}
    assert answer["rows"] == [
        {"customer": 'Ada "A", Jr', "seen": "2026-01-02T03:04:05.600700Z", "spent": "1.50", "share": None},
        {"customer": None, "seen": None, "spent": None, "share": 0.25},
        {"customer": "[red]Bo[/red]", "seen": "2026-01-02T03:04:05.600700Z", "spent": "2.00", "share": 1e-9},
    ]
    assert answer["more"] is False


def test_csv_is_quoted(command, built: Path) -> None:
    answer = command("query", "select customer, seen from gold.spend", "--csv", folder=built)
    assert answer.out.splitlines() == [
        "customer,seen",
        '"Ada ""A"", Jr",2026-01-02T03:04:05.600700Z',
        ",",
        "[red]Bo[/red],2026-01-02T03:04:05.600700Z",
    ]


def test_fifty_rows_are_shown_and_all_are_written(command, shop: Path) -> None:
    shown = command("query", "select range as n from range(60)", folder=shop).out
    assert "50 rows; there are more: --limit ROWS shows them." in shown
    assert "\n59\n" in command("query", "select range as n from range(60)", "--csv", folder=shop).out
    answer = json.loads(command("query", "from range(60)", "--json", "--limit", "2", folder=shop).out)
    assert (answer["rows"], answer["more"]) == ([{"range": 0}, {"range": 1}], True)
    assert "1 row\n" in command("query", "select 1", "-n", "1", folder=shop).out


def test_mistakes_in_sql_point_into_it(command, shop: Path) -> None:
    answer = command("query", "selec 1", folder=shop)
    assert answer.code == 2
    assert 'syntax error at or near "selec"' in answer.err
    answer = command("query", "select cast('x' as int)", folder=shop)
    assert (answer.code, answer.out) == (2, "")
    assert "Could not convert string 'x'" in answer.err


def test_json_and_csv_can_not_both_be(command, shop: Path) -> None:
    assert command("query", "select 1", "--csv", "--json", folder=shop).code == 2


def test_a_table_that_is_not_built_names_the_command(command, shop: Path) -> None:
    answer = command("query", "from gold.customer_spend", folder=shop)
    assert answer.code == 1
    assert answer.err.endswith("Run: lakehouse run --select +gold.customer_spend\n")
