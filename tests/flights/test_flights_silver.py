"""A table's test is a function call: rows in, rows out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from jobs.flights import silver
from jobs.flights.stage import stage
from lakehouse.tables.definition import Table

FLIGHTS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,"
    "dest,air_time,distance,hour,minute,time_hour"
)
COLUMNS = (
    "scheduled_at timestamp, carrier string, flight int, origin string, dest string, tailnum string, distance int, "
    "dep_delay int, arr_delay int, air_time int, departed_at timestamp, arrived_at timestamp"
)


def text(spark: SparkSession, header: str, *lines: str) -> DataFrame:
    """Rows as bronze has them: every column is text."""
    names = header.split(",")
    return spark.createDataFrame([tuple(line.split(",")) for line in lines], ", ".join(f"{n} string" for n in names))


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def test_a_flight_lands_at_its_schedule_and_its_delay(spark: SparkSession) -> None:
    given = text(
        spark,
        FLIGHTS,
        # Newark to Houston, one zone to the west: gate to gate 4 h 13 min.
        "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z",
        # To Los Angeles over midnight, two hours late: the clocks alone say 20:00 to 1:13.
        "2013,1,1,2000,1800,120,13,2113,180,UA,7,N1,EWR,LAX,366,2454,18,0,2013-01-01T23:00:00Z",
        # An hour and a half on the taxiway: the arrival says so, the air time does not.
        "2013,1,1,900,900,0,1130,1010,80,US,2,N2,LGA,DCA,45,214,9,0,2013-01-01T14:00:00Z",
    )
    expected = spark.createDataFrame(
        [
            (
                at("2013-01-01 10:15"),
                "UA",
                1545,
                "EWR",
                "IAH",
                "N14228",
                1400,
                2,
                11,
                227,
                at("2013-01-01 10:17"),
                at("2013-01-01 14:30"),
            ),
            (
                at("2013-01-01 23:00"),
                "UA",
                7,
                "EWR",
                "LAX",
                "N1",
                2454,
                120,
                180,
                366,
                at("2013-01-02 01:00"),
                at("2013-01-02 08:13"),
            ),
            (
                at("2013-01-01 14:00"),
                "US",
                2,
                "LGA",
                "DCA",
                "N2",
                214,
                0,
                80,
                45,
                at("2013-01-01 14:00"),
                at("2013-01-01 16:30"),
            ),
        ],
        COLUMNS,
    )
    assert_df_equality(silver.flights(given), expected, ignore_nullable=True)


def test_what_did_not_happen_is_null(spark: SparkSession) -> None:
    given = text(
        spark,
        FLIGHTS,
        "2013,1,1,NA,1630,NA,NA,1815,NA,EV,4308,NA,EWR,RDU,NA,416,16,30,2013-01-01T21:00:00Z",  # cancelled
        "2013,1,1,1525,1530,-5,1934,1805,NA,MQ,4525,N719MQ,LGA,XNA,NA,1147,15,30,2013-01-01T20:00:00Z",  # diverted
        "2013,1,1,junk,600,junk,junk,700,junk,XX,1,N1,LGA,XNA,junk,1147,6,0,not a time",
    )
    expected = spark.createDataFrame(
        [
            (at("2013-01-01 21:30"), "EV", 4308, "EWR", "RDU", None, 416, None, None, None, None, None),
            (
                at("2013-01-01 20:30"),
                "MQ",
                4525,
                "LGA",
                "XNA",
                "N719MQ",
                1147,
                -5,
                None,
                None,
                at("2013-01-01 20:25"),
                None,
            ),
            (None, "XX", 1, "LGA", "XNA", "N1", 1147, None, None, None, None, None),
        ],
        COLUMNS,
    )
    assert_df_equality(silver.flights(given), expected, ignore_nullable=True)


def test_weather(spark: SparkSession) -> None:
    header = "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour"
    given = text(spark, header, "EWR,2013,1,1,1,39.02,26.06,59.37,NA,10.357,NA,0,1012,10,2013-01-01T06:00:00Z")
    row = silver.weather(given).first()
    assert row is not None and row.asDict() == {
        "origin": "EWR",
        "observed_at": datetime(2013, 1, 1, 6),
        "temperature": 39.02,
        "dew_point": 26.06,
        "humidity": 59.37,
        "wind_direction": None,
        "wind_speed": 10.357,
        "wind_gust": None,
        "precipitation": 0.0,
        "pressure": 1012.0,
        "visibility": 10.0,
    }


def test_planes_of_an_unknown_year(spark: SparkSession) -> None:
    header = "tailnum,year,type,manufacturer,model,engines,seats,speed,engine"
    given = text(spark, header, *(f"N{y},{y},Fixed,BOEING,737,2,149,NA,Turbo-fan" for y in ("2004", "NA", "0")))
    expected = spark.createDataFrame([("N2004", 2004), ("NNA", None), ("N0", None)], "tailnum string, made int")
    assert_df_equality(silver.planes(given).select("tailnum", "made"), expected, ignore_nullable=True)


def test_airports_and_airlines(spark: SparkSession) -> None:
    airports = text(spark, "faa,name,lat,lon,alt,tz,dst,tzone", "JFK,Kennedy,40.6,-73.7,13,-5,A,America/New_York")
    columns = "faa string, name string, lat double, lon double, altitude int, utc_offset int, time_zone string"
    expected = spark.createDataFrame([("JFK", "Kennedy", 40.6, -73.7, 13, -5, "America/New_York")], columns)
    assert_df_equality(silver.airports(airports), expected, ignore_nullable=True)
    airlines = text(spark, "carrier,name", "NA,Nobody", "UA,United Air Lines Inc.")
    expected = spark.createDataFrame([(None, "Nobody"), ("UA", "United Air Lines Inc.")], "carrier string, name string")
    assert_df_equality(silver.airlines(airlines), expected, ignore_nullable=True)


def test_arrivals_are_honest(spark: SparkSession, tmp_path: Path) -> None:
    """Against each destination's time zone, which silver does not have: a month of flights in their original year."""
    stage(tmp_path, date(2013, 12, 31), months=1)
    computed = silver.flights(spark.read.option("header", True).csv(str(tmp_path / "flights/*.csv")))
    landed = (
        computed.where("arrived_at is not null")
        .select("scheduled_at", "dest", "arr_delay", "arrived_at", "flight", "carrier", "origin")
        .toPandas()
    )
    raw = duckdb.sql(f"SELECT * FROM read_csv('{tmp_path}/flights/*.csv', nullstr='NA', all_varchar=true)").df()
    zones = dict(duckdb.sql(f"SELECT faa, tzone FROM '{tmp_path}/airports.csv'").fetchall())
    schedule = {
        (r.time_hour[:13], int(r.minute), r.carrier, int(r.flight), r.origin): int(r.sched_arr_time)
        for r in raw.itertuples()
    }
    early = late = 0
    for row in landed.itertuples():
        scheduled = row.scheduled_at.to_pydatetime().replace(tzinfo=UTC)
        key = (f"{scheduled:%Y-%m-%dT%H}", scheduled.minute, row.carrier, row.flight, row.origin)
        assert key in schedule, "a time of the schedule moved"
        clock = schedule[key]
        local = scheduled.astimezone(ZoneInfo(zones.get(row.dest, "America/Puerto_Rico")))
        wall = (clock // 100 * 60 + clock % 100) - (local.hour * 60 + local.minute)
        arrived = scheduled.timestamp() + (wall % 1440 + row.arr_delay) * 60
        difference = row.arrived_at.replace(tzinfo=UTC).timestamp() - arrived
        assert difference in (-3600, 0, 3600)
        early += difference < 0
        late += difference > 0
    assert len(landed) > 26_000
    assert early / len(landed) < 0.001, "known too early is a leak"
    assert late / len(landed) < 0.03


@pytest.mark.parametrize("table", [silver.flights, silver.weather, silver.planes, silver.airports, silver.airlines])
def test_a_silver_table_has_one_input_and_a_key(table: Table) -> None:
    assert table.inputs == (f"bronze.{table.name}",) and table.key and table.doc
