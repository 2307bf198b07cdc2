"""Thousands of generated point-in-time questions through Feast's API, against plain Python that looks at every row.

A case is one entity row asked of one view: each has a few feature rows of its key, within a few quarters of an hour
around the end of summer time, so that ties, edges of the ttl and rows of the future are the rule. Entity times come
with zones, with offsets as text, and naive. They are asked in batches: 5,640 cases in 12 calls.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.types import Float64, Int64, String

from lakehouse.errors import UsageError
from lakehouse.features.knowledge import known_by
from lakehouse.features.source import DeltaSource
from tests.features.conftest import US

FIRST = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)
"""An hour later Berlin's clocks show 2:00 for the second time."""
STEP = timedelta(minutes=15)
BERLIN = ZoneInfo("Europe/Berlin")
KEYS, ROWS = 60, 235
TTL = 3 * STEP
MODES = ("now", "created", "known", "moment")
FORMS = ("zone", "text", "naive")
Row = dict[str, Any]


def moment(rng: random.Random, nulls: float = 0.1) -> datetime | None:
    edge = rng.choice([timedelta(0)] * 4 + [timedelta(microseconds=1), -timedelta(microseconds=1)])
    return None if rng.random() < nulls else FIRST + rng.randint(0, 8) * STEP + edge


def feature_rows(rng: random.Random) -> list[Row]:
    rows = []
    for number in range(KEYS):
        for _ in range(rng.randint(0, 9)):
            row = {"number": number, "letter": rng.choice("aab"), "at": moment(rng), "made": moment(rng, 0.2)}
            row |= {"known": moment(rng, 0.0), "x": rng.choice([None, 1.0, 2.0]), "y": rng.choice([None, "p", "q"])}
            rows += [row | {"id": rng.choice([None, 1, 2, 3])}] * rng.choice([1, 1, 1, 2])
    rows += [{**rows[0], "number": None, "id": 99}]
    rng.shuffle(rows)
    return rows


def as_table(rows: list[Row]) -> pa.Table:
    types = {"number": pa.int64(), "letter": pa.string(), "at": US, "made": US, "known": US, "x": pa.float64()}
    types |= {"y": pa.string(), "id": pa.int64()}
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()})


def oracle(asked: Row, rows: list[Row], view: str, mode: str, by: datetime) -> tuple[Any, ...]:
    """What the view's features are for an entity row."""
    best: Row | None = None
    for row in rows:
        pairs = [(row["number"], asked["number"])] + ([(row["letter"], asked["letter"])] if view != "single" else [])
        if any(one is None or one != other for one, other in pairs) or None in (row["at"], asked["time"]):
            continue
        if row["at"] > asked["time"] or (view == "pair" and asked["time"] - row["at"] > TTL):
            continue
        if mode == "created" and view == "pair" and (row["made"] is None or row["made"] > asked["time"]):
            continue
        if (mode == "known" and row["known"] > asked["time"]) or (mode == "moment" and row["known"] > by):
            continue
        if best is None or rank(row, view) > rank(best, view):
            best = row
    return (None, None, None) if best is None else (best["id"], best["x"], best["y"])


def rank(row: Row, view: str) -> list[Any]:
    order = {"single": [], "pair": ["made"], "kept": ["known"]}[view] + ["id", "x", "y"]
    return [row["at"], *((row[name] is not None, row[name] if row[name] is not None else "") for name in order)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, list[Row]]:
    folder = tmp_path_factory.mktemp("cases")
    rows = feature_rows(random.Random(7))
    for part in range(3):  # several files and commits
        write_deltalake(folder / "rows", as_table(rows[part::3]), mode="append")
    return open_world(folder), rows


