"""Gold: what is known about a flight when it is about to leave, and whether it came late.

``as_of`` is the moment from which a row's values were known. That is the whole defence against leakage: a flight's
delay counts from its landing (``arrived_at``), not from the hour in which it was due to leave. Sums are of whole
minutes, divided once, so that a value does not depend on the order of its rows. A window is the difference of two
running totals, which for whole numbers is exact, and much faster than Spark's sliding frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse import gold
from lakehouse.quality import in_range, references

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LATE_MINUTES = 15
"""A flight is late when it arrives more than this many minutes after its schedule."""


@gold.table(
    key=["scheduled_at", "carrier", "flight", "origin"],
    expect=[references("dest", "silver.airports", "faa", on_fail="warn")],  # those of Puerto Rico are not in the list
)
def departures(silver_flights: DataFrame) -> DataFrame:
    """One row per scheduled departure: the keys to look features up with, and the label ``late``.

    ``late`` is null for a flight that was cancelled or diverted. There is no ``as_of``: a label is the answer, not a
    feature, and without it no feature view can be made of it.
    """
    return silver_flights.sparkSession.sql(
        """
        SELECT scheduled_at, carrier, flight, origin, dest, tailnum, distance, arr_delay, departed_at, arrived_at,
               CAST(arr_delay > {late} AS INT) AS late
        FROM {flights}
        """,
        flights=silver_flights,
        late=LATE_MINUTES,
    )


# Known at the full hour: it takes the landings before that hour, none of the hour itself.
@gold.table(
    key=["carrier", "as_of"],
    at="as_of",
    expect=[
        in_range("late_share_1d", 0, 1, on_fail="fail"),
        references("carrier", "silver.airlines", "carrier", on_fail="fail"),
    ],
)
def carrier_delay(silver_flights: DataFrame) -> DataFrame:
    """Each hour, a carrier's landings of the last 3 hours, day and 7 days: how many, mean delay (minutes), share late.

    An hour without landings has its row too, so that old delays leave the windows. The last hour is the last
    one that is over, told by the last landing of all: no row is of the future.
    """
    return silver_flights.sparkSession.sql(
        """
        WITH landed AS (
          SELECT carrier, CAST(unix_timestamp(arrived_at) DIV 3600 + 1 AS BIGINT) AS hour,
                 COUNT(*) AS n, SUM(arr_delay) AS delay, COUNT_IF(arr_delay > {late}) AS late
          FROM {flights} WHERE arrived_at IS NOT NULL GROUP BY 1, 2
        ), span AS (
          SELECT carrier, MIN(hour) AS first, MAX(MAX(hour)) OVER () - 1 AS last FROM landed GROUP BY carrier
        ), hours AS (
          SELECT carrier, EXPLODE(SEQUENCE(first, last)) AS hour FROM span WHERE first <= last
        ), totals AS (
          SELECT carrier, hour,
                 SUM(COALESCE(n, 0)) OVER so_far AS n, SUM(COALESCE(delay, 0)) OVER so_far AS delay,
                 SUM(COALESCE(late, 0)) OVER so_far AS late
          FROM hours LEFT JOIN landed USING (carrier, hour)
          WINDOW so_far AS (PARTITION BY carrier ORDER BY hour)
        ), windows AS (
          SELECT carrier, hour,
                 n - LAG(n, 3, 0) OVER hourly AS n_3h, delay - LAG(delay, 3, 0) OVER hourly AS delay_3h,
                 n - LAG(n, 24, 0) OVER hourly AS n_1d, delay - LAG(delay, 24, 0) OVER hourly AS delay_1d,
                 late - LAG(late, 24, 0) OVER hourly AS late_1d,
                 n - LAG(n, 168, 0) OVER hourly AS n_7d, late - LAG(late, 168, 0) OVER hourly AS late_7d
          FROM totals WINDOW hourly AS (PARTITION BY carrier ORDER BY hour)
        )
        SELECT carrier, TIMESTAMP_SECONDS(hour * 3600) AS as_of,
               n_3h AS arrivals_3h, delay_3h / NULLIF(n_3h, 0) AS mean_delay_3h,
               n_1d AS arrivals_1d, delay_1d / NULLIF(n_1d, 0) AS mean_delay_1d,
               late_1d / NULLIF(n_1d, 0) AS late_share_1d, late_7d / NULLIF(n_7d, 0) AS late_share_7d
        FROM windows
        """,
        flights=silver_flights,
        late=LATE_MINUTES,
    )


# As known at any moment: a landing counts from its minute on. Nothing has to be computed as time passes.
origin_departures = gold.windows(
    of="silver.flights",
    entity="origin",
    at="departed_at",
    features=[
        gold.count(over=["1h", "1d"]),
        gold.mean("dep_delay", over=["1h", "1d", "7d"]),
        gold.rate(f"dep_delay > {LATE_MINUTES}", over=["1h", "1d", "28d"]),
        gold.max("dep_delay", over="1h"),
        gold.variance("dep_delay", over="7d"),
        gold.last("carrier"),
        gold.last_n("dest", 5, over="1d"),
    ],
    doc="An origin's departures in the hour, the days and the weeks before any moment: how many, how late, whereto.",
)


# Known at midnight UTC: it takes the landings before that day; the recent hours are for the other tables.
@gold.table(key=["origin", "dest", "as_of"], at="as_of")
def route_delay(silver_flights: DataFrame) -> DataFrame:
    """A route's landings of the last 14 and 28 days, at each midnight: how many, mean delay (minutes), share late."""
    return silver_flights.sparkSession.sql(
        """
        WITH landed AS (
          SELECT origin, dest, CAST(unix_timestamp(arrived_at) DIV 86400 + 1 AS BIGINT) AS day,
                 COUNT(*) AS n, SUM(arr_delay) AS delay, COUNT_IF(arr_delay > {late}) AS late
          FROM {flights} WHERE arrived_at IS NOT NULL GROUP BY 1, 2, 3
        ), span AS (
          SELECT origin, dest, MIN(day) AS first, MAX(MAX(day)) OVER () - 1 AS last FROM landed GROUP BY origin, dest
        ), days AS (
          SELECT origin, dest, EXPLODE(SEQUENCE(first, last)) AS day FROM span WHERE first <= last
        ), totals AS (
          SELECT origin, dest, day,
                 SUM(COALESCE(n, 0)) OVER so_far AS n, SUM(COALESCE(delay, 0)) OVER so_far AS delay,
                 SUM(COALESCE(late, 0)) OVER so_far AS late
          FROM days LEFT JOIN landed USING (origin, dest, day)
          WINDOW so_far AS (PARTITION BY origin, dest ORDER BY day)
        ), windows AS (
          SELECT origin, dest, day,
                 n - LAG(n, 14, 0) OVER daily AS n_14d, delay - LAG(delay, 14, 0) OVER daily AS delay_14d,
                 late - LAG(late, 14, 0) OVER daily AS late_14d,
                 n - LAG(n, 28, 0) OVER daily AS n_28d, late - LAG(late, 28, 0) OVER daily AS late_28d
          FROM totals WINDOW daily AS (PARTITION BY origin, dest ORDER BY day)
        )
        SELECT origin, dest, TIMESTAMP_SECONDS(day * 86400) AS as_of,
               n_14d AS arrivals_14d, delay_14d / NULLIF(n_14d, 0) AS mean_delay_14d,
               late_14d / NULLIF(n_14d, 0) AS late_share_14d, late_28d / NULLIF(n_28d, 0) AS late_share_28d
        FROM windows
        """,
        flights=silver_flights,
        late=LATE_MINUTES,
    )


