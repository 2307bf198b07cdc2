"""Each notebook runs from its first cell to its last, against a real lake, and says what its text says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from lakehouse.config import Project

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def run_notebook(project: Project, name: str) -> list[Any]:
    """The cells of a notebook after a run of all of them; an error in one raises, with its traceback."""
    folder = project.folder / "notebooks"
    notebook = nbformat.read(folder / name, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return list(notebook.cells)


def printed(cells: list[Any]) -> str:
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


def plots(cells: list[Any]) -> int:
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.fixture
def _a_users_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKEHOUSE_PROJECT", "LAKEHOUSE_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel sets its own where there is none


def test_these_are_the_notebooks() -> None:
    assert NOTEBOOKS == ["explore.ipynb", "train.ipynb"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_committed_without_outputs(name: str) -> None:
    cells = nbformat.read(FOLDER / name, as_version=4).cells
    assert not [cell for cell in cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("_a_users_environment")
def test_explore(flights_project: Project) -> None:
    cells = run_notebook(flights_project, "explore.ipynb")
    assert "336,775 departures, 18 November 2025 to 17 November 2026" in printed(cells)
    assert plots(cells) == 4


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("_a_users_environment")
def test_train_shows_that_the_careless_join_is_false(flights_project: Project) -> None:
    cells = run_notebook(flights_project, "train.ipynb")
    said = dict(re.findall(r"^(\S.*?)  +(0\.\d{3})$", printed(cells), re.MULTILINE))
    calendar, honest, promised, real = (
        float(said[name])
        for name in (
            "calendar only",
            "known at departure",
            "careless join, as evaluated",
            "careless join, as it would serve",
        )
    )
    # It promises more than honest features, and keeps less than they do.
    assert calendar < real < honest < promised
    assert honest > 0.70
    (windowed,) = re.findall(r"the windows over the origin's departures too (0\.\d{3})", printed(cells))
    assert float(windowed) > honest
    assert plots(cells) == 2
