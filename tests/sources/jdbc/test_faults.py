"""What goes wrong says so within seconds, lands nothing and shows no secret; the next run lands all once."""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.cli import main
from lakehouse.config import Project, load_project
from lakehouse.delta import held
from lakehouse.errors import (
    ConfigError,
    ContractError,
    LakehouseError,
    SetupError,
    SourceUnavailableError,
    StorageError,
)
from lakehouse.pipeline import ingest, plan
from lakehouse.sources.jdbc import connection
from lakehouse.sources.jdbc.connection import Login
from tests.bronze.landed import Landed
from tests.sources.jdbc.server import PASSWORD, Postgres
from tests.sources.jdbc.test_incremental import landed_rows
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]
CLOSED = "jdbc:postgresql://127.0.0.1:1/postgres?ApplicationName=hidden-word"


def refused(project: Project) -> LakehouseError:
    """The error of a run that lands nothing; its whole trace holds no secret."""
    started = time.monotonic()
    (result,) = ingest(project).results
    assert result.error is not None
    assert time.monotonic() - started < 20
    told = "".join(traceback.format_exception(result.error)) + repr(project) + repr(result)
    assert PASSWORD not in told and "wr0ng" not in told and "hidden-word" not in told
    return result.error


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"DB_URL": CLOSED}, SourceUnavailableError, "127.0.0.1:1/postgres"),
        ({"DB_PASSWORD": "wr0ng-Pa55"}, ConfigError, "password authentication failed"),
        ({"DB_URL": "jdbc:postgresql://127.0.0.1:{port}/nosuch"}, ConfigError, "nosuch"),
        ({"table": "public.nosuch"}, ConfigError, 'no table "public"."nosuch"'),
        ({"table": "public.t, cursor: updatedat"}, ConfigError, "Did you mean 'updated_at'"),
        ({"table": "public.t, key: idd, cursor: id"}, ConfigError, "sources.t.key"),
        ({"table": "public.t, driver: com.example.Nosuch"}, SetupError, "sources.t.jars"),
        ({"table": "public.nothing"}, ContractError, "no column"),
        ({"table": "public.secret, cursor: id"}, ConfigError, "permission denied"),
    ],
)
def test_mistakes_are_typed(
    source: Make,
    postgres: Postgres,
    sql: Any,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    kind: type[LakehouseError],
    said: str,
) -> None:
    sql("CREATE TABLE t (id int, updated_at timestamptz); CREATE TABLE nothing (); CREATE TABLE secret (id int)")
    if "secret" in change.get("table", ""):
        sql(
            f"DROP ROLE IF EXISTS low; CREATE ROLE low LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA public TO low"
        )
        change = {**change, "DB_URL": f"{postgres.url}?user=low"}
    project = source(f"table: {change.get('table', 'public.t')}")
    for name in change.keys() - {"table"}:
        monkeypatch.setenv(name, change[name].replace("{port}", str(postgres.port)))
    if "secret" in change.get("table", ""):
        base = project.folder / "conf" / "base.yaml"
        base.write_text(base.read_text().replace("user: lake, ", ""))
    error = refused(load_project(project.folder))
    assert type(error) is kind, error
    assert said in str(error)
    assert not project.path("bronze.t").exists()


def killer(postgres: Postgres, which: str, stop: threading.Event) -> int:
    """End the backends that answer to a condition as soon as there is one."""
    while not stop.is_set():
        found = postgres.sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND {which}"
        )
        if found:
            return len(found)
    return 0


@pytest.mark.parametrize("which", ["query LIKE 'SELECT \"c0\"%' AND query NOT LIKE '%1=0'", "query LIKE '%pg_export%'"])
def test_a_backend_that_is_killed(source: Make, postgres: Postgres, sql: Any, which: str) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 30000) i")
    project = source("table: public.t, cursor: id, fetch_size: 1, partitions: 2")
    stop, killed = threading.Event(), [0]

    def kill() -> None:
        killed[0] = killer(postgres, which, stop)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        (result,) = ingest(project).results
    finally:
        stop.set()
        thread.join()
    if "export" not in which:
        assert killed[0] and isinstance(result.error, SourceUnavailableError), result
        assert not project.path("bronze.t").exists()
    if result.error is not None:
        assert isinstance(result.error, SourceUnavailableError), result.error
        sql("INSERT INTO t VALUES (0, 'v')")
        ingested(source("table: public.t, cursor: id, partitions: 2"))
    assert set(landed_rows(project).values()) == {1}
    assert len(landed_rows(project)) == 30000 + (result.error is not None)


