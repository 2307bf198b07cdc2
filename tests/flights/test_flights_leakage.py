"""No gold row knows more than the world did at its ``as_of``. Two proofs that share no code with the tables."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.flights import gold, silver
from jobs.flights.stage import stage
from lakehouse.tables.definition import Table

FROM_FLIGHTS = [gold.carrier_delay, gold.route_delay, gold.origin_congestion, gold.aircraft_arrival]


@pytest.fixture(scope="module")
def flights(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """A month of silver.flights."""
    folder = tmp_path_factory.mktemp("leakage")
    stage(folder / "raw", date(2026, 11, 19), months=1)
    silver.flights(spark.read.option("header", True).csv(str(folder / "raw/flights/*.csv"))).write.parquet(
        str(folder / "s")
    )
    return spark.read.parquet(str(folder / "s"))


@pytest.mark.parametrize("moment", [datetime(2025, 11, 29, 14), datetime(2025, 12, 8, 23)])
@pytest.mark.parametrize("table", FROM_FLIGHTS, ids=lambda table: table.name)
def test_what_happens_after_a_moment_changes_no_row_before_it(
    flights: DataFrame, table: Table, moment: datetime
) -> None:
    """The tables are built once more in a world that ends at the moment: all that it knows is the timetable."""
    then = F.lit(moment)
    landed, left = F.col("arrived_at") <= then, F.col("departed_at") <= then
    cut = flights.withColumns(
        {name: F.when(landed, F.col(name)) for name in ("arr_delay", "air_time", "arrived_at")}
        | {name: F.when(left, F.col(name)) for name in ("dep_delay", "departed_at")}
    )
    last = cut.agg(F.max("arrived_at")).first()
    assert last is not None
    end = last[0] if table.name in ("carrier_delay", "route_delay") else moment
    whole = table(flights).where(F.col("as_of") <= F.lit(end)).toPandas()
    known = table(cut).where(F.col("as_of") <= F.lit(end)).toPandas()
    keys = list(table.key)
    assert len(whole) > 100
    assert whole.sort_values(keys, ignore_index=True).equals(known.sort_values(keys, ignore_index=True))


def oracle(query: str, flights: DataFrame, rows: DataFrame) -> list[tuple[object, ...]]:
    connection = duckdb.connect()
    connection.register("flights", flights.selectExpr("*", "INT(arr_delay > 15) AS late").toPandas())
    connection.register("rows", rows.toPandas())
    return connection.sql(query).fetchall()


def test_carrier_delay_by_brute_force(flights: DataFrame) -> None:
    wrong = oracle(
        """
        SELECT r.carrier, r.as_of FROM (SELECT * FROM rows USING SAMPLE reservoir(400 ROWS) REPEATABLE (1)) r
        LEFT JOIN flights f ON f.carrier = r.carrier AND f.arrived_at < r.as_of
             AND f.arrived_at >= r.as_of - INTERVAL 7 DAY
        GROUP BY ALL
        HAVING min(r.arrivals_3h) != count(*) FILTER (f.arrived_at >= r.as_of - INTERVAL 3 HOUR)
            OR min(r.mean_delay_1d) IS DISTINCT FROM avg(f.arr_delay) FILTER (f.arrived_at >= r.as_of - INTERVAL 1 DAY)
            OR min(r.late_share_7d) IS DISTINCT FROM avg(f.late) FILTER (f.arrived_at IS NOT NULL)
        """,
        flights,
        gold.carrier_delay(flights),
    )
    assert wrong == []


def test_route_delay_by_brute_force(flights: DataFrame) -> None:
    wrong = oracle(
        """
        SELECT r.origin, r.dest, r.as_of FROM (SELECT * FROM rows USING SAMPLE reservoir(400 ROWS) REPEATABLE (1)) r
        LEFT JOIN flights f ON f.origin = r.origin AND f.dest = r.dest AND f.arrived_at < r.as_of
             AND f.arrived_at >= r.as_of - INTERVAL 28 DAY
        GROUP BY ALL
        HAVING min(r.arrivals_14d) != count(*) FILTER (f.arrived_at >= r.as_of - INTERVAL 14 DAY)
            OR min(r.mean_delay_14d)
               IS DISTINCT FROM avg(f.arr_delay) FILTER (f.arrived_at >= r.as_of - INTERVAL 14 DAY)
            OR min(r.late_share_28d) IS DISTINCT FROM avg(f.late) FILTER (f.arrived_at IS NOT NULL)
        """,
        flights,
        gold.route_delay(flights),
    )
    assert wrong == []


def test_origin_congestion_by_brute_force(flights: DataFrame) -> None:
    wrong = oracle(
        """
        SELECT r.origin, r.as_of FROM (SELECT * FROM rows USING SAMPLE reservoir(300 ROWS) REPEATABLE (1)) r
        JOIN flights f ON f.origin = r.origin
             AND f.scheduled_at BETWEEN r.as_of - INTERVAL 40 HOUR AND r.as_of + INTERVAL 40 HOUR
        GROUP BY ALL
        HAVING min(r.departures_due) != count(*) FILTER (date_trunc('hour', f.scheduled_at) = r.as_of)
            OR min(r.mean_dep_delay_2h) IS DISTINCT FROM
               avg(f.dep_delay) FILTER (f.departed_at < r.as_of AND f.departed_at >= r.as_of - INTERVAL 2 HOUR)
            OR min(r.overdue_3h) != count(*) FILTER (f.scheduled_at < r.as_of
               AND f.scheduled_at >= r.as_of - INTERVAL 3 HOUR AND (f.departed_at IS NULL OR f.departed_at >= r.as_of))
        """,
        flights,
        gold.origin_congestion(flights),
    )
    assert wrong == []


def test_the_last_landing_by_brute_force(flights: DataFrame) -> None:
    wrong = oracle(
        """
        SELECT r.tailnum, r.as_of FROM rows r ANTI JOIN flights f
        ON f.tailnum = r.tailnum AND f.arrived_at = r.as_of AND f.arr_delay = r.last_arr_delay AND f.dest = r.last_dest
        """,
        flights,
        gold.aircraft_arrival(flights),
    )
    assert wrong == []


def test_no_row_is_of_the_future(flights: DataFrame) -> None:
    end = flights.agg(F.max(F.greatest("arrived_at", "scheduled_at"))).first()
    assert end is not None and end[0] < datetime(2025, 12, 20) + timedelta(days=1)
    for table in FROM_FLIGHTS:
        last = table(flights).agg(F.max("as_of")).first()
        assert last is not None and last[0] <= end[0]


def test_a_label_is_no_feature(tmp_path: Path) -> None:
    assert gold.departures.at is None
