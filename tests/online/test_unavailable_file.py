"""A SQLite file that others hold, replace, delete or forbid: an error with a name, and right answers after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from tests.online.holders import copied
from tests.online.stores import feast_store, online_store, write
from tests.online.tens import LOOKS, NUMBERS, look, looked_up, opened, publish, refused, right, rows, within_reason

HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    held.execute(statement)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(file: Path, *statements: str) -> Iterator[None]:
    """The file in another process, which has said something to it."""
    command = [sys.executable, "-S", "-c", HOLD, str(file), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            other.communicate(timeout=30)


@pytest.fixture
def on_file(tmp_path: Path) -> FeatureStore:
    store = opened(tmp_path, online_store("sqlite", tmp_path, timeout_s=0.2))
    publish(store)
    return store


@pytest.mark.parametrize("how", LOOKS)
def test_a_file_that_another_process_writes(on_file: FeatureStore, tmp_path: Path, how: str) -> None:
    """Readers go on, publishers wait for their time."""
    write(tmp_path, "t", rows(1), "overwrite")
    with held(tmp_path / "online.db", "BEGIN EXCLUSIVE"):
        assert looked_up(on_file, how) == right()
        refused(within_reason(lambda: publish(on_file)), "can't be written", "locked")
    assert publish(on_file) == "done"
    assert looked_up(on_file, how) == right(1)


@pytest.mark.parametrize("how", LOOKS)
def test_a_file_that_another_process_has_for_itself(on_file: FeatureStore, tmp_path: Path, how: str) -> None:
    on_file.provider.online_store.holder(on_file.config).close()
    alone = "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA journal_mode = DELETE", "BEGIN EXCLUSIVE"
    with held(tmp_path / "online.db", *alone):
        store = feast_store(tmp_path, online_store("sqlite", tmp_path, timeout_s=0.2))
        refused(within_reason(lambda: look(store, how, 7)), "can't be read", "locked")
        refused(within_reason(lambda: publish(store)), "can't be written", "locked")
        store.config.online_store.unavailable = "null"
        got = look(store, how, 7)
        assert FieldStatus.Name(got.proto.results[1].statuses[0]) == "INVALID"
    store.config.online_store.unavailable = "error"
    assert looked_up(store, how) == right()


@pytest.mark.parametrize("how", LOOKS)
def test_a_file_that_vanishes_and_comes_back(on_file: FeatureStore, tmp_path: Path, how: str) -> None:
    """Without it there is nothing of any key; whichever file is there then is the one that is read."""
    file, away = tmp_path / "online.db", tmp_path / "away.db"
    copied(file, away)
    write(tmp_path, "t", rows(1), "overwrite")
    publish(on_file)
    assert looked_up(on_file, how) == right(1)
    for one in tmp_path.glob("online.db*"):
        one.unlink()
    assert looked_up(on_file, how) == [None] * len(NUMBERS)
    copied(away, file)
    assert looked_up(on_file, how) == right()
    assert publish(on_file) == "done"
    assert looked_up(on_file, how) == right(1)
    for one in tmp_path.glob("online.db*"):
        one.unlink()
    assert publish(on_file) == "done"
    assert looked_up(on_file, how) == right(1)


def test_a_file_that_vanishes_under_its_publisher(on_file: FeatureStore, tmp_path: Path) -> None:
    write(tmp_path, "t", rows(1), "overwrite")
    online, kept = on_file.provider.online_store, type(on_file.provider.online_store).publication

    @contextmanager
    def vanishing(*given: Any, **named: Any) -> Iterator[Any]:
        with kept(online, *given, **named) as into:
            for one in tmp_path.glob("online.db*"):
                one.unlink()
            yield into

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "publication", vanishing)
        refused(within_reason(lambda: publish(on_file)), "online.db")
    assert publish(on_file) == "done"
    assert looked_up(on_file, "sync") == right(1)


@pytest.mark.parametrize("how", LOOKS)
def test_what_is_no_database(on_file: FeatureStore, tmp_path: Path, how: str) -> None:
    file = tmp_path / "online.db"
    on_file.provider.online_store.holder(on_file.config).close()
    for one in tmp_path.glob("online.db*"):
        one.unlink()
    file.write_bytes(b"no database" * 999)
    refused(within_reason(lambda: look(on_file, how, 7)), "can't be read", "not a database")
    refused(within_reason(lambda: publish(on_file)), "can't be written", "delete it")
    file.unlink()
    assert publish(on_file) == "done"
    assert looked_up(on_file, how) == right()


def test_a_folder_that_can_not_be_written_to(tmp_path_factory: pytest.TempPathFactory) -> None:
    """SQLite's log stands beside the file, for readers too."""
    folder = Path(os.path.realpath(tmp_path_factory.mktemp("folder")))
    away = folder / "store"
    away.mkdir()
    store = opened(folder, {**online_store("sqlite", away), "timeout_s": 0.2})
    publish(store)
    assert looked_up(store, "sync") == right()
    store.provider.online_store.holder(store.config).close()
    write(folder, "t", rows(1), "overwrite")
    away.chmod(0o555)
    for one in away.iterdir():
        one.chmod(0o444)
    with nobody(folder):
        refused(within_reason(lambda: publish(store)), "can't be written")
        refused(within_reason(lambda: look(store, "sync", 7)), "can't be read")
    away.chmod(0o755)
    for one in away.iterdir():
        one.chmod(0o644)
    assert publish(store) == "done"
    assert looked_up(store, "sync") == right(1)


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """As a user to whom rights apply: root has all of them."""
    if os.geteuid() != 0:
        yield
        return
    closed = [one for one in (folder, *folder.parents) if one.stat().st_mode & 0o055 != 0o055]
    modes = [one.stat().st_mode for one in closed]
    for one, mode in zip(closed, modes, strict=True):
        one.chmod(mode | 0o055)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for one, mode in zip(closed, modes, strict=True):
            one.chmod(mode)
