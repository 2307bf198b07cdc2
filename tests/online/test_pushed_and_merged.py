"""A pushed row that has come into its table is a row of the table: what becomes of that, a look-up gives."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureStore, Field
from feast.types import Int64

from lakehouse.features.engine import publish_view
from lakehouse.kernels.reader import supersedes
from lakehouse.kernels.record import UNKNOWN, Layout, encode
from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write

NOW = 9
"""Hours after START: when all publishes and look-ups are."""
KEYS = [1, 2, 3]
Rows = dict[tuple[int, int], int]
"""The table: key and hour -> value."""


class Shop:
    """A table, what was pushed beside it, and which of that has not come into the table yet."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.rows, self.pushed = folder, dict[tuple[int, int], int](), dict[int, tuple[int, int]]()
        self.set({(1, 1): 10, (2, 1): 20})
        at = START + NOW * HOUR
        view = view_of(folder, "t", [Field(name="a", dtype=Int64)], [keys_of()])
        self.store: FeatureStore = applied(feast_store(folder, online_store(kind, folder, as_of=at)), [keys_of(), view])
        self.publish()

    def set(self, rows: Rows, feed: bool = True) -> None:
        """Make the table hold these rows, by a delete and an append, or as a whole where the feed shall not tell."""
        before, self.rows = self.rows, rows
        gone = [f"(id = {key} AND a = {before[key, hour]})" for key, hour in before if rows.get((key, hour)) is None]
        new = {at: value for at, value in rows.items() if before.get(at) != value}
        changed = [f"(id = {key} AND a = {before[key, hour]})" for key, hour in new if (key, hour) in before]
        if not feed:
            write_deltalake(self.folder / "t", self.table(rows), mode="overwrite")
            return
        if gone or changed:
            from deltalake import DeltaTable

            DeltaTable(self.folder / "t").delete(" OR ".join(gone + changed))
        if new:
            write(self.folder, "t", self.table(new))

    @staticmethod
    def table(rows: Rows) -> pa.Table:
        return pa.table(
            {
                "id": pa.array([key for key, _ in rows], pa.int64()),
                "at": pa.array([START + hour * HOUR for _, hour in rows], US),
                "a": pa.array(list(rows.values()), pa.int64()),
            }
        )

    def push(self, key: int, hour: int, value: int) -> None:
        frame = pd.DataFrame({"id": [key], "at": [START + hour * HOUR], "a": [value]})
        self.store.write_to_online_store("t", frame)
        if key not in self.pushed or self.pushed[key][0] <= hour:
            self.pushed[key] = hour, value

    def publish(self) -> None:
        view = self.store.get_feature_view("t")
        publish_view(self.store.config, self.store.provider.online_store, view, START + NOW * HOUR)
        for key, (hour, _) in list(self.pushed.items()):
            if any(own == key and at >= hour for own, at in self.rows):
                del self.pushed[key]  # the table has it, or one that is later

    def served(self) -> list[Any]:
        return list(self.store.get_online_features(["t:a"], {"id": KEYS}).to_dict()["a"])

    def trained(self) -> list[Any]:
        frame = pd.DataFrame({"id": KEYS, "event_timestamp": [START + NOW * HOUR] * len(KEYS)})
        found = self.store.get_historical_features(frame, ["t:a"]).to_arrow()["a"].to_pylist()
        assert found == [self.newest(key) for key in KEYS]
        return found

    def newest(self, key: int) -> int | None:
        own = {hour: value for (of, hour), value in self.rows.items() if of == key}
        return own[max(own)] if own else None

    def wanted(self) -> list[Any]:
        """What is pushed, where it is later than all that the table has; else what training says."""
        last = {key: max((hour for of, hour in self.rows if of == key), default=-1) for key in KEYS}
        return [
            self.pushed[key][1] if key in self.pushed and self.pushed[key][0] > last[key] else self.newest(key)
            for key in KEYS
        ]


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("feed", [True, False])
def test_what_came_into_the_table_and_left_it(tmp_path: Path, kind: str, feed: bool) -> None:
    shop = Shop(tmp_path, kind)
    shop.push(1, 5, 50)
    shop.push(2, 5, 51)
    assert shop.served() == [50, 51, None]
    shop.set({(1, 1): 10, (1, 5): 50, (2, 1): 20}, feed)
    shop.publish()
    assert shop.served() == [50, 51, None] != shop.trained(), "the second one is still pushed alone"
    shop.set({(1, 1): 10, (2, 1): 21}, feed)
    shop.publish()
    assert shop.served() == [10, 51, None]
    shop.push(1, 7, 70)
    shop.set({(1, 1): 10, (1, 7): 70, (2, 1): 21, (2, 6): 60}, feed)
    shop.publish()
    shop.set({(1, 1): 10, (1, 6): 71, (2, 1): 21}, feed)  # the one is dated earlier, the other has gone
    shop.publish()
    assert shop.served() == [71, 21, None] == shop.trained()


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("seed", range(3))
def test_any_history(tmp_path: Path, kind: str, seed: int) -> None:
    draw = random.Random(seed)
    shop = Shop(tmp_path, kind)
    values = iter(range(1000, 2000))
    for _ in range(12):
        rows = dict(shop.rows)
        for _ in range(draw.randrange(3)):
            if rows and len({key for key, _ in rows}) > 1 and draw.random() < 0.5:
                rows.pop(draw.choice([at for at in rows if sum(key == at[0] for key, _ in rows) > 1] or [(0, 0)]), None)
            else:
                rows[draw.choice(KEYS), draw.randrange(NOW)] = next(values)
        for key, (hour, value) in shop.pushed.items():
            if draw.random() < 0.4:
                rows[key, hour] = value  # what was pushed comes into the table
        if draw.random() < 0.5:
            shop.push(draw.choice(KEYS), draw.randrange(NOW), next(values))
        shop.set(rows, feed=draw.random() < 0.8)
        shop.publish()
        assert shop.served() == shop.wanted()
        shop.trained()


def row(*times: tuple[int, int]) -> bytes:
    layout = Layout((("a", "int64"),))
    events, created = (np.array([one[spot] for one in times], np.int64) for spot in (0, 1))
    return encode(layout, pa.table({"a": events}), events, created, 1, np.array([len(times)]))[0]


@pytest.mark.parametrize(
    ("record", "pushed", "done"),
    [
        ([(5, UNKNOWN)], [(5, UNKNOWN)], True),
        ([(5, 2)], [(5, 1)], True),
        ([(5, 1)], [(5, 2)], False),
        ([(4, 9)], [(5, 1)], False),
        ([(6, 1)], [(5, 2)], True),
        ([(1, 1), (20, 1)], [(5, 1)], False),  # what is dated ahead is not later yet
        ([(1, 1), (20, 1)], [(20, 1)], True),
        ([(1, 1), (20, 1)], [(5, 1), (20, 1)], False),
        ([(5, 1), (20, 1)], [(5, 1), (20, 1)], True),
    ],
)
def test_when_it_has_come(record: Sequence[tuple[int, int]], pushed: Sequence[tuple[int, int]], done: bool) -> None:
    assert supersedes(row(*record), row(*pushed), now=10) is done
