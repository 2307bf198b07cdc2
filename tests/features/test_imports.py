"""What an import costs: never Spark, and Feast only where it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = [
    ("lakehouse.kernels", False),
    ("lakehouse.features", False),
    ("lakehouse.features.registry", False),
    ("lakehouse.features.publishing", False),
    ("lakehouse.features.view, lakehouse.features.offline_store, lakehouse.features.online_rows", True),
]


@pytest.mark.parametrize(("modules", "feast"), MODULES)
def test_what_is_imported(modules: str, feast: bool) -> None:
    code = f"import sys, {modules}; print('pyspark' in sys.modules, 'feast' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", str(feast)]
