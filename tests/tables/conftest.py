from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Write = Callable[[dict[str, str]], Path]


@pytest.fixture(autouse=True)
def imports_undone() -> Iterator[None]:
    """These tests import small projects whose packages have the example's names."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name not in modules]:
        del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a project's files, with an ``__init__.py`` in each folder, and returns its folder."""

    def files(texts: dict[str, str], folder: str = "project") -> Path:
        root = tmp_path / folder
        for name, text in texts.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            for parent in path.relative_to(root).parents[:-1]:
                (root / parent / "__init__.py").touch()
        return root

    return files
