"""Commands that need Spark: a new project runs as it was written, and a job is submitted with the real spark-submit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli import run
from lakehouse.spark import environment, properties_file


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as ``lakehouse init`` writes it."""
    folder = tmp_path_factory.mktemp("new")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["init", "shop"]) == 0
    return folder / "shop"


def program(shop: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(shop)}
    return subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False, env=variables)


def test_submit_a_job(shop: Path) -> None:
    done = program(
        shop, str(Path(sys.executable).with_name("lakehouse")), "submit", "jobs/ingest.py", "--env", "local", "--json"
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert all(result["status"] == "done" and result["read"] > 0 for result in results)


@pytest.mark.torture
def test_plain_spark_submit_with_the_properties_file(shop: Path) -> None:
    from lakehouse.config import load_project

    variables = environment()
    submit = str(Path(variables["SPARK_HOME"]) / "bin" / "spark-submit")
    file = str(properties_file(load_project(shop)))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        for job in ("jobs/ingest.py", "jobs/build.py"):
            done = program(shop, submit, "--properties-file", file, job, "--env", "local", "--json")
            assert done.returncode == 0, done.stdout + done.stderr
    assert {result["status"] for result in json.loads(done.stdout)["results"]} == {"done"}


def test_a_new_project_runs_and_its_tests_pass(
    spark: Any, shop: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(shop)
    assert run(["run", "--json"]) == 0
    results = json.loads(capfd.readouterr().out)["results"]
    assert any(result["step"] == "publish" and result["status"] == "done" for result in results)
    done = program(shop, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
