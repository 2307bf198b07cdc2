"""What a publish reads: nothing of the table where its feed says all that there is to say."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from feast import FeatureStore, Field
from feast.types import Int64

from lakehouse.features import engine
from lakehouse.features.engine import publish_view
from lakehouse.features.reading import OpenTable
from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write

Row = tuple[int, int, int | None, int]
"""A key, the hours of its event and its created time, and its value."""
SIZE = 200


def rows_of(rows: list[Row]) -> pa.Table:
    def hours(spot: int) -> pa.Array:
        return pa.array([None if row[spot] is None else START + row[spot] * HOUR for row in rows], US)  # type: ignore

    return pa.table({"id": [row[0] for row in rows], "at": hours(1), "made": hours(2), "a": [row[3] for row in rows]})


class Shop:
    """A table of SIZE keys, all at hour 0, that is published; key 0 is gone, and key 1 has a row ahead."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        write(folder, "t", rows_of([(key, 0, 0, 0) for key in range(SIZE)]))
        source = {"created_timestamp_column": "made"}
        view = view_of(folder, "t", [Field(name="a", dtype=Int64)], [keys_of()], source=source)
        self.store: FeatureStore = applied(feast_store(folder, online_store(kind, folder)), [keys_of(), view])
        self.publish()
        self.add((1, 99, 0, 99))
        self.table.delete("id = 0")
        self.publish()

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.folder / "t")

    def add(self, *rows: Row) -> None:
        write(self.folder, "t", rows_of(list(rows)))

    def publish(self, now: datetime = START + 10 * HOUR) -> int:
        view = self.store.get_feature_view("t")
        return publish_view(self.store.config, self.store.provider.online_store, view, now).rows

    def answers(self, *keys: int) -> list[Any]:
        self.store.config.online_store.as_of = START + 10 * HOUR
        return self.store.get_online_features(["t:a"], {"id": list(keys)}).to_dict()["a"]


READ: dict[str, tuple[Callable[[Shop], object], list[int | None]]] = {
    "earlier": (lambda shop: shop.add((2, -1, 0, 7)), [0]),
    "as late, created earlier": (lambda shop: shop.add((2, 0, None, 7)), [0]),
    "a tie": (lambda shop: shop.add((2, 0, 0, -7)), [0]),
    "dated ahead": (lambda shop: shop.add((2, 1, 0, 7), (2, 11, 0, 8)), [7]),
    "deleted again": (
        lambda shop: (shop.add((2, 2, 0, 7), (2, 1, 0, 5)), shop.table.delete("at = '2026-01-01T02:00:00Z'")),
        [5],
    ),
    "deleted": (lambda shop: shop.table.delete("id = 2"), [None]),
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The keys that were looked for in the table."""
    asked: list[list[int]] = []
    read = OpenTable.read_where

    def spy(self: OpenTable, columns: Any, keys: pa.Table, *more: Any) -> pa.Table:
        asked.append(sorted(keys["id"].to_pylist()))
        return read(self, columns, keys, *more)

    monkeypatch.setattr(OpenTable, "read_where", spy)
    return asked


@pytest.mark.parametrize("kind", STORES)
def test_a_row_that_is_later_than_all_before_needs_no_table(tmp_path: Path, kind: str, reads: list[list[int]]) -> None:
    """Of a key that has a record, or a tombstone; by its created time too; as an update; and of several the newest."""
    shop = Shop(tmp_path, kind)
    reads.clear()
    shop.add((0, 1, 0, 5), (2, 0, 1, 6), (3, 2, 0, 7), (3, 1, 0, 4))
    shop.table.update({"a": "8", "at": "at + interval '1 hour'"}, predicate="id = 4")
    assert (shop.publish(), reads) == (4, [])
    assert shop.answers(0, 2, 3, 4) == [5, 6, 7, 8]


@pytest.mark.parametrize("what", READ)
def test_else_the_table_is_read_for_that_key_alone(tmp_path: Path, what: str, reads: list[list[int]]) -> None:
    shop = Shop(tmp_path, "sqlite")
    reads.clear()
    change, expected = READ[what]
    shop.add((3, 1, 0, 33))
    change(shop)
    assert (shop.publish(), reads) == (2, [[2]])
    assert shop.answers(2, 3) == [*expected, 33]


def test_a_key_without_a_record_and_many_keys_are_read(tmp_path: Path, reads: list[list[int]]) -> None:
    shop = Shop(tmp_path, "sqlite")
    reads.clear()
    shop.add((SIZE, 1, 0, 5))
    assert (shop.publish(), reads) == (1, [[SIZE]])
    reads.clear()
    many = random.Random(1).sample(range(2, SIZE), SIZE // engine.FEW + 2)
    shop.add(*((key, 3, 0, 5) for key in many))
    assert (shop.publish(), reads) == (len(many), [sorted(many)])
    assert shop.answers(SIZE, *many) == [5] * (len(many) + 1)
