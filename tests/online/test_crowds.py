"""Keys that are looked up while they are published: never a torn record, and no key's version goes back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest
from feast import FeatureStore

from lakehouse.features.engine import publish_view
from tests.online.crowd import Reader, crowd, opened
from tests.online.stores import START, STORES, write
from tests.online.tens import LOOKS

MILLION, TURNS = 1_000_000, 5


def published_beside(
    folder: Path,
    store: FeatureStore,
    size: int,
    feed: bool,
    turns: int,
    looks: Callable[[], list[int]],
    ended: Callable[[], bool],
) -> None:
    """Turn by turn, each of which every reader sees the beginning of."""
    for turn in range(1, turns + 1):
        write(folder, "t", crowd(size, turn), "overwrite", feed)
        before = looks()
        view = store.get_feature_view("t")
        assert publish_view(store.config, store.provider.online_store, view, START).rows == size
        while any(now == then for now, then in zip(looks(), before, strict=True)) and not ended():
            time.sleep(0.01)


def first(folder: Path, kind: str, size: int, feed: bool) -> FeatureStore:
    write(folder, "t", crowd(size, 0), feed=feed)
    store = opened(folder, kind, apply=True)
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    return store


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("feed", [True, False])
def test_keys_are_looked_up_while_they_are_published(tmp_path: Path, kind: str, feed: bool) -> None:
    """By threads of the publisher's process; a full refresh is seen whole or not at all."""
    size = 5_000
    store, over, looks = first(tmp_path, kind, size, feed), Event(), [0, 0]
    readers = [Reader(opened(tmp_path, kind, apply=False), size, feed, how) for how in LOOKS]

    def look(place: int) -> None:
        def looked() -> None:
            looks[place] += 1

        readers[place].look(LOOKS[place], over.is_set, looked)

    threads = [Thread(target=look, args=(place,)) for place in range(len(LOOKS))]
    for thread in threads:
        thread.start()
    try:
        ended = lambda: not all(thread.is_alive() for thread in threads)  # noqa: E731
        published_beside(tmp_path, store, size, feed, 8, lambda: list(looks), ended)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    for reader in readers:
        assert not reader.wrong, reader.wrong[:3]


@pytest.mark.torture
@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("feed", [True, False])
def test_a_million_keys_are_looked_up_by_other_processes(tmp_path: Path, kind: str, feed: bool) -> None:
    store = first(tmp_path, kind, MILLION, feed)
    command = [sys.executable, "-W", "ignore", "-m", "tests.online.crowd", str(tmp_path), kind]
    root, files = Path(__file__).parents[2], [tmp_path / f"looks-{how}" for how in LOOKS]
    readers = [
        subprocess.Popen([*command, how, str(MILLION), str(feed)], cwd=root, stdout=subprocess.PIPE, text=True)
        for how in LOOKS
    ]

    def looks() -> list[int]:
        return [file.stat().st_size if file.exists() else 0 for file in files]

    def ended() -> bool:
        return any(reader.poll() is not None for reader in readers)

    try:
        while 0 in looks() and not ended():
            time.sleep(0.1)
        published_beside(tmp_path, store, MILLION, feed, TURNS, looks, ended)
    finally:
        (tmp_path / "over").touch()
        said = [reader.communicate(timeout=120)[0].strip() for reader in readers]
    assert said == ["right", "right"], said
    print(f"{looks()} looks at 1,200 keys each")
