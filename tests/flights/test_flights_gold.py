"""Each gold table on a handful of rows, where every value can be told by eye."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from jobs.flights import gold

COLUMNS = (
    "scheduled_at timestamp, carrier string, flight int, origin string, dest string, tailnum string, distance int, "
    "dep_delay int, arr_delay int, air_time int, departed_at timestamp, arrived_at timestamp"
)


def at(moment: str) -> datetime:
    """A moment of January 2026: "2 14:30" is the 2nd at half past two, UTC."""
    day, clock = moment.split()
    hour, minute = clock.split(":")
    return datetime(2026, 1, int(day), int(hour), int(minute))


def flights(spark: SparkSession, *rows: dict[str, Any]) -> DataFrame:
    names = [column.split()[0] for column in COLUMNS.split(", ")]
    plain = {"carrier": "UA", "flight": 1, "origin": "EWR", "dest": "BOS", "tailnum": "N1", "distance": 200}
    return spark.createDataFrame([tuple({**plain, **row}.get(name) for name in names) for row in rows], COLUMNS)


def landed(scheduled: str, arrived: str, delay: int, **more: Any) -> dict[str, Any]:
    return {
        "scheduled_at": at(scheduled),
        "departed_at": at(scheduled),
        "dep_delay": 0,
        "arrived_at": at(arrived),
        "arr_delay": delay,
        **more,
    }


def test_departures_are_late_after_fifteen_minutes(spark: SparkSession) -> None:
    given = flights(
        spark, landed("1 10:00", "1 11:15", 15), landed("1 11:00", "1 12:16", 16), {"scheduled_at": at("1 12:00")}
    )
    assert [row.late for row in gold.departures(given).orderBy("scheduled_at").collect()] == [0, 1, None]


def test_a_landing_counts_from_the_next_full_hour(spark: SparkSession) -> None:
    given = flights(
        spark,
        landed("1 10:00", "1 11:00", 30),  # lands on the hour: known to the row of 12:00, not to that of 11:00
        landed("1 10:10", "1 11:59", 10, flight=2),
        landed("1 10:20", "1 14:20", -5, carrier="DL"),  # keeps the hours going: it is over at 14:00
        {"scheduled_at": at("1 10:30"), "flight": 3},  # cancelled: never counts
    )
    columns = "carrier string, as_of timestamp, arrivals_3h bigint, mean_delay_3h double, arrivals_1d bigint, "
    columns += "mean_delay_1d double, late_share_1d double, late_share_7d double"
    expected = spark.createDataFrame(
        [("UA", at(f"1 {hour}:00"), 2, 20.0, 2, 20.0, 0.5, 0.5) for hour in (12, 13, 14)], columns
    )
    assert_df_equality(gold.carrier_delay(given), expected, ignore_nullable=True, ignore_row_order=True)


def test_old_landings_leave_the_windows(spark: SparkSession) -> None:
    given = flights(spark, landed("1 10:00", "1 11:30", 30), landed("9 10:00", "9 14:00", 0, carrier="DL"))
    rows = {row.as_of: row for row in gold.carrier_delay(given).collect()}
    assert len(rows) == 8 * 24 + 3
    assert (rows[at("1 14:00")].arrivals_3h, rows[at("1 15:00")].arrivals_3h) == (1, 0)
    assert rows[at("1 15:00")].mean_delay_3h is None
    assert (rows[at("2 11:00")].arrivals_1d, rows[at("2 12:00")].arrivals_1d) == (1, 0)
    assert (rows[at("8 11:00")].late_share_7d, rows[at("8 12:00")].late_share_7d) == (1.0, None)


def test_a_route_is_known_at_midnight(spark: SparkSession) -> None:
    given = flights(
        spark,
        landed("1 10:00", "1 11:00", 30),
        landed("2 22:00", "3 00:00", 20),
        landed("4 01:00", "4 02:00", 0, dest="ORD"),
    )
    columns = "origin string, dest string, as_of timestamp, arrivals_14d bigint, mean_delay_14d double, "
    columns += "late_share_14d double, late_share_28d double"
    expected = spark.createDataFrame(
        [
            ("EWR", "BOS", at("2 0:00"), 1, 30.0, 1.0, 1.0),
            ("EWR", "BOS", at("3 0:00"), 1, 30.0, 1.0, 1.0),  # what landed at midnight is not known at midnight
            ("EWR", "BOS", at("4 0:00"), 2, 25.0, 1.0, 1.0),
        ],
        columns,
    )
    assert_df_equality(gold.route_delay(given), expected, ignore_nullable=True, ignore_row_order=True)


def test_an_origin_counts_what_is_due_what_left_and_what_did_not(spark: SparkSession) -> None:
    given = flights(
        spark,
        {"scheduled_at": at("1 10:00"), "departed_at": at("1 10:50"), "dep_delay": 50},
        {"scheduled_at": at("1 10:05"), "departed_at": at("1 12:00"), "dep_delay": 115},
        {"scheduled_at": at("1 11:30"), "flight": 9},  # cancelled, which nobody knows: it has not left
        {"scheduled_at": at("1 12:40"), "departed_at": at("1 12:30"), "dep_delay": -10},
        {"scheduled_at": at("1 15:40")},
    )
    columns = "origin string, as_of timestamp, departures_due bigint, departures_2h bigint, "
    columns += "mean_dep_delay_2h double, overdue_3h bigint"
    expected = spark.createDataFrame(
        [
            ("EWR", at("1 10:00"), 2, 0, None, 0),
            ("EWR", at("1 11:00"), 1, 1, 50.0, 1),
            ("EWR", at("1 12:00"), 1, 1, 50.0, 2),  # it leaves on the hour: not gone before it
            ("EWR", at("1 15:00"), 1, 0, None, 0),
        ],
        columns,
    )
    got = gold.origin_congestion(given)
    assert_df_equality(
        got.where("as_of != '2026-01-01 15:00'"),
        expected.where("as_of != '2026-01-01 15:00'"),
        ignore_nullable=True,
        ignore_row_order=True,
    )
    last = got.where("as_of = '2026-01-01 15:00'").first()
    assert last is not None and (last.departures_due, last.departures_2h, last.overdue_3h) == (1, 0, 0)


def test_an_aircraft_is_where_it_landed_last(spark: SparkSession) -> None:
    given = flights(
        spark,
        landed("1 10:00", "1 12:00", 5, dest="BOS"),
        landed("1 11:00", "1 12:00", 7, dest="ORD"),  # two landings in one minute: the one that was due later
        landed("1 10:00", "1 13:00", 9, tailnum=None, flight=2),
        {"scheduled_at": at("1 14:00"), "departed_at": at("1 14:00")},
    )
    columns = "tailnum string, as_of timestamp, last_dest string, last_arr_delay int, last_dep_delay int"
    expected = spark.createDataFrame([("N1", at("1 12:00"), "ORD", 7, 0)], columns)
    assert_df_equality(gold.aircraft_arrival(given), expected, ignore_nullable=True)


def test_an_aircraft_is_older_at_new_year(spark: SparkSession) -> None:
    planes = spark.createDataFrame(
        [("N1", 2020, 150, 2), ("N2", 2026, 50, 2), ("N3", None, 4, 1)],
        "tailnum string, made int, seats int, engines int",
    )
    given = flights(
        spark,
        landed("1 10:00", "1 12:00", 0),
        {"scheduled_at": datetime(2025, 12, 31, 10)},
        {"scheduled_at": datetime(2027, 1, 1)},
    )
    got = [tuple(row) for row in gold.aircraft(planes, given).orderBy("tailnum", "as_of").collect()]
    years = [datetime(year, 1, 1) for year in (2025, 2026, 2027)]
    expected: list[tuple[Any, ...]] = [("N1", year, age, 150, 2) for year, age in zip(years, (5, 6, 7), strict=True)]
    expected += [("N2", years[2], 1, 50, 2)] + [("N3", year, None, 4, 1) for year in years]
    assert got == expected


def test_the_weather_of_an_hour_is_known_when_it_is_over(spark: SparkSession) -> None:
    measured = "wind_speed double, wind_gust double, precipitation double, pressure double, visibility double"
    given = spark.createDataFrame(
        [("EWR", at("1 10:00"), 39.0, 26.0, 59.0, 270, 10.0, None, 0.0, 1012.0, 10.0)],
        "origin string, observed_at timestamp, temperature double, dew_point double, humidity double, "
        f"wind_direction int, {measured}",
    )
    expected = spark.createDataFrame(
        [("EWR", at("1 11:00"), 39.0, 59.0, 10.0, 10.0, 0.0, 1012.0, 10.0)],
        f"origin string, as_of timestamp, temperature double, humidity double, {measured}",
    )
    assert_df_equality(gold.origin_weather(given), expected, ignore_nullable=True)
