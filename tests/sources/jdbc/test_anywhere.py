"""Another database, by its driver alone: Derby, which comes with Spark. Late rows are found by looking back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]


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
    assert ingested(project).read == 4  # nothing says cheaply that it is as it was


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
