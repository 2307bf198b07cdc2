"""The settings of Spark as one properties file an environment, used by our sessions and by ``spark-submit`` alike."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lakehouse.config import JdbcSource, Project
from lakehouse.errors import ConfigError
from lakehouse.spark.archive import archive_file
from lakehouse.spark.jars import JARS, jars_folder, spark_home
from lakehouse.spark.java import find_java

CUT_BY_ROWS = {"spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1)}
"""Batches for Python are cut by their rows only. Spark's own choice adds up the bytes of a batch after each row, a
third of what a training set costs; a project whose Python functions see rows of 50 kB or more sets its own."""
LOGGING = Path(__file__).with_name("log4j2.properties")


def properties(project: Project) -> dict[str, str]:
    """Every Spark property of the project in its environment, those of conf/ included.

    Raises ConfigError when conf/ sets one that the engine relies on.
    """
    settings = project.config.spark
    ours = _needed(project) | (_short_local_runs() if settings.profile == "local" else {})
    clashes = sorted(ours.keys() & settings.properties.keys())
    if clashes:
        raise ConfigError(
            f"conf (env '{project.env}'): spark.properties sets {', '.join(clashes)}, which the engine sets itself",
            hint="Remove it there; memory and master have settings of their own: spark.memory, spark.master.",
        )
    return CUT_BY_ROWS | ours | settings.properties


def properties_file(project: Project) -> Path:
    """Write :func:`properties` below the project's .cache/ and return the file's path."""
    file = project.folder / ".cache" / f"spark-{project.env}.properties"
    text = "".join(f"{key} {value}\n" for key, value in sorted(properties(project).items()))
    if not file.exists() or file.read_text() != text or file.stat().st_mode & 0o077:
        draft = file.with_suffix(f".{os.getpid()}")
        write_for_us(draft, text)
        draft.replace(file)
    return file


def write_for_us(file: Path, text: str) -> None:
    """Write a file that nobody else can read: a property may be a secret."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # one that is there would keep its mode
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)


def environment() -> dict[str, str]:
    """The variables that ``spark-submit`` needs to run on the right Java, Spark and Python."""
    return {
        "JAVA_HOME": str(find_java().home),
        "SPARK_HOME": str(spark_home()),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": os.environ.get("SPARK_LOCAL_IP", "127.0.0.1"),
    }


def _needed(project: Project) -> dict[str, str]:
    jars = [str(jars_folder() / jar.file) for jar in JARS]
    sources = (source for source in project.config.sources.values() if isinstance(source, JdbcSource))
    jars += dict.fromkeys(str(project.folder / jar) for source in sources for jar in source.jars)  # of its driver
    local = project.config.spark.profile == "local"
    return {
        "spark.app.name": f"lakehouse-{project.config.name}",
        "spark.driver.memory": project.config.spark.memory,
        **({"spark.driver.extraClassPath": ":".join(jars)} if local else {"spark.jars": ",".join(jars)}),
        **({"spark.master": project.config.spark.master or "local[*]"} if local or project.config.spark.master else {}),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        # INT96, Spark's own choice, has no statistics: nothing could be skipped by time.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.warehouse.dir": str(project.folder / ".cache" / "warehouse"),
    }


def _short_local_runs() -> dict[str, str]:
    """What makes a run of seconds on one machine fast; a long job wants none of it."""
    java = [f"-Dlog4j2.configurationFile=file:{LOGGING}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java.append("-XX:ReservedCodeCacheSize=240m")  # one compiler alone is given 48 MB, which a run of many tables fills
    archive = archive_file()
    if archive.exists():
        java += ["-Xshare:auto", f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return {
        "spark.driver.extraJavaOptions": " ".join(java),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ui.explainMode": "simple",  # the UI's account of each query is a twentieth of a short run
        "spark.sql.maxPlanStringLength": "1000",
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 2),
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    }
