"""A snapshot: all connections see one moment, however much is written meanwhile; it is taken again when it differs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.sources.jdbc.server import Postgres

Make = Callable[..., Project]
MOVE = """DO $$ DECLARE one int; other int; BEGIN FOR i IN 1..20 LOOP
    one := 1 + floor(random() * 4000); other := 1 + floor(random() * 4000);
    UPDATE accounts SET money = money - 7 WHERE id = one;
    UPDATE accounts SET money = money + 7 WHERE id = other;
    COMMIT;
END LOOP; END $$"""


def ingested(project: Project) -> Any:
    (result,) = ingest(project).results
    assert result.error is None, result.error
    return result


@pytest.mark.parametrize(
    "parts", [pytest.param("partitions: 4", marks=pytest.mark.torture), "partitions: 4, partition_column: id"]
)
def test_all_parts_see_one_moment(source: Make, postgres: Postgres, sql: Any, parts: str) -> None:
    """Money is moved between rows all the time; at any moment the sum is the same, and new rows come in pairs."""
    sql("CREATE TABLE accounts (id int PRIMARY KEY, money bigint)")
    sql("INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 4000) i")
    project = source(f"table: public.accounts, {parts}")
    done = threading.Event()
    moved = [0]

    def write() -> None:
        with postgres.session() as writer:
            while not done.is_set():
                assert writer.do(MOVE) == []
                moved[0] += 1
                pair = moved[0] * 2 + 10_000
                assert writer.do(f"INSERT INTO accounts VALUES ({pair}, 5), ({pair + 1}, -5)") == []

    writers = [threading.Thread(target=write)]
    writers[0].start()
    try:
        for _ in range(3):
            before = moved[0]
            ingested(project)
            assert moved[0] > before
    finally:
        done.set()
        writers[0].join()
    landed = Landed(project, "t")
    assert len(landed.receipts) == 3
    for batch, receipt in landed.receipts.items():
        rows = [row for row in landed.kinds["record"] if row["_batch"] == batch]
        assert len(rows) == receipt["cursor"]["rows"] == len({row["id"] for row in rows})
        assert receipt["cursor"]["whole"] and receipt["cursor"]["snapshot"]
        assert sum(row["money"] for row in rows) == 4_000_000
        ids = {row["id"] for row in rows}
        assert ids >= set(range(1, 4001))
        assert all((number ^ 1) in ids for number in ids if number > 4001)


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO t VALUES (10, 'x')",
        "UPDATE t SET v = v WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
        "DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, 'b')",
        "TRUNCATE t",
        "ALTER TABLE t ADD w int; UPDATE t SET w = 1",
    ],
)
def test_it_is_taken_again_when_the_table_changed(source: Make, sql: Any, change: str) -> None:
    sql("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b'); CREATE TABLE other (id int)")
    project = source("table: public.t")
    ingested(project)
    assert ingested(project).status == "unchanged"
    sql("INSERT INTO other VALUES (1)")  # another table's business
    sql("VACUUM t")
    assert ingested(project).status == "unchanged"
    sql(change)
    assert ingested(project).status == "done"
    now = sql("SELECT id, v FROM t")
    rows = [row for row in Landed(project, "t").kinds["record"] if row["_batch"] > 0]
    assert Counter((str(row["id"]), row["v"]) for row in rows) == Counter(map(tuple, now))
    assert ingested(project).status == "unchanged"


def test_any_split_is_the_same(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id bigint, part numeric, fill text)")
    sql("INSERT INTO t SELECT i, nullif(i % 17, 3) - 8, repeat('x', i % 300) FROM generate_series(1, 5000) i")
    sql("INSERT INTO t VALUES (0, 'NaN', ''), (-1, 1e20, ''), (-2, -1e20, '')")
    want = Counter((int(row[0]), row[1]) for row in sql("SELECT id, fill FROM t"))
    for parts in ("partitions: 1", "partitions: 7", "partitions: 5, partition_column: part, fetch_size: 13"):
        project = source(f"table: public.t, {parts}")
        project = project.model_copy(update={"config": project.config.model_copy(update={"root": f"lake{len(parts)}"})})
        ingested(project)
        landed = Landed(project, "t")
        assert Counter((row["id"], row["fill"]) for row in landed.kinds["record"]) == want
        places = [row["_row"] for row in landed.kinds["record"]]
        assert len(set(places)) == len(places)


def test_partitioned_tables_children_and_views(source: Make, sql: Any) -> None:
    sql("""CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (100);
        CREATE TABLE high PARTITION OF parted FOR VALUES FROM (100) TO (1000);
        INSERT INTO parted SELECT i, 'v' || i FROM generate_series(1, 300) i;
        CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
        INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);
        CREATE VIEW seen AS SELECT id * 2 AS id FROM parent""")
    for table, want in (("parted", set(range(1, 301))), ("parent", {1, 2}), ("seen", {2, 4})):
        project = source(f"table: public.{table}, partitions: 3")
        project = project.model_copy(update={"config": project.config.model_copy(update={"root": f"lake_{table}"})})
        ingested(project)
        assert {row["id"] for row in Landed(project, "t").kinds["record"]} == want


def test_a_view_that_is_as_it_was_does_not_land_again(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a'), (2, NULL)")
    sql("CREATE VIEW w AS SELECT * FROM t ORDER BY random()")
    project = source("table: public.w")
    assert ingested(project).read == 2
    sql("UPDATE t SET v = v")
    assert ingested(project).status == "unchanged"
    sql("UPDATE t SET v = 'b' WHERE id = 2")
    assert ingested(project).read == 2
    assert ingested(project).status == "unchanged"


def test_an_empty_table_lands_its_columns(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id int, v text)")
    project = source("table: public.t, partitions: 3")
    assert ingested(project).read == 0
    assert {"id", "v"} <= set(Landed(project, "t").kinds["receipt"][0])
    assert ingested(project).status == "unchanged"
