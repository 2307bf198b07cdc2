"""Another database, by its driver alone: Derby, which comes with Spark. Late rows are found by looking back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from lakehouse.quality.literals import literal
from lakehouse.sources.jdbc.anywhere import _low
from tests.bronze.landed import Landed
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]
DECIMAL = 3
"""java.sql.Types"""


@pytest.fixture
def derby(spark: Any, tmp_path: Path) -> Callable[[str], None]:
    spark._jvm.java.lang.System.setProperty("derby.stream.error.file", str(tmp_path / "derby.log"))
    driver = spark._jvm.java.lang.Class.forName("org.apache.derby.iapi.jdbc.AutoloadedDriver").newInstance()
    connection = driver.connect(f"jdbc:derby:{tmp_path}/db;create=true", spark._jvm.java.util.Properties())

    def do(*texts: str) -> None:
        for text in texts:
            statement = connection.createStatement()
            statement.execute(text)
            statement.close()

    return do


@pytest.fixture
def source(derby: Any, make_project: Any, tmp_path: Path) -> Make:
    def make(settings: str) -> Project:
        made: Project = make_project(f'  t: {{type: jdbc, url: "jdbc:derby:{tmp_path}/db", {settings}}}')
        return made

    return make


def landed(project: Project) -> Counter[tuple[Any, ...]]:
    return Counter((row["ID"], row["V"]) for row in Landed(project, "t").kinds["record"])


def test_late_rows_within_the_overlap_land_once(source: Make, derby: Any) -> None:
    derby("CREATE TABLE T (ID int PRIMARY KEY, V varchar(9), CHANGED date)")
    derby("INSERT INTO T VALUES (1, 'a', '2026-01-10'), (2, 'b', '2026-01-20'), (3, 'n', NULL)")
    project = source('table: APP.T, cursor: CHANGED, key: ID, overlap: "3d"')
    assert ingested(project).read == 3
    assert ingested(project).status == "unchanged"
    derby("INSERT INTO T VALUES (4, 'late', '2026-01-18'), (5, 'too late', '2026-01-16')")
    derby("UPDATE T SET V = 'bb' WHERE ID = 2", "INSERT INTO T VALUES (6, 'new', '2026-01-30')")
    assert ingested(project).read == 3
    receipts = Landed(project, "t").receipts
    assert receipts[max(receipts)]["took"] == "3 rows (1 already landed)"
    assert ingested(project).status == "unchanged"
    assert landed(project) == Counter([(1, "a"), (2, "b"), (3, "n"), (4, "late"), (2, "bb"), (6, "new")])


def test_numbers_and_whole_tables(source: Make, derby: Any) -> None:
    derby('CREATE TABLE "t x" (ID int, V varchar(9), N bigint, D decimal(31,5))')
    derby("INSERT INTO \"t x\" VALUES (1, 'a', 100, 1.5), (2, 'b', 200, 12345678901234567890123456.12345)")
    project = source('table: "APP.t x", cursor: N, key: [ID], overlap: 50')
    assert ingested(project).read == 2
    derby("INSERT INTO \"t x\" VALUES (3, 'c', 150, 0)", "INSERT INTO \"t x\" VALUES (4, 'd', 149, 0)")
    assert ingested(project).read == 1
    assert landed(project) == Counter([(1, "a"), (2, "b"), (3, "c")])
    assert "12345678901234567890123456.12345" in {str(row["D"]) for row in Landed(project, "t").kinds["record"]}
    project = source('table: "APP.t x"')
    assert ingested(project).read == 4
    assert ingested(project).status == "unchanged"


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO T VALUES (9, 'i', NULL, X'00')",
        "INSERT INTO T VALUES (2, 'b', NULL, NULL)",  # as one that is there
        "DELETE FROM T WHERE ID = 1",
        "UPDATE T SET V = NULL, W = 'a' WHERE ID = 1",
        "UPDATE T SET B = X'FE' WHERE ID = 3",
        "UPDATE T SET V = 'c1:d', W = '' WHERE ID = 4",
        "RENAME COLUMN T.W TO U",
        "ALTER TABLE T DROP COLUMN B",
    ],
)
def test_a_whole_table_lands_where_anything_in_it_is_other(source: Make, derby: Any, change: str) -> None:
    derby("CREATE TABLE T (ID int, V varchar(9), W varchar(9), B varchar(2) for bit data)")
    derby("INSERT INTO T VALUES (1, 'a', NULL, NULL), (2, 'b', NULL, NULL), (3, '', '', X'FF'), (4, 'c', 'd', NULL)")
    project = source("table: APP.T")
    assert ingested(project).read == 4
    derby("DELETE FROM T WHERE ID = 2", "INSERT INTO T VALUES (2, 'b', NULL, NULL)")  # another order
    assert ingested(project).status == "unchanged"
    derby(change)
    assert ingested(project).status == "done"
    assert ingested(project).status == "unchanged"


def test_a_cursor_that_is_far_ahead_is_told(source: Make, derby: Any) -> None:
    """Nothing below it lands, and somebody must hear of it."""
    derby("CREATE TABLE T (ID int, CHANGED date)", "INSERT INTO T VALUES (1, CURRENT_DATE)")
    project = source("table: APP.T, cursor: CHANGED, key: ID, overlap: 1d")
    assert "CHANGED" not in ingested(project).note
    derby("INSERT INTO T VALUES (2, '9999-12-31')")
    said = "CHANGED stood at 9999-12-31"
    assert said in ingested(project).note
    receipts = Landed(project, "t").receipts
    assert said in receipts[max(receipts)]["note"]
    derby("INSERT INTO T VALUES (3, CURRENT_DATE)")
    unseen = ingested(project)
    assert unseen.status == "unchanged" and said in unseen.note


@pytest.mark.parametrize(
    ("through", "overlap", "low"),
    [
        ("99999999999999999999999999999999999995", "1000", "99999999999999999999999999999999998995"),
        ("12345678901234567890123456.12345", "0.5", "12345678901234567890123455.62345"),
        ("12345678901234567890123456.12345", "0.000001", "12345678901234567890123456.12344"),  # down, never up
        ("-99999999999999999999999999999999999995", "1000", "-99999999999999999999999999999999999999"),
        ("0E-38", "1", "-0.99999999999999999999999999999999999999"),
        ("5", "1" * 200, "-" + "9" * 38),
    ],
)
def test_looking_back_is_exact_or_further(spark: Any, through: str, overlap: str, low: str) -> None:
    """Rounded to 28 digits it may lie above what landed: rows between are never read."""
    found = _low("x", through, DECIMAL, overlap)
    assert isinstance(found, Decimal) and f"{found:f}" == low
    assert spark.sql(f"SELECT CAST({literal(found).spark} AS STRING)").first()[0] == low


def test_large_numbers_are_looked_for_below_the_highest(source: Make, derby: Any) -> None:
    derby("CREATE TABLE T (ID int, V varchar(9), N decimal(30))", f"INSERT INTO T VALUES (1, 'a', {'9' * 29}5)")
    project = source("table: APP.T, cursor: N, key: ID, overlap: 1000")
    ingested(project)
    derby(f"INSERT INTO T VALUES (2, 'late', {'9' * 27}100)", f"INSERT INTO T VALUES (3, 'too late', {'9' * 25}00000)")
    assert ingested(project).read == 1
    assert landed(project) == Counter([(1, "a"), (2, "late")])


@pytest.mark.parametrize(("column", "said"), [("C time", "C (TIME)"), ("MOMENT timestamp", "MOMENT (TIMESTAMP)")])
def test_a_type_that_would_not_land_exactly_is_refused(source: Make, derby: Any, column: str, said: str) -> None:
    """Derby's times have nanoseconds, which Spark would cut."""
    derby(f"CREATE TABLE U (ID int, {column})")
    (result,) = ingest(source("table: APP.U")).results
    assert isinstance(result.error, ContractError) and said in str(result.error)


def test_a_key_that_is_none_is_refused(source: Make, derby: Any) -> None:
    derby("CREATE TABLE T (ID int, N int)", "INSERT INTO T VALUES (1, 1)")
    project = source("table: APP.T, cursor: N, key: ID, overlap: 9")
    ingested(project)
    derby("INSERT INTO T VALUES (1, 2)")
    (result,) = ingest(project).results
    assert isinstance(result.error, ContractError) and "(1,)" in str(result.error)
