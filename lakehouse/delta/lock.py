"""The lock of a table, held by the process that commits: the JVM.

Delta's log store for local folders is safe within one JVM only: two processes can both believe that they wrote one
version. A lock that Python holds is no help, since a JVM outlives a killed Python by seconds and may still commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LockedError, StorageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def locked(spark: SparkSession, files: dict[str, Path], *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock files, one for each address; ``wait`` is for how many seconds to wait for another run.

    The operating system frees them when this JVM ends, however it ends. They are taken in order of their names, so
    two runs can't wait for each other. Raises LockedError that names the table another run is writing.
    """
    deadline = time.monotonic() + wait
    held: list[Any] = []
    try:
        for address, file in sorted(files.items()):
            held.append(_take(spark, address, file, deadline))
        yield
    finally:
        for channel in reversed(held):
            channel.close()


def _take(spark: SparkSession, address: str, file: Path, deadline: float) -> Any:
    from py4j.protocol import Py4JJavaError

    jvm: Any = spark.sparkContext._jvm
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        channel = jvm.java.io.RandomAccessFile(str(file), "rw").getChannel()
    except (OSError, Py4JJavaError) as error:
        raise StorageError(
            f"{file.parent}: can't be written: {_reason(error)}",
            hint="Make the folder writable for this user, or name another root in conf/.",
        ) from error
    while True:
        try:
            if channel.tryLock() is not None:
                return channel
        except Py4JJavaError as error:
            if "OverlappingFileLock" not in str(error.java_exception.getClass().getName()):
                channel.close()
                raise StorageError(
                    f"{file}: can't be locked: {_reason(error)}",
                    hint="The file system must know locks: name another root in conf/.",
                ) from error
        if time.monotonic() >= deadline:
            channel.close()
            raise LockedError(
                f"{address}: another run is writing it",
                hint="Run again when it is done, or wait for it: --wait 600 (seconds).",
            )
        time.sleep(0.2)


def _reason(error: Exception) -> str:
    java = getattr(error, "java_exception", None)
    return str(java.getMessage() if java is not None else error)
