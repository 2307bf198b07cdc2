"""A project with its tables read: what planning and running both start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from lakehouse.bronze import Receipts, read_receipts
from lakehouse.config import Project
from lakehouse.gold import planning as gold
from lakehouse.silver import planning as silver
from lakehouse.sources import open_source
from lakehouse.tables import Graph, fingerprint, tables_in
from lakehouse.tables.batch import Source


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Workspace:
    """Nothing is cached but declarations: each question is answered from the tables as they are when it is asked."""

    project: Project
    now: Callable[[], datetime] = clock

    @cached_property
    def graph(self) -> Graph:
        """Raises DefinitionError that lists every mistake of the project's tables."""
        config = self.project.config
        return Graph.of(tables_in(config.tables, self.project.folder), config.sources, config.expect)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {table.address: fingerprint(table, self.project.folder)[:16] for table in self.graph.tables}

    def receipts(self, address: str) -> Receipts:
        return read_receipts(self.project.path(address))

    def source(self, address: str) -> Source:
        name = address.removeprefix("bronze.")
        return open_source(self.project, name, self.now)

    def silver(self, address: str) -> silver.Work:
        """What a silver table has to do. Raises NotBuiltError when its bronze table is empty."""
        receipts = self.receipts(self.graph.inputs(address)[0])
        paths = self.project.path(address), self.project.state(address)
        batches = list(receipts.batches)
        kept = self.graph.table(address).beside
        return silver.plan_silver(address, *paths, self._fingerprints[address], receipts.table, batches, kept)

    def gold(self, address: str) -> gold.Work:
        """What a gold table has to do. Raises NotBuiltError when an input is not there."""
        inputs = {name: self.project.path(name) for name in self.graph.inputs(address)}
        paths = self.project.path(address), self.project.state(address)
        return gold.plan_gold(self.graph.table(address), self._fingerprints[address], *paths, inputs)

    def work(self, address: str) -> Any:
        return self.silver(address) if address.startswith("silver.") else self.gold(address)
