"""What reading and serving must never pay for: an import of the light packages loads no Spark, and few load Feast."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.files import PACKAGES

LIGHT = ["config", "tables", "local", "features", "quality", "kernels", "silver", "gold", "errors"]
if "online" in PACKAGES:
    LIGHT.append("online")
WITH_FEAST = ["features.view", "features.source", "features.offline_store"]


def loaded_by(*modules: str) -> set[str]:
    """The top-level packages that an import of the modules loads, in a process of its own."""
    code = f"import {', '.join(modules)}, sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["", *LIGHT])
def test_no_spark_and_no_feast(name: str) -> None:
    loaded = loaded_by(f"lakehouse.{name}" if name else "lakehouse")
    assert "lakehouse" in loaded
    assert loaded & {"pyspark", "delta", "py4j", "feast"} == set()


def test_feast_loads_no_spark() -> None:
    loaded = loaded_by(*(f"lakehouse.{name}" for name in WITH_FEAST))
    assert "feast" in loaded
    assert loaded & {"pyspark", "delta", "py4j"} == set()


def test_the_command_itself_loads_nothing_heavy() -> None:
    heavy = {"pyspark", "feast", "pyarrow", "duckdb", "pandas", "polars", "numpy", "deltalake"}
    assert loaded_by("lakehouse.cli.app") & heavy == set()
