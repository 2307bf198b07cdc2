"""Open the Spark session of a project: once a process, from the same properties file that ``spark-submit`` is given."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import Project
from lakehouse.errors import SetupError
from lakehouse.spark.jars import fetch_jars
from lakehouse.spark.properties import environment, properties, properties_file, write_for_us

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


_MORE: ContextVar[dict[str, str] | None] = ContextVar("more", default=None)


@contextmanager
def sessions_with(more: dict[str, str]) -> Iterator[None]:
    """A session that is opened meanwhile has these properties too; one that is open stays as it is."""
    token = _MORE.set(more)
    try:
        yield
    finally:
        _MORE.reset(token)


def open_session(project: Project) -> SparkSession:
    """The session of this process, opened if there is none: with the project's properties, and those of
    :func:`sessions_with`.

    Under ``spark-submit`` the JVM runs already: it must have been given the properties file of the environment, as
    ``lakehouse submit`` does. Raises SetupError where Java, the jars or Delta are missing.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    more, file = _MORE.get(), None
    submitted = SparkContext._gateway is not None or "PYSPARK_GATEWAY_PORT" in os.environ
    if not submitted:
        fetch_jars()
        os.environ.update(environment())
        file = _with(project, more) if more else None
        arguments = ["--properties-file", str(file or properties_file(project))]
        os.environ["PYSPARK_SUBMIT_ARGS"] = " ".join([*map(_quoted, arguments), "pyspark-shell"])
    _silence()
    try:
        spark = SparkSession.builder.getOrCreate()
    finally:
        if file is not None:
            file.unlink(missing_ok=True)  # Java has read it, and it may hold secrets
    _quiet_when_java_dies(spark)
    if "DeltaCatalog" not in (spark.conf.get("spark.sql.catalog.spark_catalog", "") or ""):
        raise SetupError(
            "This Spark was started without Delta's settings",
            hint="Start it with 'lakehouse submit SCRIPT', or pass spark-submit --properties-file "
            f"{properties_file(project)}",
        )
    return spark


def java_has_ended() -> bool:
    """Whether the JVM that this process began is no more: killed, or out of memory."""
    pyspark = sys.modules.get("pyspark")
    java = getattr(pyspark.SparkContext._gateway, "proc", None) if pyspark is not None else None
    if java is None:
        return False
    with suppress(subprocess.TimeoutExpired):
        java.wait(timeout=1)  # its connections end a moment before it does
    return java.poll() is not None


def _silence() -> None:
    """What is logged of an error that is raised too, tracebacks and Java's stack included: ours says it once."""
    for name in ("SQLQueryContextLogger", "py4j"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_not_of_py4j)


def _not_of_py4j(record: logging.LogRecord) -> bool:
    """Py4j logs to the root what it then raises: a JVM that ended, an interrupt."""
    return f"{os.sep}py4j{os.sep}" not in record.pathname


def _quiet_when_java_dies(spark: SparkSession) -> None:
    """The call that fails tells of it; the thread that adds up accumulators would print a traceback beside."""
    server: Any = spark.sparkContext._accumulatorServer
    said = type(server).handle_error

    def handle_error(request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), EOFError | ConnectionError):
            said(server, request, client_address)

    server.handle_error = handle_error


def _with(project: Project, more: dict[str, str]) -> Path:
    merged = properties(project)
    for key, value in more.items():
        merged[key] = f"{merged[key]} {value}" if key.endswith("JavaOptions") and key in merged else value
    file = project.folder / ".cache" / f"spark-{project.env}-{os.getpid()}.properties"
    write_for_us(file, "".join(f"{key} {value}\n" for key, value in sorted(merged.items())))
    return file


def _quoted(argument: str) -> str:
    return '"' + argument.replace('"', '\\"') + '"'
