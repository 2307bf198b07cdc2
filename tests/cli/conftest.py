"""Projects to run commands in. A command is run as the program is: words in, exit code and output out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakehouse.cli import run
from lakehouse.cli.init import write_project


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in a folder, in this process: ``command("check", "--json", folder=shop)``."""
    monkeypatch.delenv("LAKEHOUSE_PROJECT", raising=False)
    monkeypatch.delenv("LAKEHOUSE_ENV", raising=False)

    def call(*words: str, folder: Path) -> Answer:
        monkeypatch.chdir(folder)
        capfd.readouterr()
        code = run(words)
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The project that ``lakehouse init shop`` writes; nothing is built."""
    write_project(tmp_path / "shop", "shop")
    return tmp_path / "shop"


@pytest.fixture
def variables() -> dict[str, str]:
    """The environment of a command that runs in a process of its own."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("LAKEHOUSE_")}
    return own | {"PYTHONPATH": str(Path(__file__).parents[2])}