# Known at the full hour: the timetable is known long before, a departure's delay once it has left, and that a flight is
# overdue once its time has passed. So a cancelled flight counts as overdue; that it was cancelled is not used.
@gold.table(key=["origin", "as_of"], at="as_of")
def origin_congestion(silver_flights: DataFrame) -> DataFrame:
    """An origin's hours in which a departure is due: how many; how many left in the 2 hours before,
    with what mean delay (minutes); how many were due in the 3 hours before and had not left."""
    return silver_flights.sparkSession.sql(
        """
        WITH clocks AS (
          SELECT origin, dep_delay, unix_timestamp(scheduled_at) AS due, unix_timestamp(departed_at) AS gone
          FROM {flights}
        ), events AS (
          SELECT origin, due DIV 3600 AS hour, 1 AS due, 0 AS gone, 0 AS delay, 0 AS overdue FROM clocks
          UNION ALL
          SELECT origin, EXPLODE(SEQUENCE(gone DIV 3600 + 1, gone DIV 3600 + 2)), 0, 1, dep_delay, 0
          FROM clocks WHERE gone IS NOT NULL
          UNION ALL
          SELECT origin, hour, 0, 0, 0, 1
          FROM clocks LATERAL VIEW EXPLODE(SEQUENCE(due DIV 3600 + 1, due DIV 3600 + 3)) AS hour
          WHERE gone IS NULL OR gone >= hour * 3600
        ), hours AS (
          SELECT origin, hour, SUM(due) AS due, SUM(gone) AS gone, SUM(delay) AS delay, SUM(overdue) AS overdue
          FROM events GROUP BY origin, hour HAVING SUM(due) > 0
        )
        SELECT origin, TIMESTAMP_SECONDS(hour * 3600) AS as_of, due AS departures_due, gone AS departures_2h,
               delay / NULLIF(gone, 0) AS mean_dep_delay_2h, overdue AS overdue_3h
        FROM hours
        """,
        flights=silver_flights,
    )


