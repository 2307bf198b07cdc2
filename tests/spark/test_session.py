"""A session whose JVM dies."""

from __future__ import annotations

import subprocess
import sys

from lakehouse.config import Project

MAIN = """
import socketserver, sys
from pathlib import Path
from lakehouse.config import load_project
from lakehouse.delta import locked
from lakehouse.errors import LakehouseError
from lakehouse.spark import java_has_ended, open_session
spark = open_session(load_project(sys.argv[1]))
print(spark.range(3).mapInArrow(lambda batches: batches, "id long").count(), flush=True)
print(java_has_ended(), flush=True)

class Reset:
    def readline(self):
        raise ConnectionResetError
    def close(self):
        pass

spark.sparkContext._gateway._gateway_client.get_thread_connection().stream = Reset()
try:
    spark.range(3).count()
except Exception as error:
    print(type(error).__name__, flush=True)
java = spark.sparkContext._gateway.proc
files = {"silver.x": Path(sys.argv[1]) / "a.lock", "silver.y": Path(sys.argv[1]) / "b.lock"}
with locked(spark, files):
    java.kill()
    java.wait()
try:
    with locked(spark, files):
        pass
except LakehouseError as error:
    print(error.message.replace(" ", "-"))
socketserver.BaseServer.shutdown(spark.sparkContext._accumulatorServer)  # once it has seen its connection end
try:
    spark.range(3).count()
except Exception as error:
    print(type(error).__name__, java_has_ended())
"""


def test_its_end_is_told_once_by_the_call_that_fails(engine: Project) -> None:
    done = subprocess.run([sys.executable, "-c", MAIN, str(engine.folder)], capture_output=True, text=True, check=False)
    said = ["3", "False", "Py4JError", "Spark's-JVM-was-killed", "ConnectionRefusedError", "True"]
    assert done.stdout.split() == said, done.stderr
    assert "Traceback" not in done.stderr
