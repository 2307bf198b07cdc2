"""Whoever else is at the table: who empties, alters or locks it while we read, a second reader; what can't be told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import ConfigError, SourceChangedError, SourceUnavailableError
from lakehouse.pipeline import ingest
from lakehouse.sources.jdbc import exported
from lakehouse.sources.jdbc.connection import PATIENCE
from tests.bronze.landed import Landed
from tests.sources.jdbc.server import Postgres
from tests.sources.jdbc.test_changes import FILL, error_of
from tests.sources.jdbc.test_incremental import landed_rows
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]


def between(monkeypatch: pytest.MonkeyPatch, name: str, work: Callable[[], None]) -> None:
    """Do the work when the planning of a batch comes to the call of this name."""
    called = getattr(exported, name)

    def first(*given: Any, **more: Any) -> Any:
        work()
        return called(*given, **more)

    monkeypatch.setattr(exported, name, first)


@pytest.mark.parametrize(
    "mode", ["table: public.t", pytest.param("table: public.t, cursor: id", marks=pytest.mark.torture)]
)
def test_a_table_is_not_emptied_under_our_snapshot(
    source: Make, postgres: Postgres, sql: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """To a snapshot that is older than a TRUNCATE the table would look empty."""
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    said: list[str] = []

    def empty() -> None:
        with postgres.session() as other:
            said.extend(other.do("SET lock_timeout = '100ms'; TRUNCATE t"))

    project = source(mode)
    between(monkeypatch, "look_up", empty)
    assert ingested(project).read == 5
    assert any("lock timeout" in line for line in said)


def test_who_alters_the_table_meanwhile_does_not_hang_us(
    source: Make, postgres: Postgres, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for our snapshot, our readers wait for them, and our snapshot for the readers."""
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    monkeypatch.setitem(PATIENCE["postgresql"], "options", "-c lock_timeout=300ms")
    project = source("table: public.t, cursor: id, partitions: 2")
    altering: list[threading.Thread] = []

    def alter() -> None:
        altering.append(threading.Thread(target=lambda: sql("ALTER TABLE t ADD w int")))
        altering[0].start()
        while not postgres.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 't'::regclass"):
            pass

    with monkeypatch.context() as patched:
        between(patched, "read_rows", alter)
        error = error_of(project)
    altering[0].join()
    assert isinstance(error, SourceUnavailableError) and "lock timeout" in str(error)
    assert not project.path("bronze.t").exists()
    assert ingested(project).read == 5


