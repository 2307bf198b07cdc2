"""Many keys that are published again and again, and readers that look at them all the time.

Usage: python -m tests.online.crowd FOLDER STORE sync|async SIZE FEED: such a reader, in a process of its own. It
goes on until FOLDER/over is there, and prints what was wrong.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast import FeatureStore, Field
from feast.types import Int64, String

from tests.online.stores import START, US, applied, feast_store, keys_of, online_store, view_of

AT_ONCE = 400


def crowd(size: int, turn: int) -> pa.Table:
    """Each key at a turn: the turn, and a text that tells of both, of another length each time."""
    numbers = list(range(size))
    return pa.table(
        {
            "id": pa.array(numbers, pa.int64()),
            "at": pa.array([START - timedelta(hours=1)] * size, US),
            "a": pa.array([turn] * size, pa.int64()),
            "b": pa.array([text_of(number, turn) for number in numbers]),
        }
    )


def text_of(number: int, turn: int) -> str:
    return f"{number}/{turn}" * (1 + turn % 3)


def opened(folder: Path, kind: str, apply: bool) -> FeatureStore:
    store = feast_store(folder, online_store(kind, folder, as_of=START))
    fields = [Field(name="a", dtype=Int64), Field(name="b", dtype=String)]
    return applied(store, [keys_of(), view_of(folder, "t", fields, [keys_of()])]) if apply else store


class Reader:
    """Looks at drawn keys; ``wrong`` gets what no version of the table ever said, or had said before."""

    def __init__(self, store: FeatureStore, size: int, feed: bool, seed: str) -> None:
        self.store, self.size, self.feed = store, size, feed
        self.draw = random.Random(seed)
        self.newest = [0] * size
        self.wrong: list[Any] = []

    def look(self, how: str, over: Callable[[], bool], looked: Callable[[], object]) -> None:
        if how == "async":
            asyncio.run(self._look_async(over, looked))
            return
        while not over() and not self.wrong:
            for keys in self._drawn():
                self._judge(keys, self.store.get_online_features(["t:a", "t:b"], {"id": keys}))
            looked()

    async def _look_async(self, over: Callable[[], bool], looked: Callable[[], object]) -> None:
        while not over() and not self.wrong:
            drawn = self._drawn()
            asked = [self.store.get_online_features_async(["t:a", "t:b"], {"id": keys}) for keys in drawn]
            for keys, got in zip(drawn, await asyncio.gather(*asked), strict=True):
                self._judge(keys, got)
            looked()
        await self.store.provider.online_store.close()

    def _drawn(self) -> list[list[int]]:
        keys = self.draw.sample(range(self.size), 3 * AT_ONCE)
        return [keys[start : start + AT_ONCE] for start in range(0, len(keys), AT_ONCE)]

    def _judge(self, keys: list[int], response: Any) -> None:
        got = response.to_dict()
        for key, turn, text in zip(keys, got["a"], got["b"], strict=True):
            if turn is None or text != text_of(key, turn) or turn < self.newest[key]:
                self.wrong.append((key, turn, text, self.newest[key]))
            else:
                self.newest[key] = turn
        if not self.feed and len(set(got["a"])) > 1:
            self.wrong.append(("half of a refresh", set(got["a"])))


if __name__ == "__main__":
    folder, kind, how, size, feed = sys.argv[1:]
    reader = Reader(opened(Path(folder), kind, apply=False), int(size), feed == "True", how)
    with (Path(folder) / f"looks-{how}").open("ab", buffering=0) as looks:
        reader.look(how, (Path(folder) / "over").exists, lambda: looks.write(b"."))
    print(reader.wrong[:3] or "right")
