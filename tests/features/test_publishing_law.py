"""Law 6: after each publish the online store is what the table's version says, at every moment from then on; and
law 5: it is what training computes at that moment. Whatever was committed before, and whatever befell the publisher.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore, FeatureView, Field, ValueType
from feast.types import Int64, String

from lakehouse.features import changed, engine, records
from lakehouse.features.cursor import Published
from lakehouse.features.engine import publish_view
from tests.features.histories import HOUR, KEYS, History, Row, due
from tests.online.holders import FileHolder, ServerHolder, holder
from tests.online.stores import START, STORES, applied, cases, feast_store, keys_of, online_store, view_of

HERE = "tests/features/test_publishing_law.py"
LONG, QUICK, STEPS = 200, 6, 14
FIELDS = {"a": Field(name="a", dtype=Int64), "b": Field(name="b", dtype=String)}
TTL = {"v": None, "w": 10 * HOUR, "pinned": None}


class Killed(BaseException):
    """The publisher is gone, at once."""


class World:
    """A table, three views of it, an online store, and what that must answer."""

    def __init__(self, folder: Path, online: dict[str, Any], draw: random.Random) -> None:
        self.folder, self.draw = folder, draw
        self.history = History(folder / "t", draw, feed=draw.random() < 0.8)
        self.store = feast_store(folder, online)
        self.features = {"v": "ab", "w": "b", "pinned": "a"}
        self.pin = 0
        self.shown: dict[str, list[Row]] = {}
        """What each view was last published from."""
        self.named: dict[str, set[object] | None] = dict.fromkeys(self.features)
        """The keys that commits touched since a view was published; None where it must be published whole."""
        self.now = START
        self.copies: list[Path] = []
        self.define()

    def view(self, name: str) -> FeatureView:
        made = {"created_timestamp_column": "made"} if name != "w" else {}
        source = {**made, "version": self.pin} if name == "pinned" else made
        view = view_of(
            self.folder,
            "t",
            [FIELDS[one] for one in self.features[name]],
            [keys_of(), keys_of("sub", ValueType.STRING)],
            ttl=TTL[name],
            source=source,
        )
        view.name = view.projection.name = name
        return view

    def define(self) -> None:
        views = [self.view(name) for name in self.features]
        for view in views:
            view.batch_source.name = f"{view.name}_source"
        applied(self.store, [keys_of(), keys_of("sub", ValueType.STRING), *views])

    def publish(self, name: str) -> Published:
        view = self.store.get_feature_view(name)
        return publish_view(self.store.config, self.store.provider.online_store, view, self.now)

    def publish_all(self) -> None:
        history = self.history
        if self.pin not in history.versions:
            self.repin()
        for name in self.features:
            rows = history.versions[self.pin] if name == "pinned" else history.rows
            got = self.publish(name)
            again = self.publish(name)
            assert (again.status, again.rows) == ("unchanged", 0)
            touched = self.named[name]
            if touched is not None and name != "pinned":
                assert got.why == "", got
                assert got.rows <= len({key for key in touched if None not in key})  # type: ignore[attr-defined]
            self.shown[name], self.named[name] = rows, set()

    def committed(self) -> None:
        """Tell every view what the last steps touched."""
        for name, touched in self.named.items():
            if touched is not None:
                self.named[name] = touched | self.history.touched if self.history.told else None
        self.history.touched, self.history.told = set(), True

    def lost(self) -> None:
        self.named = dict.fromkeys(self.features)

    def repin(self) -> None:
        self.pin = self.draw.choice(list(self.history.versions))
        self.define()

    def redefine(self) -> None:
        name = self.draw.choice(["v", "w"])
        self.features[name] = self.draw.choice([one for one in ("ab", "b", "a") if one != self.features[name]])
        self.named[name] = None
        self.define()

    def check(self) -> None:
        for later in (0, 1, 9, 31):
            now = self.now + later * HOUR
            for name, rows in self.shown.items():
                expected = [self.expected(name, rows, key, now) for key in KEYS]
                assert self.answers(name, now) == expected, (name, now)
                if name != "pinned" and rows is self.history.rows:
                    assert self.trained(name, now) == expected, (name, now)

    def expected(self, name: str, rows: list[Row], key: Any, now: datetime) -> list[Any]:
        features = self.features[name]
        row = due(rows, key, now, name != "w", features)
        ttl = TTL[name]
        if row is None or row.at is None or (ttl and row.at < now - ttl):
            return [None] * len(features)
        return [getattr(row, one) for one in features]

    def answers(self, name: str, now: datetime) -> list[list[Any]]:
        self.store.config.online_store.as_of = now
        keys = [{"id": number, "sub": sub} for number, sub in KEYS]
        got = self.store.get_online_features([f"{name}:{one}" for one in self.features[name]], keys).to_dict()
        return [[got[one][spot] for one in self.features[name]] for spot in range(len(KEYS))]

    def trained(self, name: str, now: datetime) -> list[list[Any]]:
        frame = pd.DataFrame({"id": [key[0] for key in KEYS], "sub": [key[1] for key in KEYS], "event_timestamp": now})
        asked = [f"{name}:{one}" for one in self.features[name]]
        got = self.store.get_historical_features(frame, asked).to_arrow()
        return [[got[one][spot].as_py() for one in self.features[name]] for spot in range(len(KEYS))]


def interrupted(publish: Callable[[], object], store: FeatureStore, at: int, patch: pytest.MonkeyPatch) -> bool:
    """Publish, and be killed before the ``at``-th thing that is written; whether that was."""
    online = store.provider.online_store
    left = [at]

    def dying(call: Any) -> Any:
        def instead(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return call(*given, **named)

        return instead

    kept = online.publication

    class Dying:
        def __init__(self, **named: Any) -> None:
            self.opened = kept(**named)

        def __enter__(self) -> Any:
            into = self.opened.__enter__()
            for name in ("mark", "refresh", "write", "finish"):
                setattr(into, name, dying(getattr(into, name)))
            return into

        def __exit__(self, *error: Any) -> Any:
            return self.opened.__exit__(*error)

    with patch.context() as here:
        here.setattr(online, "publication", lambda config, view, layout: Dying(config=config, view=view, layout=layout))
        try:
            publish()
        except Killed:
            return True
    return False


def interrupted_at(owner: Any, name: str, at: int, patch: pytest.MonkeyPatch) -> None:
    """From the ``at``-th call of a method on nothing happens but that the publisher is killed."""
    left, call = [at], getattr(owner, name)

    def instead(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] <= 0:
            raise Killed
        return call(*given, **named)

    patch.setattr(owner, name, instead)


@pytest.mark.parametrize(
    ("kind", "seed"), cases("tests/features/test_publishing_law.py::test_histories", quick=QUICK, every=LONG)
)
def test_histories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, seed: int) -> None:
    monkeypatch.setattr(records, "BATCH", 3)
    if seed % 3:
        monkeypatch.setattr(engine, "FEW", 0)  # or no table is large enough
    draw = random.Random(seed)
    if draw.random() < 0.3:
        monkeypatch.setattr(records, "AT_ONCE", 7)
        monkeypatch.setattr(changed, "MOST", 2)
    with holder(kind, tmp_path) as held:
        world = World(tmp_path, held.settings, draw)
        done: list[str] = []
        for _ in range(STEPS):
            done.append(world.history.step())
            world.committed()
            done.append(befallen(world, held, monkeypatch))
            if draw.random() < 0.6:
                done.append("publish")
                world.now += draw.choice([0, 0, 3]) * HOUR
                try:
                    world.publish_all()
                    world.check()
                except AssertionError as error:
                    raise AssertionError(f"seed {seed}, after {', '.join(done)}: {error}") from error
                if draw.random() < 0.4:
                    world.copies.append(held.copied(tmp_path / f"copy{len(world.copies)}"))


def befallen(world: World, held: FileHolder | ServerHolder, patch: pytest.MonkeyPatch) -> str:
    """What happens to the store, to its publisher or to the definitions, once in a while; its name."""
    draw = world.draw
    befalls = draw.randrange(12)
    if befalls == 0:
        held.flush()
        world.lost()
        return "flush"
    if befalls == 1 and world.copies:
        held.replaced(draw.choice(world.copies))
        world.lost()
        return "older copy"
    if befalls == 2:
        name = draw.choice(list(world.features))
        if name != "pinned" or world.pin in world.history.versions:
            interrupted(lambda: world.publish(name), world.store, draw.randrange(1, 8), patch)
            world.lost()
        return "killed"
    if befalls == 3:
        world.redefine()
        return "redefined"
    if befalls == 4:
        world.repin()
        return "repinned"
    return "nothing"


@pytest.mark.parametrize("kind", STORES)
def test_a_pin_that_is_taken_back_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Some records are of the version that was left then, though the cursor names the one that is pinned."""
    monkeypatch.setattr(records, "BATCH", 3)
    world = World(tmp_path, online_store(kind, tmp_path), random.Random(1))
    world.publish("pinned")
    for _ in range(3):
        world.history.merge()
        world.history.append()
    world.pin = world.history.table.version()
    world.define()
    assert interrupted(lambda: world.publish("pinned"), world.store, 4, monkeypatch)
    world.pin = 0
    world.define()
    assert world.publish("pinned").why == "the store holds a later version"
    world.shown = {"pinned": world.history.versions[0]}
    world.check()


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("killed", [False, True])
def test_a_folder_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, killed: bool) -> None:
    """An older copy of the folder, and as many commits as were published, or begun to be: other ones."""
    monkeypatch.setattr(records, "BATCH", 3)
    world = World(tmp_path, online_store(kind, tmp_path), random.Random(1))
    world.history.feed = True
    world.history.make()
    if killed:
        world.publish("v")
    copy = shutil.copytree(tmp_path / "t", tmp_path / "copy")
    rows = world.history.rows
    world.history.append()
    if killed:
        assert interrupted(lambda: world.publish("v"), world.store, 3, monkeypatch)
    else:
        world.publish("v")
    shutil.rmtree(tmp_path / "t")
    copy.rename(tmp_path / "t")
    world.history.rows = rows
    world.history.append()
    assert world.publish("v").why == f"{tmp_path / 't'} has another history"
    assert world.publish("v").status == "unchanged"
    world.shown = {"v": world.history.rows}
    world.check()
