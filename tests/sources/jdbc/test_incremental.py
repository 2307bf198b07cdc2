"""What is new lands once: ties, late commits with a lower cursor, updates, long transactions, savepoints, restores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project, load_project
from lakehouse.errors import ConfigError, SourceChangedError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.sources.jdbc.server import PASSWORD, Postgres
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now())"


def landed_rows(project: Project) -> Counter[tuple[int, str]]:
    return Counter((row["id"], row["v"]) for row in Landed(project, "t").kinds["record"])


@pytest.fixture
def project(source: Make, sql: Any) -> Project:
    sql(TABLE)
    return source("table: public.t, cursor: updated_at")


def test_ties_and_updates_land_once(project: Project, sql: Any) -> None:
    same = "'2026-01-01 00:00:00Z'"
    sql(f"INSERT INTO t VALUES (1, 'a', {same}), (2, 'b', {same})")
    ingested(project)
    sql(f"INSERT INTO t VALUES (3, 'c', {same})")  # a tie with the highest that landed
    sql("INSERT INTO t VALUES (4, 'd', '2025-01-01')")  # far below it
    assert ingested(project).read == 2
    sql("UPDATE t SET v = 'aa', updated_at = now() WHERE id = 1")
    sql("UPDATE t SET v = 'bb' WHERE id = 2")  # and the cursor column is forgotten
    assert ingested(project).read == 2
    assert ingested(project).status == "unchanged"
    assert landed_rows(project) == Counter([(1, "a"), (2, "b"), (3, "c"), (4, "d"), (1, "aa"), (2, "bb")])


def test_a_late_commit_with_a_lower_cursor_lands(project: Project, postgres: Postgres, sql: Any) -> None:
    """A begins, B begins, B writes and commits, a run, A commits what bears an earlier time."""
    with postgres.session() as a, postgres.session() as idle:
        a.do("BEGIN; SELECT now()")  # its now() is fixed here; it has no number yet
        sql("INSERT INTO t VALUES (1, 'b')")
        idle.do("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t")
        a.do("INSERT INTO t VALUES (2, 'a')")
        sql("INSERT INTO t VALUES (3, 'c')")  # a higher number than A's, committed before it
        assert ingested(project).read == 2
        assert ingested(project).status == "unchanged"
        sql("INSERT INTO t VALUES (4, 'd')")
        assert ingested(project).read == 1
        a.do("COMMIT")
        assert sql("SELECT (SELECT updated_at FROM t WHERE id = 2) < min(updated_at) FROM t WHERE id <> 2") == [["t"]]
        assert ingested(project).read == 1
        assert ingested(project).status == "unchanged"
    assert landed_rows(project) == Counter([(1, "b"), (3, "c"), (4, "d"), (2, "a")])


def test_subtransactions_and_prepared_ones(project: Project, postgres: Postgres, sql: Any) -> None:
    with postgres.session() as a, postgres.session() as b:
        a.do("BEGIN; INSERT INTO t VALUES (1, 'top'); SAVEPOINT s; INSERT INTO t VALUES (2, 'sub')")
        a.do("SAVEPOINT s2; INSERT INTO t VALUES (3, 'undone'); ROLLBACK TO s2; INSERT INTO t VALUES (4, 'again')")
        b.do("BEGIN; INSERT INTO t VALUES (5, 'prepared'); PREPARE TRANSACTION 'p'")
        sql("INSERT INTO t VALUES (6, 'b')")
        assert ingested(project).read == 1
        a.do("COMMIT")
        assert ingested(project).read == 3
        sql("INSERT INTO t VALUES (7, 'c')")
        assert ingested(project).read == 1
        b.do("COMMIT PREPARED 'p'")
        assert ingested(project).read == 1
    values = [(1, "top"), (2, "sub"), (4, "again"), (5, "prepared"), (6, "b"), (7, "c")]
    assert landed_rows(project) == Counter(values)


def test_many_transactions_behind_a_long_one_wait(
    project: Project, postgres: Postgres, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.sources.jdbc.exported.MOST_SEEN", 5)
    with postgres.session() as a:
        sql("INSERT INTO t VALUES (1, 'early')")
        a.do("BEGIN; INSERT INTO t VALUES (2, 'long')")
        sql(";".join(f"INSERT INTO t VALUES ({i}, 'few')" for i in (10, 11, 12)))
        assert ingested(project).read == 4
        sql(";".join(f"INSERT INTO t VALUES ({i}, 'more')" for i in (13, 14, 15)))
        assert ingested(project).status == "unchanged"  # few by themselves, and too many with those that landed
        sql(";".join(f"INSERT INTO t VALUES ({i}, 'many')" for i in range(20, 37)))
        assert ingested(project).status == "unchanged"
        a.do("COMMIT")
    assert ingested(project).read == 21
    assert ingested(project).status == "unchanged"
    assert set(landed_rows(project).values()) == {1}
    assert len(landed_rows(project)) == 25


def test_a_rewritten_table_is_compared_with_what_landed(project: Project, sql: Any) -> None:
    sql("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 50) i")
    ingested(project)
    sql("VACUUM FULL t; UPDATE t SET v = 'new' WHERE id = 7; INSERT INTO t VALUES (99, 'x')")
    assert ingested(project).read == 2
    (*_, last) = Landed(project, "t").receipts.values()
    receipts = Landed(project, "t").receipts
    last = receipts[max(receipts)]
    assert last["cursor"]["already_landed"] == 49
    assert last["took"] == "2 rows (49 already landed)"
    assert ingested(project).status == "unchanged"
    sql("ALTER TABLE t ALTER v TYPE varchar(50); CREATE TABLE u (LIKE t); INSERT INTO u SELECT * FROM t")
    sql("DROP TABLE t; ALTER TABLE u RENAME TO t; ALTER TABLE t ADD PRIMARY KEY (id)")
    assert ingested(project).read == 0  # a receipt alone: from here on numbers count again
    assert ingested(project).status == "unchanged"
    sql("UPDATE t SET v = 'v7' WHERE id = 7")
    assert ingested(project).read == 1
    assert Counter(landed_rows(project).values()) == Counter({1: 51, 2: 1})


def test_without_a_key_it_is_refused_by_name(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a')")
    project = source("table: public.t, cursor: id")
    ingested(project)
    sql("VACUUM FULL t")
    (result,) = ingest(project).results
    assert isinstance(result.error, SourceChangedError)
    assert "sources.t.key" in str(result.error)


def test_old_rows_after_the_counter_has_gone_round(source: Make, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numbers may stand for two transactions, what looks new is compared with what landed."""
    sql(TABLE)
    project = source("table: public.t, cursor: updated_at")
    sql("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i")
    ingested(project)
    monkeypatch.setattr("lakehouse.sources.jdbc.exported.FULL", 1)
    sql("INSERT INTO t VALUES (99, 'x')")
    assert ingested(project).read == 1
    assert len(landed_rows(project)) == 21


