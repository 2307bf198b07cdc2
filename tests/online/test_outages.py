"""Publishing with faults: whatever befell the store and its publisher, the next run leaves what the table says; and
until then every reader has each key's row from before, or from after.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import pytest
from feast import FeatureStore, Field, ValueType
from feast.types import Int64, String

from lakehouse.errors import LakehouseError, OnlineStoreError
from lakehouse.features import records
from lakehouse.features.cursor import Published
from lakehouse.features.engine import publish_view
from tests.features.histories import KEYS, History, due
from tests.online.outages import KINDS, Killed, lease_runs_out, outage
from tests.online.stores import START, STORES, applied, cases, feast_store, keys_of, online_store, view_of

FIELDS = [Field(name="a", dtype=Int64), Field(name="b", dtype=String)]
ENTITIES = [keys_of(), keys_of("sub", ValueType.STRING)]
ROOT = Path(__file__).parents[2]
Rows = list[tuple[object, object]]


def make(folder: Path, kind: str, apply: bool = True) -> FeatureStore:
    store = feast_store(folder, online_store(kind, folder, as_of=START))
    view = view_of(folder, "t", FIELDS, ENTITIES, source={"created_timestamp_column": "made"})
    return applied(store, [*ENTITIES, view]) if apply else store


def publish(store: FeatureStore, now: datetime = START) -> Published:
    return publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), now)


def served(store: FeatureStore) -> Rows:
    keys = [{"id": number, "sub": sub} for number, sub in KEYS]
    got = store.get_online_features(["t:a", "t:b"], keys).to_dict()
    return list(zip(got["a"], got["b"], strict=True))


def expected(history: History) -> Rows:
    seen = [due(history.rows, key, START, True, "ab") for key in KEYS]
    return [(None, None) if row is None else (row.a, row.b) for row in seen]


@pytest.mark.parametrize(("kind", "seed"), cases("tests/online/test_outages.py::test_outages", quick=10, every=100))
def test_outages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, seed: int) -> None:
    monkeypatch.setattr(records, "BATCH", 3)
    draw = random.Random(seed)
    history = History(tmp_path / "t", draw, feed=draw.random() < 0.5)
    make(tmp_path, kind)
    publish(make(tmp_path, kind, apply=False))
    before = expected(history)
    for _ in range(3):
        draw.choice([history.append, history.merge, history.delete])()
    after = expected(history)
    fault = KINDS[seed % len(KINDS)]
    struck = 0
    for most in (4, 12, 40, 40):
        store = make(tmp_path, kind, apply=False)
        at, ended = draw.randrange(1, most), suppress(Killed if fault == "killed" else OnlineStoreError)
        with outage(kind, tmp_path / "online.db", fault, at, draw.random() < 0.5) as strike, ended:
            publish(store)
        struck += strike.struck
        reader = make(tmp_path, kind, apply=False)
        seen = served(reader)
        assert all(one in pair for one, *pair in zip(seen, before, after, strict=True)), (seed, fault, at)
        if not history.feed:
            assert seen in (before, after), f"seed {seed}: a full refresh was seen by half ({fault} at {at})"
    store = make(tmp_path, kind, apply=False)
    publish(store)
    assert served(store) == after, (seed, fault)
    assert publish(store).status == "unchanged"
    assert struck, f"seed {seed}: no outage came"


def attempt(store: FeatureStore) -> str:
    """How a publish ended, in a word."""
    try:
        return publish(store).status
    except LakehouseError as error:
        return type(error).__name__


@pytest.mark.parametrize("kind", STORES)
def test_two_publishers_at_once(tmp_path: Path, kind: str) -> None:
    """One publishes, the other one says that somebody does or finds it done; the rows are right after each round."""
    draw = random.Random(3)
    history = History(tmp_path / "t", draw)
    stores = [make(tmp_path, kind), make(tmp_path, kind, apply=False)]
    with ThreadPoolExecutor(2) as threads:
        for _ in range(8):
            history.append()
            ended = list(threads.map(attempt, stores))
            assert "done" in ended and {*ended} <= {"done", "unchanged", "LockedError"}, ended
            assert served(stores[0]) == expected(history)


PUBLISHER = """
import sys
from pathlib import Path
from lakehouse.features import records
from tests.online.test_outages import attempt, make
records.BATCH = 3
store = make(Path(sys.argv[1]), sys.argv[2], apply=False)
print("ready", flush=True)
for _ in sys.stdin:
    print(attempt(store), flush=True)
"""


@pytest.mark.parametrize("kind", STORES)
def test_two_publishers_of_two_processes(tmp_path: Path, kind: str) -> None:
    """Both begin at the same moment, again and again."""
    history = History(tmp_path / "t", random.Random(5))
    reader = make(tmp_path, kind)
    begin = [sys.executable, "-W", "ignore", "-c", PUBLISHER, str(tmp_path), kind]
    with ExitStack() as children:
        both = [
            children.enter_context(
                subprocess.Popen(begin, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(2)
        ]
        assert [_line(child) for child in both] == ["ready", "ready"]
        for _ in range(20):
            history.append()
            for child in both:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            ended = [_line(child) for child in both]
            assert "done" in ended and {*ended} <= {"done", "unchanged", "LockedError"}, ended
            assert served(reader) == expected(history)
        for child in both:
            child.communicate(timeout=30)
            assert child.returncode == 0


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


CHILD = """
import os, signal, sys
from pathlib import Path
from lakehouse.features import records
from tests.online.test_outages import make, publish
records.BATCH = 3
store = make(Path(sys.argv[1]), sys.argv[2], apply=False)
online, left, kept = store.provider.online_store, [int(sys.argv[3])], store.provider.online_store.publication
def dying(call):
    def instead(*given):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given)
    return instead
from contextlib import contextmanager
@contextmanager
def publication(**named):
    with kept(**named) as into:
        for name in ("mark", "refresh", "write", "finish"):
            setattr(into, name, dying(getattr(into, name)))
        yield into
online.publication = publication
publish(store)
"""


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("at", [3, *(pytest.param(at, marks=pytest.mark.torture) for at in (1, 2, 4, 5))])
def test_kill_9_of_the_publisher(tmp_path: Path, kind: str, at: int) -> None:
    """At the n-th of its steps, of which there are five."""
    history = History(tmp_path / "t", random.Random(at))
    store = make(tmp_path, kind)
    publish(store)
    history.append()
    history.append()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path), kind, str(at)], cwd=ROOT, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    lease_runs_out(kind, tmp_path)
    publish(store)
    assert served(store) == expected(history)
