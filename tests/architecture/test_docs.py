"""What the docs say can be typed can be typed, and what they link to is there."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

import lakehouse
from lakehouse.cli.app import app
from tests.architecture.files import REPOSITORY
from tests.architecture.markdown import PAGES, README, Block, blocks, commands, links
from tests.flights.built import copy_of_the_example

LAKEHOUSE = str(Path(sys.executable).with_name("lakehouse"))
KNOWN: Any = typer.main.get_command(app)
PYTHON = [block for page in PAGES for block in blocks(page) if block.language == "python"]
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def test_there_are_commands_and_links_to_look_at() -> None:
    assert len(commands()) > 20
    assert len(links()) > 10


def test_each_make_target_is_there() -> None:
    shown = {(page, line.split()[1]) for page, line in commands() if line.startswith("make ")}
    assert {(page, target) for page, target in shown if target not in TARGETS} == set()


def test_readme_shows_each_target_or_make_help() -> None:
    shown = {line.split()[1] for page, line in commands() if page == "README.md" and line.startswith("make ")}
    assert {"help", "demo", "test", "lint", "bench", "notebook"} <= shown


def test_each_command_and_each_of_its_options_is_there() -> None:
    wrong = []
    for page, line in commands():
        program, *words = shlex.split(line, comments=True)
        if program != "lakehouse" or words[0].startswith("-"):
            continue
        command = KNOWN.commands.get(words[0])
        if command is None:
            wrong.append(f"{page}: {line}: no command {words[0]}")
            continue
        options = {option for parameter in command.params for option in parameter.opts}
        own = words[1:2] if words[0] == "submit" else words[1:]
        wrong += [f"{page}: {line}: no option {word}" for word in own if word[0] == "-" and word not in options | {"-"}]
    assert wrong == []


def test_each_file_that_is_linked_is_there() -> None:
    assert [f"{page} → {target}" for page, target in links() if not target.exists()] == []


def test_readme_opens_with_the_picture_and_the_two_commands() -> None:
    text = README.read_text()
    assert text.index("```\n raw sources") < text.index("$ make demo") < text.index("$ make test") < text.index("\n## ")
    assert len(text.splitlines()) <= 200


@pytest.mark.parametrize("words", ["--help", "--version", "check", "plan"])
def test_the_cheap_ones_answer(tmp_path: Path, words: str) -> None:
    """In a copy of the example in which nothing is staged yet, as after a clone."""
    project = copy_of_the_example(tmp_path)
    done = subprocess.run([LAKEHOUSE, *words.split()], cwd=project.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.page.stem)
def test_each_piece_of_python_is_python_and_imports_what_there_is(block: Block) -> None:
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lakehouse"):
            module = importlib.import_module(node.module or "")
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []


def test_the_examples_in_docstrings_are_true() -> None:
    tried = 0
    for found in pkgutil.walk_packages(lakehouse.__path__, "lakehouse."):
        if not found.name.endswith("__main__"):
            result = doctest.testmod(importlib.import_module(found.name))
            assert result.failed == 0, found.name
            tried += result.attempted
    assert tried > 5
