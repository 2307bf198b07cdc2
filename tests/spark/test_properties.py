"""The properties file that Spark is started with."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.spark.properties import CUT_BY_ROWS, properties, properties_file
from lakehouse.spark.session import _with

CANARY = "s3cr3t-canary"


def test_only_we_can_read_the_properties_which_may_be_secret(
    make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3", CANARY)
    project = make_project('  {}\nspark: {properties: {spark.hadoop.fs.s3a.secret.key: "${env:S3}"}}')
    (project.folder / ".cache").mkdir()
    open_to_all = project.folder / ".cache" / "spark-local.properties"
    open_to_all.write_text(properties_file(project).read_text())
    open_to_all.chmod(0o644)  # as an older version left it
    for file in (properties_file(project), _with(project, {"spark.more": "1"})):
        assert CANARY in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o600
    assert CANARY not in repr(project)


def test_a_project_cuts_batches_for_python_as_it_likes(make_project: Any) -> None:
    (name,) = CUT_BY_ROWS
    assert properties(make_project("  {}"))[name] == CUT_BY_ROWS[name]
    assert properties(make_project(f"  {{}}\nspark: {{properties: {{{name}: 64m}}}}"))[name] == "64m"
