"""Whatever goes wrong with a table, in words: as one of our errors, and without what conf/ keeps secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import FULL_DISK, WHERE, LakehouseError, StorageError, java_was_killed
from lakehouse.pipeline.disk import fullest
from lakehouse.pipeline.workspace import Workspace
from lakehouse.spark import java_has_ended

PY4J = "An error occurred while calling"
"""What py4j puts before what Java says."""
_CLASS = re.compile(r"^(?:[a-z]\w*\.)+\w+: ")
"""The class of a Java exception before what it says."""
_TRACEBACK = "Traceback (most recent call last):"
_CAUSE = "Caused by: "


@contextmanager
def in_words(workspace: Workspace, address: str) -> Iterator[None]:
    """Whatever goes wrong with the table meanwhile is raised as a LakehouseError, and as nothing else."""
    try:
        yield
    except LakehouseError as error:
        message, hint = (workspace.project.redacted(text, address) for text in (error.message, error.hint))
        error.message, error.hint, error.args = message, hint, (message,)
        raise
    except Exception as error:
        # A source's own account may hold a secret: only a table's is kept beside ours. Where it happened is no secret.
        cause = None if address.startswith("bronze.") else error
        raise _in_words(workspace, address, error).with_traceback(error.__traceback__) from cause


def _in_words(workspace: Workspace, address: str, error: Exception) -> LakehouseError:
    """What Spark or the system says, as one of our errors."""
    project = workspace.project
    account = f"{error}\n{getattr(error, '_stackTrace', '')}"  # PySpark shows Java's stack only where it is asked to
    text = project.redacted(account, address)
    if FULL_DISK in text:
        return StorageError(
            f"{address}: the disk {project.redacted(str(fullest(project, address)))} is full",
            hint="Free space, then run again: nothing was lost.",
        )
    if _denied_below(project.root, account):
        return StorageError(
            f"{address}: {project.redacted(str(project.root))} can't be written",
            hint="Make it writable, or name another root in conf/.",
        )
    if _of_a_connection(error) and java_has_ended():
        return java_was_killed(address)
    said = _said(text) or type(error).__name__
    if isinstance(error, LookupError | AssertionError):  # whose text alone says nothing
        said = f"{type(error).__name__}: {said}"
    if address.startswith("bronze."):
        return LakehouseError(f"{address}: {said}", hint=WHERE)
    table = workspace.graph.table(address)
    return LakehouseError(f"{address}: {said}", hint=f"Its function stands in {table.file}:{table.line}.")


def _of_a_connection(error: Exception) -> bool:
    """Whether that to the JVM may be what broke: nothing that Java itself says is."""
    of_py4j = type(error).__module__ == "py4j.protocol" and not hasattr(error, "java_exception")
    return of_py4j or isinstance(error, ConnectionError)


def _denied_below(root: Path, account: str) -> bool:
    """Whether the system refused a path of the lake's: a source that is refused says so in the same words."""
    folders = "|".join(re.escape(str(folder)) for folder in {root, root.resolve()})
    below = re.compile(rf"(?:{folders})(?![^/\s'\":)])")
    return any("Permission denied" in line and below.search(line) for line in account.splitlines())


def _said(account: str) -> str:
    """The first line of an account, and what it began with where that is another thing."""
    lines = [line for line in (line.strip().removeprefix(": ") for line in account.splitlines()) if line]
    told = [line for line in lines if not line.startswith(PY4J)] or lines  # what was called, where that is all
    first = _CLASS.sub("", told[0]) if told else ""
    origin = _origin(account)
    return first if not origin or _CLASS.sub("", origin) in first else f"{first.rstrip(':')} ({origin})"


def _origin(account: str) -> str:
    """What Spark says last: the exception of a Python worker, else the innermost of Java's; nothing where all is said.

    The first line is often just that a task failed.
    """
    head, found, worker = account.rpartition(_TRACEBACK)
    if found and head:
        return next((line.strip() for line in worker.splitlines() if line and not line[0].isspace()), "")
    causes = [line.strip() for line in account.splitlines() if line.strip().startswith(_CAUSE)]
    return causes[-1].removeprefix(_CAUSE) if causes else ""
