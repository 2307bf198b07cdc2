"""Settings of a Spark session for as long as it takes to make something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_DATA = {"spark.sql.execution.arrow.localRelationThreshold": "0"}
"""Arrow tables become data, not a part of the plan, which Spark would copy row by row each time it looks at it."""
IN_UTC = {"spark.sql.session.timeZone": "UTC"}
"""SQL that is made a frame of means UTC, then and whenever the frame is computed."""


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """The session with these settings."""
    before = {name: spark.conf.get(name, None) for name in values}
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)
