"""Three lines of feature_store.yaml and a setting of Feast's own are all that a user of stock Feast changes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from difflib import ndiff
from pathlib import Path

import pytest

from tests.install.foreign_repository import SAID
from tests.install.test_without_pyspark import HOOK, REPOSITORY, environment_of_the_base

SCRIPT = Path(__file__).with_name("foreign_repository.py")
PAGE = REPOSITORY / "docs" / "feast-plugin.md"


def shown(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The page's own feature_store.yaml and definitions, in a folder that is in no project of ours."""
    folder = tmp_path / "taxi"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text(shown("yaml")[1])
    (folder / "definitions.py").write_text(shown("python")[0])
    return folder


def run(python: Path | str, repository: Path, path: Path) -> None:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("LAKEHOUSE_", "PYTHON"))}
    done = subprocess.run(
        [str(python), str(SCRIPT), str(repository)],
        cwd=repository.parent,
        env={**variables, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().endswith(SAID)


def test_three_lines_differ_from_stock_feast() -> None:
    stock, ours = (text.splitlines() for text in shown("yaml")[:2])
    gone, new = ([line[2:] for line in ndiff(stock, ours) if line[0] == sign] for sign in "-+")
    names = ["registry", "offline_store", "batch_engine", "online_store"]
    assert [line.partition(":")[0] for line in gone] == names
    assert [line.partition(":")[0] for line in new] == names
    assert new[0] == "registry: {path: registry.db, serve_features_while_materializing: true}"
    assert all("lakehouse." in line for line in new[1:])
    assert not any("lakehouse" in line for line in stock)


def test_a_foreign_repository_from_first_to_last(repository: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOOK)
    (site / "lakehouse").symlink_to(REPOSITORY / "lakehouse")
    run(sys.executable, repository, site)


@pytest.mark.torture
def test_a_foreign_repository_in_an_environment_of_the_base_alone(repository: Path, tmp_path: Path) -> None:
    run(environment_of_the_base(tmp_path), repository, tmp_path)