def test_a_table_that_stays_locked(source: Make, postgres: Postgres, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    monkeypatch.setitem(PATIENCE["postgresql"], "options", "-c lock_timeout=300ms")
    with postgres.session() as other:
        other.do("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        assert isinstance(error_of(source("table: public.t")), SourceUnavailableError)


@pytest.mark.parametrize("partitions", [pytest.param(1, marks=pytest.mark.torture), 3])
def test_two_readers_at_once(
    spark: Any, source: Make, postgres: Postgres, sql: Any, make_project: Any, partitions: int
) -> None:
    """Two sources read one table while it is written; each lands each version that it sees once."""
    sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i")
    one = source(f"table: public.t, cursor: id, partitions: {partitions}")
    base = one.folder / "conf" / "base.yaml"
    (line,) = [line for line in base.read_text().splitlines() if line.startswith("  t: ")]
    project = make_project(f"{line}\n  u: {line[5:]}")
    done = threading.Event()

    def write() -> None:
        with postgres.session() as writer:
            while not done.is_set():
                assert writer.do("UPDATE t SET v = v + 1 WHERE id = 1 + floor(random() * 200)::int") == []

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert [result.error for result in ingest(project).results] == [None, None]
    finally:
        done.set()
        writer.join()
    assert [result.error for result in ingest(project).results] == [None, None]
    now = {(int(row[0]), int(row[1])) for row in sql("SELECT id, v FROM t")}
    for name in "tu":
        rows = Counter((row["id"], row["v"]) for row in Landed(project, name).kinds["record"])
        assert set(rows.values()) == {1}
        assert {max(version for version in rows if version[0] == key) for key, _ in now} == now


def test_the_same_source_run_twice_at_once(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    sql("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 2000) i")
    project = source("table: public.t, cursor: id")
    errors: list[Any] = []

    def read() -> None:
        errors.extend(result.error for result in ingest(project, wait=60).results)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert errors == [None, None]
    assert len(landed_rows(project)) == sum(landed_rows(project).values()) == 2000


def test_an_overlap_that_would_hide_late_commits_is_refused(source: Make, sql: Any) -> None:
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    error = error_of(source("table: public.t, cursor: id, overlap: 10"))
    assert isinstance(error, ConfigError) and "sources.t.overlap" in error.hint


def test_foreign_partitions_are_told_by_key_and_overlap(source: Make, sql: Any) -> None:
    """Their rows carry no transaction: taken by it they would never be new."""
    sql("DROP FOREIGN DATA WRAPPER IF EXISTS far CASCADE; CREATE FOREIGN DATA WRAPPER far")
    sql("CREATE SERVER there FOREIGN DATA WRAPPER far; CREATE TABLE t (id int, v text) PARTITION BY RANGE (id)")
    sql("CREATE FOREIGN TABLE old PARTITION OF t FOR VALUES FROM (0) TO (10) SERVER there")
    error = error_of(source("table: public.t, cursor: id"))
    assert isinstance(error, ConfigError) and "which transaction wrote them" in str(error)
    sql("DROP FOREIGN DATA WRAPPER far CASCADE")


def test_a_view_takes_ties_at_the_watermark(source: Make, sql: Any) -> None:
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}; CREATE VIEW w AS SELECT id, v, 1 AS at FROM t")
    project = source('table: public.w, cursor: at, key: id, overlap: "0"')
    assert ingested(project).read == 5
    sql("INSERT INTO t VALUES (6, 'v6'), (7, 'v7')")
    assert ingested(project).read == 2
    assert ingested(project).status == "unchanged"
    assert set(landed_rows(project).values()) == {1}


def test_a_cursor_stays_small_however_many_partitions(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id int, v text) PARTITION BY RANGE (id)")
    sql(";".join(f"CREATE TABLE t{i} PARTITION OF t FOR VALUES FROM ({i}) TO ({i + 1})" for i in range(200)))
    sql("INSERT INTO t SELECT i, 'v' FROM generate_series(0, 199) i")
    project = source("table: public.t, cursor: id")
    assert ingested(project).read == 200
    (receipt,) = Landed(project, "t").receipts.values()
    assert len(str(receipt["cursor"])) < 600
    sql("CREATE TABLE last PARTITION OF t FOR VALUES FROM (1000) TO (1001)")
    assert isinstance(error_of(project), SourceChangedError)


def test_nothing_is_held_when_a_batch_has_landed(spark: Any, source: Make, sql: Any) -> None:
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    held = spark.sparkContext._jsc.getPersistentRDDs
    before = held().size()
    project = source("table: public.t, cursor: id, partitions: 2")
    ingested(project)
    sql("VACUUM FULL t; INSERT INTO t VALUES (6, 'v6')")  # read and compared
    ingested(project)
    sql('ALTER TABLE t ADD "ID" int; VACUUM FULL t')
    error_of(project)
    assert held().size() == before


def test_texts_are_texts_whatever_the_server_takes_a_backslash_for(source: Make, sql: Any) -> None:
    sql("ALTER ROLE lake SET standard_conforming_strings = off")
    try:
        sql("""CREATE TABLE "a\\b'" (id int PRIMARY KEY); INSERT INTO "a\\b'" VALUES (1)""")
        project = source("""table: '"a\\b''"', cursor: id""")
        assert ingested(project).read == 1
    finally:
        sql("ALTER ROLE lake RESET standard_conforming_strings")
