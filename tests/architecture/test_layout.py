"""The shape of the code: small files, imports that point down, front doors that list what there is, a page each."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.files import PACKAGES, REPOSITORY, shown, tracked

LONGEST = 300
SHAPELESS = {"utils", "util", "common", "helpers", "core", "base", "manager", "managers", "misc"}


def test_no_file_is_longer_than_one_sitting() -> None:
    code = [path for path in tracked() if path.suffix in (".py", ".in", ".md", ".toml", ".yaml")]
    assert len(code) > 100
    long = {shown(path): lines for path in code if (lines := len(path.read_text().splitlines())) > LONGEST}
    assert long == {}


def test_no_name_says_nothing() -> None:
    parts = {part for path in tracked() for part in Path(shown(path)).with_suffix("").parts if path.suffix == ".py"}
    assert parts & SHAPELESS == set()


def test_imports_point_down() -> None:
    """With the contract of pyproject.toml; each package stands in it, since the contract is exhaustive."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_has_a_page(name: str) -> None:
    page = REPOSITORY / "docs" / f"{name}.md"
    assert page.is_file()
    assert page.read_text().startswith("# ")


def test_errors_and_laws_have_a_page_too() -> None:
    for name in ("errors", "laws"):
        assert (REPOSITORY / "docs" / f"{name}.md").is_file()


@pytest.mark.parametrize("name", PACKAGES)
def test_a_front_door_lists_what_it_offers(name: str) -> None:
    module = importlib.import_module(f"lakehouse.{name}")
    assert module.__doc__
    offered = getattr(module, "__all__", [])
    assert len(offered) == len(set(offered))
    assert [public for public in offered if not hasattr(module, public)] == []


def test_who_offers_nothing_by_itself() -> None:
    """They are imported by module: Feast takes seconds, and a table is declared without numpy."""
    silent = [name for name in PACKAGES if not hasattr(importlib.import_module(f"lakehouse.{name}"), "__all__")]
    assert silent == ["features", "kernels", "online"]
