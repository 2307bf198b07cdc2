"""Three lines of feature_store.yaml and a setting of Feast's own are all that a user of stock Feast changes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from difflib import ndiff
from pathlib import Path

import pytest

from tests.install.closure import installed_with
from tests.install.foreign_repository import SAID
from tests.install.test_without_pyspark import HOOK, REPOSITORY, environment_of_the_base, install
from tests.online.redis_server import RedisServer

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


@pytest.fixture
def on_redis(repository: Path, tmp_path: Path) -> Iterator[Path]:
    """The same, with the line that the page has for several machines."""
    (line,) = re.findall(r"\{type: lakehouse\.online\.redis\.[^}]*\}", PAGE.read_text())
    assert "host:6379" in line
    with closing(RedisServer()) as server:
        folder = Path(shutil.copytree(repository, tmp_path / "more" / "taxi"))
        file = folder / "feature_store.yaml"
        line = line.replace("host:6379", f"localhost:{server.port}")
        file.write_text(re.sub("(?m)^online_store: .*$", f"online_store: {line}", file.read_text()))
        yield folder
        assert server.client.dbsize() > 3


def run(python: Path | str, path: Path, *repositories: Path) -> None:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("LAKEHOUSE_", "PYTHON"))}
    done = subprocess.run(
        [str(python), str(SCRIPT), *map(str, repositories)],
        cwd=repositories[0].parent,
        env={**variables, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split("\n")[-1 - len(repositories) :] == [SAID] * len(repositories) + [""]


def test_three_lines_differ_from_stock_feast() -> None:
    stock, ours = (text.splitlines() for text in shown("yaml")[:2])
    gone, new = ([line[2:] for line in ndiff(stock, ours) if line[0] == sign] for sign in "-+")
    names = ["registry", "offline_store", "batch_engine", "online_store"]
    assert [line.partition(":")[0] for line in gone] == names
    assert [line.partition(":")[0] for line in new] == names
    assert new[0] == "registry: {path: registry.db, serve_features_while_materializing: true}"
    assert all("lakehouse." in line for line in new[1:])
    assert not any("lakehouse" in line for line in stock)


def test_a_foreign_repository_from_first_to_last(repository: Path, on_redis: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOOK)
    (site / "lakehouse").symlink_to(REPOSITORY / "lakehouse")
    run(sys.executable, site, repository, on_redis)


@pytest.mark.torture
def test_a_foreign_repository_in_an_environment_of_the_base_alone(
    repository: Path, on_redis: Path, tmp_path: Path
) -> None:
    python = environment_of_the_base(tmp_path)
    run(python, tmp_path, repository)
    assert "redis" in installed_with(["redis"]), "what is installed here is older than pyproject.toml: make setup"
    install(python, tmp_path / "redis.lock", "redis")
    run(python, tmp_path, on_redis)
