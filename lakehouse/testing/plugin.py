"""What pytest is given: the fixture ``windows_agree`` and the option ``--windows-seeds``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from lakehouse.tables import Table
    from lakehouse.testing.columns import Columns

SEEDS = 3
"""So many streams are tried where nobody says otherwise: a second or two for a definition."""


class Agree(Protocol):
    def __call__(self, definition: Table, *, schema: Columns, seeds: Sequence[int] | None = None) -> None: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lakehouse")
    told = f"how many hostile streams windows_agree tries for each definition (default: {SEEDS})"
    group.addoption("--windows-seeds", type=int, default=SEEDS, metavar="N", help=told)


@pytest.fixture
def windows_agree(request: pytest.FixtureRequest) -> Agree:
    """Called with a table of ``gold.windows`` and the columns of its events: see
    :func:`lakehouse.testing.check_windows`."""
    count = request.config.getoption("--windows-seeds")
    if count < 1:
        raise pytest.UsageError("--windows-seeds is a whole number above 0")

    def agree(definition: Table, *, schema: Columns, seeds: Sequence[int] | None = None) -> None:
        from lakehouse.testing.checking import check_windows

        check_windows(definition, schema=schema, seeds=range(count) if seeds is None else seeds)

    return agree