def open_world(folder: Path) -> FeatureStore:
    """A Feast repository that knows nothing of a lakehouse."""
    config = RepoConfig(
        project="cases",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "lakehouse.features.offline_store.DeltaOfflineStore"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
        coerce_tz_aware=False,
    )
    config.repo_path = folder
    store = FeatureStore(config=config)
    number = Entity(name="number", value_type=ValueType.INT64)
    letter = Entity(name="letter", value_type=ValueType.STRING)
    schema = [Field(name="id", dtype=Int64), Field(name="x", dtype=Float64), Field(name="y", dtype=String)]
    views = [
        FeatureView(
            name=name,
            entities=[number] if name == "single" else [number, letter],
            ttl=TTL if name == "pair" else timedelta(0),
            schema=schema,
            source=DeltaSource(
                name=name,
                path="rows",
                timestamp_field="at",
                created_timestamp_column="made" if name == "pair" else "",
                known_at="known" if name == "kept" else "",
            ),
        )
        for name in ("single", "pair", "kept")
    ]
    store.apply([number, letter, *views])
    return store


def questions(rng: random.Random, form: str, rows: int = ROWS) -> tuple[list[Row], pd.DataFrame]:
    asked = []
    for _ in range(rows):
        number = rng.choice([None, *range(KEYS)] if rng.random() < 0.1 else list(range(KEYS)))
        asked.append({"number": number, "letter": rng.choice([*"aaaabbbb", None]), "time": moment(rng, 0.05)})
    times: Any = pd.to_datetime(pd.Series([row["time"] for row in asked], dtype=object), utc=True)
    if form == "zone":
        times = times.dt.tz_convert(BERLIN)
    elif form == "naive":
        times = times.dt.tz_localize(None)
    else:
        zones = [rng.choice([BERLIN, UTC]) for _ in asked]
        texts = [
            row["time"] and row["time"].astimezone(zone).isoformat() for row, zone in zip(asked, zones, strict=True)
        ]
        times = pd.Series(texts, dtype=object)
    numbers = pd.array([row["number"] for row in asked], dtype="Int64")
    letters = pd.Series([row["letter"] for row in asked], dtype=object)
    return asked, pd.DataFrame({"label": range(rows), "number": numbers, "letter": letters, "event_timestamp": times})


def test_thousands_of_cases(world: tuple[FeatureStore, list[Row]]) -> None:
    store, rows = world
    cases, seen = 0, 0
    for turn, (mode, form) in enumerate((mode, form) for mode in MODES for form in FORMS):
        rng, by = random.Random(turn), FIRST + 4 * STEP
        asked, frame = questions(rng, form)
        views = ["single", "pair", "kept"] if mode in ("now", "created") else ["kept"]
        references = [f"{view}:{name}" for view in views for name in ("id", "x", "y")]
        before = frame.copy(deep=True)
        if mode in ("known", "moment"):
            with known_by(None if mode == "known" else by):
                job = store.get_historical_features(frame, references, full_feature_names=True)
        else:
            job = store.get_historical_features(
                frame, references, full_feature_names=True, filter_by_created_timestamp=mode == "created"
            )
        got = job.to_df()
        pd.testing.assert_frame_equal(got[frame.columns.tolist()], before)
        pd.testing.assert_frame_equal(frame, before)
        answers = got.astype(object).where(got.notna(), None)
        for view in views:
            columns = [answers[f"{view}__{name}"].tolist() for name in ("id", "x", "y")]
            for row, found in zip(asked, zip(*columns, strict=True), strict=True):
                wanted = oracle(row, rows, view, mode, by)
                assert found == wanted, (view, mode, form, row)
                cases += 1
                seen += wanted[0] is not None
    assert cases == 5640
    assert seen > 1800


def test_knowledge_is_exact_or_refused(world: tuple[FeatureStore, list[Row]]) -> None:
    store, _ = world
    frame = pd.DataFrame({"number": [1], "letter": ["a"], "event_timestamp": [FIRST]})
    with known_by(), pytest.raises(UsageError, match=r"'pair'.*doesn't say when(?s:.)*keep_versions=True"):
        store.get_historical_features(frame, ["pair:id"])
    assert len(store.get_historical_features(frame, ["pair:id"]).to_df()) == 1
