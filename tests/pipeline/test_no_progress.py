"""A pass over a silver table that leaves its cursor where it was stops with an error; it does not go round for ever."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.errors import ConservationError
from lakehouse.pipeline import steps
from lakehouse.pipeline.report import Result
from lakehouse.silver.planning import Work


def work(upto: int, epoch: int = 0, action: Any = "merge") -> Work:
    return Work(action, "", -1, upto, "silver.s", "id", epoch, "print", None)


def silver(monkeypatch: pytest.MonkeyPatch, planned: list[Work]) -> Result:
    """What becomes of a table that has this to do, one after the other."""
    waiting = iter(planned)
    workspace: Any = SimpleNamespace(silver=lambda address: next(waiting))
    monkeypatch.setattr(steps, "_judge_range", lambda *_: Result("silver.s", "build", "done", landed=1))
    session: Any = Path()
    return steps._silver(session, workspace, "silver.s")


def test_the_same_batches_twice_are_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConservationError, match="batches up to 3 were merged and the table does not say so"):
        silver(monkeypatch, [work(3), work(3), work(3)])


def test_more_batches_and_a_new_epoch_are_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = [work(3), work(4), work(4, epoch=5, action="rebuild"), work(4, action="unchanged")]
    assert silver(monkeypatch, planned).landed == 3