@pytest.mark.parametrize("settings", ["", ", cursor: x, key: id, overlap: 3"])
def test_a_value_that_can_not_be_computed_is_no_outage(source: Make, sql: Any, settings: str) -> None:
    """It stays so however often it is tried."""
    sql("CREATE TABLE t (id int); INSERT INTO t VALUES (1), (500)")
    sql("CREATE VIEW w AS SELECT id, 1 / (id - 500) AS x FROM t")
    error = refused(source(f"table: public.w{settings}"))
    assert error.exit_code == 1 and "division by zero" in error.message and "the view" in error.hint


@pytest.mark.parametrize(
    ("state", "said", "kind"),
    [
        ("22023", 'invalid snapshot identifier: "0000000A-0000001B-1"', SourceUnavailableError),
        ("42704", 'snapshot "0000000A-0000001B-1" does not exist', SourceUnavailableError),  # Postgres 17
        ("22023", 'time zone "12345678-1234" not recognized', LakehouseError),
        ("42704", 'type "nosuch" does not exist', ConfigError),
    ],
)
def test_a_snapshot_that_is_gone_is_an_outage(source: Make, state: str, said: str, kind: type[LakehouseError]) -> None:
    login = Login("t", source("table: public.t").config.sources["t"])  # type: ignore[arg-type]
    assert type(connection._typed(login, state, said)) is kind


def test_a_disk_that_fills_is_named(source: Make, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours by what is mounted there; the database's own is an outage."""
    sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    sql("""CREATE FUNCTION grow() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$""")
    sql("CREATE VIEW w AS SELECT grow() AS id")
    assert isinstance(refused(source("table: public.w")), SourceUnavailableError)

    def full(rows: Any) -> Any:
        return held(rows.selectExpr("*", "raise_error('java.io.IOException: No space left on device') AS failing"))

    monkeypatch.setattr("lakehouse.sources.jdbc.reading.held", full)
    for settings in ("", ", cursor: id"):
        error = refused(source(f"table: public.t{settings}"))
        assert isinstance(error, StorageError) and "the disk" in error.message and "is full" in error.message


def test_nothing_is_left_open(source: Make, postgres: Postgres, sql: Any) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    project = source("table: public.t, cursor: id, partitions: 3")
    ingested(project)
    ingested(project)
    sql('ALTER TABLE t ADD "ID" int')
    assert isinstance(refused(project), ContractError)
    others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 20
    while postgres.sql(others) != [["0"]] and time.monotonic() < deadline:
        time.sleep(0.1)  # a backend ends a moment after its connection is closed
    assert postgres.sql(others) == [["0"]]


def test_no_secret_is_shown(
    source: Make, postgres: Postgres, sql: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sql("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a')")
    project = source("table: public.t")
    monkeypatch.setenv("DB_URL", f"{postgres.url}?ApplicationName=hidden-word&password={PASSWORD}")
    project = load_project(project.folder)
    assert plan(project).steps[0].why == f"public.t at 127.0.0.1:{postgres.port}/postgres"
    ingested(project)
    monkeypatch.chdir(project.folder)
    for words in (["show", "source", "t"], ["show", "source", "t", "--json"], ["plan"], ["check"], ["show", "runs"]):
        with pytest.raises(SystemExit):
            main(words) if main.__code__.co_argcount else _run(monkeypatch, words)
    told = capfd.readouterr()
    assert f"127.0.0.1:{postgres.port}/postgres" in told.out
    assert PASSWORD not in told.out + told.err and "hidden-word" not in told.out + told.err
    stored = b"".join(file.read_bytes() for file in project.folder.rglob("*") if file.is_file())
    assert PASSWORD.encode() not in stored and b"hidden-word" not in stored


def _run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["lakehouse", *words])
    raise SystemExit(main())


def test_into_silver_by_sequence(source: Make, sql: Any) -> None:
    """Each change lands; silver has each row as it is at the source."""
    from lakehouse.pipeline import build

    sql("CREATE TABLE t (id int PRIMARY KEY, v text, updated_at timestamptz DEFAULT clock_timestamp())")
    tables = '''
from lakehouse import silver
from pyspark.sql import functions as F


@silver.table(key=["id"], sequence_by="updated_at")
def rows(bronze_t):
    """The table as it is at its source."""
    return bronze_t.select("id", "v", F.col("updated_at").cast("timestamp").alias("updated_at"))
'''
    project = source("table: public.t, cursor: updated_at", tables)
    for change in (
        "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i",
        "UPDATE t SET v = 'w', updated_at = now()",
    ):
        sql(change)
        ingested(project)
        report = build(project)
        assert [result.error for result in report.results] == [None]
    import pyarrow as pa
    from deltalake import DeltaTable

    rows = pa.table(DeltaTable(str(project.path("silver.rows"))).scan()).to_pylist()
    assert Counter((str(row["id"]), row["v"]) for row in rows) == Counter(map(tuple, sql("SELECT id, v FROM t")))
    assert len(Landed(project, "t").kinds["record"]) == 18