# Known once it has landed. The way back to New York is not in the data, so this is its last landing elsewhere.
@gold.table(key=["tailnum", "as_of"], at="as_of")
def aircraft_arrival(silver_flights: DataFrame) -> DataFrame:
    """One row per landing of an aircraft: where it landed, and its delays there and at departure (minutes)."""
    return silver_flights.sparkSession.sql(
        """
        SELECT tailnum, as_of, last.dest AS last_dest,
               last.arr_delay AS last_arr_delay, last.dep_delay AS last_dep_delay
        FROM (
          SELECT tailnum, arrived_at AS as_of,
                 MAX(STRUCT(scheduled_at, carrier, flight, origin, dest, arr_delay, dep_delay)) AS last
          FROM {flights} WHERE tailnum IS NOT NULL AND arrived_at IS NOT NULL GROUP BY tailnum, arrived_at
        )
        """,
        flights=silver_flights,
    )


# Known at each new year: only the year of manufacture is known, so the age is whole years and changes on that day.
@gold.table(key=["tailnum", "as_of"], at="as_of", expect=[in_range("age_years", 1, 100, on_fail="warn")])
def aircraft(silver_planes: DataFrame, silver_flights: DataFrame) -> DataFrame:
    """One row per aircraft and new year from the one after it was made: its age in whole years, seats, engines.

    The years are those in which flights were scheduled. An aircraft made in an unknown year has rows without an age.
    """
    return silver_planes.sparkSession.sql(
        """
        WITH years AS (
          SELECT EXPLODE(SEQUENCE(MIN(YEAR(scheduled_at)), MAX(YEAR(scheduled_at)))) AS year FROM {flights}
        )
        SELECT tailnum, CAST(MAKE_DATE(year, 1, 1) AS TIMESTAMP) AS as_of, year - made AS age_years, seats, engines
        FROM {planes} CROSS JOIN years WHERE made IS NULL OR made < year
        """,
        planes=silver_planes,
        flights=silver_flights,
    )


# An hour's row is the last observation within it, up to 51 minutes past, and its rain is the whole hour's: it is known
# when the hour is over.
@gold.table(key=["origin", "as_of"], at="as_of")
def origin_weather(silver_weather: DataFrame) -> DataFrame:
    """The weather at an origin, each hour; a gust that was not reported is the wind itself."""
    return silver_weather.sparkSession.sql(
        """
        SELECT origin, observed_at + INTERVAL 1 HOUR AS as_of, temperature, humidity, wind_speed,
               COALESCE(wind_gust, wind_speed) AS wind_gust, precipitation, pressure, visibility
        FROM {weather}
        """,
        weather=silver_weather,
    )
