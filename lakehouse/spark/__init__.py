"""Open a Spark session: Java found or supplied, jars pinned and fetched once, settings for fast local runs."""

from lakehouse.spark.jars import fetch_jars, jars_folder, missing_jars
from lakehouse.spark.java import Java, find_java
from lakehouse.spark.properties import environment, properties, properties_file
from lakehouse.spark.session import java_has_ended, open_session

__all__ = [
    "Java",
    "environment",
    "fetch_jars",
    "find_java",
    "jars_folder",
    "java_has_ended",
    "missing_jars",
    "open_session",
    "properties",
    "properties_file",
]
