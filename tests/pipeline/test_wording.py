"""What went wrong, in words: the place that the system refused, and what Spark says last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from py4j.protocol import Py4JError

from lakehouse.config import Project
from lakehouse.errors import LakehouseError, StorageError
from lakehouse.pipeline.wording import in_words
from lakehouse.pipeline.workspace import Workspace

SOURCES = "  api: {type: jobs.api.Api, options: {key: s3cret}}"


def raised(project: Project, error: Exception, address: str = "bronze.api") -> LakehouseError:
    workspace: Any = SimpleNamespace(project=project, graph=Workspace(project).graph)
    with pytest.raises(LakehouseError) as caught, in_words(workspace, address):
        raise error
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "java.io.FileNotFoundException: ROOT/bronze/api/x.parquet (Permission denied)",
        "[Errno 13] Permission denied: 'ROOT'",
        "Generic LocalFileSystem error: ROOT/bronze/api: Permission denied (os error 13)",
    ],
)
def test_a_root_that_can_not_be_written(make_project: Any, text: str) -> None:
    project = make_project(SOURCES)
    error = raised(project, OSError(text.replace("ROOT", str(project.root))))
    assert (type(error), error.message) == (StorageError, f"bronze.api: {project.root} can't be written")


@pytest.mark.parametrize(
    "text",
    [
        "[Errno 13] Permission denied: '/elsewhere/key.pem'",
        "Permission denied (publickey)",
        "[Errno 13] Permission denied: 'ROOT2/x'",
        "Task failed while writing rows to file:ROOT/bronze/api\nPermissionError: Permission denied: '/elsewhere'",
    ],
)
def test_what_a_source_is_denied_is_its_own_affair(make_project: Any, text: str) -> None:
    project = make_project(SOURCES)
    error = raised(project, PermissionError(text.replace("ROOT", str(project.root))))
    assert type(error) is LakehouseError
    assert "can't be written" not in error.message


WORKER = """An error occurred while calling o1.save.
: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/x. SQLSTATE: 58030
\tat org.apache.spark.X.y(X.scala:1)
Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "jobs/api.py", line 3, in f
    raise RuntimeError("401 for s3cret")
RuntimeError: 401 for s3cret

\tat org.apache.spark.Z.z(Z.scala:1)
"""
JAVA = """An error occurred while calling o1.save.
: org.apache.spark.SparkException: Job aborted.
Caused by: org.apache.spark.SparkException: Task failed
\tat x
Caused by: java.net.ConnectException: h:1 refused s3cret
\tat y
"""
SAID_TWICE = """[DIVIDE_BY_ZERO] Division by zero.
Caused by: org.apache.spark.SparkArithmeticException: [DIVIDE_BY_ZERO] Division by zero.
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            WORKER,
            "[TASK_WRITE_FAILED] Task failed while writing rows to file:/x. SQLSTATE: 58030 (RuntimeError: 401 for …)",
        ),
        (JAVA, "Job aborted. (java.net.ConnectException: h:1 refused …)"),
        (SAID_TWICE, "[DIVIDE_BY_ZERO] Division by zero."),
        ("401\nfor s3cret", "401"),
        ("", "RuntimeError"),
        ("An error occurred while calling o1.count", "An error occurred while calling o1.count"),
    ],
)
def test_what_spark_says_last_is_said(make_project: Any, text: str, said: str) -> None:
    assert raised(make_project(SOURCES), RuntimeError(text)).message == f"bronze.api: {said}"


def test_a_key_that_is_missing_says_that_it_is_one(make_project: Any) -> None:
    assert raised(make_project(SOURCES), KeyError("end")).message == "bronze.api: KeyError: 'end'"


def test_our_own_errors_hold_no_secret_either(make_project: Any) -> None:
    error = raised(make_project(SOURCES), StorageError("no s3cret", hint="use s3cret"))
    assert str(error) == "no …\n  use …"
    assert error.args == ("no …",)


@pytest.mark.parametrize(
    ("error", "ended", "killed"),
    [
        (ConnectionRefusedError(111, "Connection refused"), True, True),
        (Py4JError("An error occurred while calling o1.count"), True, True),
        (ConnectionRefusedError(111, "Connection refused"), False, False),
        (ValueError("x"), True, False),
    ],
)
def test_a_jvm_that_ended(
    make_project: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, ended: bool, killed: bool
) -> None:
    monkeypatch.setattr("lakehouse.pipeline.wording.java_has_ended", lambda: ended)
    assert ("Spark's JVM was killed" in raised(make_project(SOURCES), error).message) == killed
