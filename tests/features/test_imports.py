"""What an import costs: never Spark, and Feast only where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = "lakehouse.kernels, lakehouse.features.registry, lakehouse.features.publishing, lakehouse.features.reading"
FULL = "lakehouse.features.view, lakehouse.features.offline_store, lakehouse.features.engine, lakehouse.online.sqlite"


@pytest.mark.parametrize(("modules", "feast"), [(LIGHT, False), (FULL, True)])
def test_what_is_imported(modules: str, feast: bool) -> None:
    code = f"import sys, {modules}; print('pyspark' in sys.modules, 'feast' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", str(feast)]
