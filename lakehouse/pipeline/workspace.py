"""A project with its tables read: what planning and running both start from."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from lakehouse.bronze import Receipts, read_receipts
from lakehouse.config import Project
from lakehouse.delta import TableState, read_state
from lakehouse.gold import planning as gold
from lakehouse.silver import planning as silver
from lakehouse.sources import open_source
from lakehouse.tables import Graph, fingerprints, tables_in
from lakehouse.tables.batch import Source

Answer = TypeVar("Answer")


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Workspace:
    """Nothing is cached but declarations: each question is answered from the tables as they are when it is asked."""

    project: Project
    now: Callable[[], datetime] = clock
    still: bool = False
    """Each table is looked at once instead: for who only looks, and at one table for many others."""
    _seen: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def graph(self) -> Graph:
        """Raises DefinitionError that lists every mistake of the project's tables."""
        config = self.project.config
        return Graph.of(tables_in(config.tables, self.project.folder), config.sources, config.expect)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        found = fingerprints(self.graph.tables, self.project.folder)
        return {address: whole[:16] for address, whole in found.items()}

    def fingerprint(self, address: str) -> str:
        """The fingerprint of a silver or gold table's definition, as it is in the code now."""
        return self._fingerprints[address]

    def state(self, address: str) -> TableState | None:
        """The newest version of a table; None where there is none."""
        return self._look(self.project.path(address))

    def look_ahead(self) -> None:
        """Read the logs and receipts of all tables, several at a time. One that can't be read is named by who asks."""

        def look(address: str) -> None:
            with suppress(Exception):
                if address.startswith("bronze."):
                    self.receipts(address)
                else:
                    self.state(address)

        with ThreadPoolExecutor() as pool:
            list(pool.map(look, self.graph.order()))

    def _look(self, path: Path) -> TableState | None:
        return self._once(str(path), lambda: read_state(path))

    def receipts(self, address: str) -> Receipts:
        path = self.project.path(address)
        return self._once(f"receipts of {address}", lambda: read_receipts(path, self._look))

    def _once(self, question: str, ask: Callable[[], Answer]) -> Answer:
        if not self.still:
            return ask()
        if question not in self._seen:
            self._seen[question] = ask()
        answer: Answer = self._seen[question]
        return answer

    def source(self, address: str) -> Source:
        name = address.removeprefix("bronze.")
        return open_source(self.project, name, self.now)

    def silver(self, address: str) -> silver.Work:
        """What a silver table has to do. Raises NotBuiltError when its bronze table is empty."""
        receipts = self.receipts(self.graph.inputs(address)[0])
        paths = self.project.path(address), self.project.state(address)
        batches = list(receipts.batches)
        kept = self.graph.table(address).beside
        return silver.plan_silver(
            address, *paths, self._fingerprints[address], receipts.table, batches, kept, self._look
        )

    def gold(self, address: str) -> gold.Work:
        """What a gold table has to do. Raises NotBuiltError when an input is not there."""
        inputs = {name: self.project.path(name) for name in self.graph.inputs(address)}
        paths = self.project.path(address), self.project.state(address)
        return gold.plan_gold(self.graph.table(address), self._fingerprints[address], *paths, inputs, self._look)

    def work(self, address: str) -> Any:
        look = self.silver if address.startswith("silver.") else self.gold
        return self._once(f"work of {address}", lambda: look(address))
