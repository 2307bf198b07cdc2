"""Any history of transactions, in any order of their ends: each version that a run can see lands once, none is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from lakehouse.config import Project
from tests.bronze.landed import Landed
from tests.laws.corpus import seeds
from tests.sources.jdbc.server import Postgres, Session
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]
HISTORIES = "tests/sources/jdbc/test_any_history.py::test_every_version_that_a_run_can_see_lands_once"
KEYS, SESSIONS, STEPS = 12, 4, 40


class History:
    """Transactions of several sessions, which end in any order. A value of ``v`` is written once in all of it."""

    def __init__(self, seed: int, sessions: list[Session]) -> None:
        self.random = random.Random(seed)
        self.sessions = sessions
        self.open: dict[int, set[int]] = {}
        """The keys that each session's transaction holds: no other may wait for them."""
        self.versions = 0

    def step(self) -> None:
        number = self.random.randrange(len(self.sessions))
        session = self.sessions[number]
        if number not in self.open:
            session.do("BEGIN; SELECT now()")  # the cursor's values are chosen here
            self.open[number] = set()
        elif self.random.random() < 0.3:
            session.do(self.random.choice(["COMMIT", "COMMIT", "ROLLBACK"]))
            del self.open[number]
        else:
            self._write(number)

    def _write(self, number: int) -> None:
        taken = {key for other, keys in self.open.items() if other != number for key in keys}
        free = [key for key in range(KEYS) if key not in taken]
        if not free:
            return
        key = self.random.choice(free)
        self.open[number].add(key)
        self.versions += 1
        cursor = self.random.choice(["now()", "clock_timestamp()", "'2020-01-01'", "NULL"])
        statements = {
            "put": f"INSERT INTO t VALUES ({key}, {self.versions}, {cursor}) ON CONFLICT (id) DO UPDATE "
            f"SET v = {self.versions}, updated_at = {cursor}",
            "undone": f"SAVEPOINT s; DELETE FROM t WHERE id = {key}; ROLLBACK TO s",
            "delete": f"DELETE FROM t WHERE id = {key}",
        }
        kind = self.random.choice(["put", "put", "put", "put", "undone", "delete"])
        if self.random.random() < 0.3:
            self.sessions[number].do("SAVEPOINT sub")
        assert self.sessions[number].do(statements[kind]) == []

    def end(self) -> None:
        for number in self.open:
            self.sessions[number].do("COMMIT")
        self.open = {}


@pytest.mark.parametrize("seed", seeds(HISTORIES, quick=2, every=30))
def test_every_version_that_a_run_can_see_lands_once(source: Make, postgres: Postgres, sql: Any, seed: int) -> None:
    sql("CREATE TABLE t (id int PRIMARY KEY, v int, updated_at timestamptz)")
    project = source(f"table: public.t, cursor: updated_at, partitions: {1 + seed % 3}")
    seen: list[set[tuple[int, int]]] = []
    with ExitStack() as stack:
        history = History(seed, [stack.enter_context(postgres.session()) for _ in range(SESSIONS)])
        for _ in range(5):
            for _ in range(STEPS // 5):
                history.step()
            ingested(project)
            seen.append({(int(row[0]), int(row[1])) for row in sql("SELECT id, v FROM t")})
        history.end()
    ingested(project)
    seen.append({(int(row[0]), int(row[1])) for row in sql("SELECT id, v FROM t")})
    landed = [(row["id"], row["v"]) for row in Landed(project, "t").kinds["record"]]
    assert set(landed) == set().union(*seen)
    assert len(landed) == len(set(landed))
    assert ingested(project).status == "unchanged"
