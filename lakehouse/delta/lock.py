"""The lock of a table, held by the process that commits: the JVM.

Delta's log store for local folders is safe within one JVM only: two processes can both believe that they wrote one
version. A lock that Python holds is no help, since a JVM outlives a killed Python by seconds and may still commit.
What Python itself commits (``few.py``) it commits right after the JVM has answered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LockedError, StorageError, java_was_killed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_held_here: set[Path] = set()
_guard = threading.Lock()
"""What this process holds. POSIX locks exclude processes, not threads, and a process that closes any handle of a
file loses its lock of it: a file that is held here is not opened a second time."""


@contextmanager
def locked(spark: SparkSession, files: dict[str, Path], *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock files, one for each address; ``wait`` is for how many seconds to wait for another run.

    The operating system frees them when this JVM ends, however it ends. They are taken in order of their names, so
    two runs can't wait for each other. Raises LockedError that names the table another run is writing.
    """
    deadline = time.monotonic() + wait
    held: list[tuple[Path, Any]] = []
    try:
        for address, file in sorted(files.items()):
            while (taken := _take(spark, file.resolve())) is None:
                if time.monotonic() >= deadline:
                    raise LockedError(
                        f"{address}: another run is writing it",
                        hint="Run again when it is done, or wait for it: --wait 600 (seconds).",
                    )
                time.sleep(0.2)
            held.append((file.resolve(), taken))
        yield
    finally:
        for file, lock in reversed(held):
            _free(file, lock)


def _take(spark: SparkSession, file: Path) -> Any:
    """The lock, or None where another run has it."""
    from py4j.protocol import Py4JJavaError

    with _guard:
        if file in _held_here:
            return None
        _held_here.add(file)
    channel = lock = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        jvm: Any = spark.sparkContext._jvm
        channel = jvm.java.io.RandomAccessFile(str(file), "rw").getChannel()
        lock = channel.tryLock()
    except ConnectionError as error:
        raise java_was_killed() from error
    except (OSError, Py4JJavaError) as error:
        raise StorageError(
            f"{file}: can't be written or locked: {_reason(error)}",
            hint="Make its folder writable for this user and lockable, or name another root in conf/.",
        ) from error
    finally:
        if lock is None:
            _let_go(file, channel.close if channel is not None else None)
    return lock


def _free(file: Path, lock: Any) -> None:
    _let_go(file, lambda: lock.channel().close())


def _let_go(file: Path, close: Callable[[], None] | None) -> None:
    from py4j.protocol import Py4JError, Py4JJavaError

    try:
        if close is not None:
            close()
    except Py4JJavaError:
        raise
    except (Py4JError, ConnectionError):
        pass  # the JVM has ended, and the system has freed what it held
    finally:
        with _guard:
            _held_here.discard(file)


def _reason(error: Exception) -> str:
    java = getattr(error, "java_exception", None)
    return str(java.getMessage() if java is not None else error)