def test_a_view_takes_a_key_and_an_overlap(source: Make, sql: Any) -> None:
    sql(f"{TABLE}; CREATE VIEW w AS SELECT * FROM t")
    sql("INSERT INTO t VALUES (1, 'a', '2026-01-01 10:00Z'), (2, 'b', '2026-01-01 11:00Z')")
    (result,) = ingest(source("table: public.w, cursor: updated_at")).results
    assert isinstance(result.error, ConfigError)
    project = source('table: public.w, cursor: updated_at, key: id, overlap: "30m"')
    assert ingested(project).read == 2
    assert ingested(project).status == "unchanged"
    sql("INSERT INTO t VALUES (3, 'late', '2026-01-01 10:45Z'), (4, 'too late', '2026-01-01 10:15Z')")
    sql("UPDATE t SET v = 'bb' WHERE id = 2")
    assert ingested(project).read == 2
    assert landed_rows(project) == Counter([(1, "a"), (2, "b"), (3, "late"), (2, "bb")])


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz(3)"])
def test_a_view_whose_cursor_is_far_ahead_says_so(source: Make, sql: Any, kind: str) -> None:
    sql(f"CREATE TABLE t (id int, v text, at {kind}); CREATE VIEW w AS SELECT * FROM t")
    sql("INSERT INTO t VALUES (1, 'a', now())")
    project = source("table: public.w, cursor: at, key: id, overlap: 1h")
    assert "stood at" not in ingested(project).note
    sql("INSERT INTO t VALUES (2, 'b', '9999-12-31')")
    assert "at stood at 9999-12-31" in ingested(project).note
    sql("INSERT INTO t VALUES (3, 'c', now())")
    unseen = ingested(project)
    assert unseen.status == "unchanged" and "at stood at 9999-12-31" in unseen.note


