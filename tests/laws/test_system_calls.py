"""Law 2 under faults of single system calls: the k-th call below the lake fails, or the process dies in it.

Calls that open a file for writing, rename, remove and make a folder are counted first; then each is hit in turn.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from tests.laws.children import Child, Children
from tests.laws.shop import SOURCES, TABLES, agree, write_orders
from tests.laws.system_calls import KILL, Calls
from tests.laws.test_exactly_once import FIRST, SECOND

FAULTS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "kill": KILL}
PARTS = 30
"""Each case takes every thirtieth call."""
SPARE = 5
"""Runs differ by a few calls: the last ones that were counted are left out."""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    folder = tmp_path_factory.mktemp("calls")
    return Calls(folder, folder / "lakes")


@pytest.fixture(scope="module")
def children(engine: Project, tmp_path_factory: pytest.TempPathFactory, calls: Calls) -> Iterator[Children]:
    made = Children(engine, tmp_path_factory.mktemp("children"), calls.env)
    yield made
    made.close()


class Lakes:
    """One project whose root is another folder each time, below the folder where calls are counted."""

    def __init__(self, project: Project, calls: Calls) -> None:
        self.project, self._calls, self._number = project, calls, 0

    def new(self) -> Path:
        self._number += 1
        root = self._calls.below / f"{self.project.folder.parent.name}-{self._number}"
        conf = self.project.folder / "conf" / "base.yaml"
        first, _, *others = conf.read_text().splitlines()
        conf.write_text("\n".join([first, f"root: {root}", *others]) + "\n")
        for file in (self.project.folder / "data" / "raw").iterdir():
            file.unlink()
        return root


def hit(child: Child, project: Project, calls: Calls, at: int, error: int) -> int | None:
    """Run with the fault; returns the exit code, None where Python itself was killed."""
    calls.plan(at=at, error=error)
    child.begin(project, "run")
    code = child.ended()
    assert calls.made >= at, "the run has fewer calls than were counted"
    calls.plan()
    said = child.said()
    assert "Traceback" not in said, said[-3000:]
    assert code in (None, 0, 1, 4), said[-2000:]
    return code


@pytest.mark.torture
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("fault", FAULTS)
def test_the_kth_call(make_project: Any, calls: Calls, children: Children, fault: str, part: int) -> None:
    project = make_project(SOURCES, TABLES)
    lakes, error = Lakes(project, calls), FAULTS[fault]
    lakes.new()
    child = children.next()
    write_orders(project.folder, "1", FIRST)
    assert hit(child, project, calls, 0, 0) == 0
    write_orders(project.folder, "2", SECOND)
    calls.plan()
    child.begin(project, "run")
    assert child.ended() == 0
    later = calls.made - SPARE
    assert later > 40
    for at in range(part + 1, later + 1, PARTS):
        root = lakes.new()
        write_orders(project.folder, "1", FIRST)
        for first in (True, False):  # the first run makes the tables, the second adds to them
            code = hit(child, project, calls, at, error)
            if error == KILL:
                child.close()
                child = children.next()
            elif code == 0:
                agree(root, FIRST if first else FIRST + SECOND)
            child.begin(project, "run", "--wait", "60")
            assert child.ended() == 0, f"{fault} at {at}: {child.said()[-2000:]}"
            agree(root, FIRST if first else FIRST + SECOND)
            write_orders(project.folder, "2", SECOND)