def test_rows_that_row_level_security_begins_to_show_land(source: Make, sql: Any) -> None:
    """No transaction writes a row when it comes into sight: it is told as a view's is, also when policies end."""
    sql(f"DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    sql("GRANT USAGE ON SCHEMA public TO reader")
    sql("CREATE TABLE t (id int PRIMARY KEY, v text, tenant int); CREATE TABLE member (tenant int)")
    sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t, member TO reader")
    sql("CREATE POLICY p ON t USING (tenant IN (SELECT tenant FROM member)); INSERT INTO member VALUES (1)")
    sql("INSERT INTO t VALUES (1, 'shown', 1), (2, 'hidden', 2), (3, 'far below', 3), (20, 'shown', 1)")
    as_lake = source("table: public.t, cursor: id")
    base = as_lake.folder / "conf" / "base.yaml"
    as_reader = base.read_text().replace("user: lake", "user: reader")
    base.write_text(as_reader)
    (result,) = ingest(load_project(as_lake.folder)).results
    assert isinstance(result.error, ConfigError) and "row-level security" in str(result.error)
    base.write_text(as_reader.replace("cursor: id", "cursor: id, key: id, overlap: 18"))
    project = load_project(as_lake.folder)
    assert ingested(project).read == 2
    assert ingested(project).status == "unchanged"
    sql("INSERT INTO member VALUES (2)")
    assert ingested(project).read == 1
    base.write_text(as_reader.replace("user: reader", "user: lake"))  # the one who sees all, with no write between
    assert ingested(load_project(as_lake.folder)).read == 1
    assert landed_rows(project) == Counter([(1, "shown"), (20, "shown"), (2, "hidden"), (3, "far below")])


def test_a_snapshot_in_which_others_are_in_sight_lands(source: Make, sql: Any) -> None:
    """As many rows as before, none of which was written."""
    sql(f"DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    sql("GRANT USAGE ON SCHEMA public TO reader; CREATE TABLE t (id int, v text); CREATE TABLE shown (id int)")
    sql("ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t, shown TO reader")
    sql("CREATE POLICY p ON t USING (id IN (SELECT id FROM shown)); INSERT INTO shown VALUES (1)")
    sql("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    project = source("table: public.t")
    base = project.folder / "conf" / "base.yaml"
    base.write_text(base.read_text().replace("user: lake", "user: reader"))
    project = load_project(project.folder)
    ingested(project)
    sql("UPDATE shown SET id = 2")
    assert ingested(project).read == 1
    assert landed_rows(project) == Counter([(1, "one"), (2, "two")])


@pytest.mark.torture
def test_a_restored_bronze_lands_again_what_it_lost(project: Project, sql: Any, spark: Any) -> None:
    sql("INSERT INTO t VALUES (1, 'a')")
    ingested(project)
    sql("INSERT INTO t VALUES (2, 'b')")
    ingested(project)
    sql("INSERT INTO t VALUES (3, 'c')")
    ingested(project)
    spark.sql(f"RESTORE TABLE delta.`{project.path('bronze.t')}` TO VERSION AS OF 0")
    assert ingested(project).read == 2
    assert landed_rows(project) == Counter([(1, "a"), (2, "b"), (3, "c")])
