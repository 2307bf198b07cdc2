"""Every type of value, every form of entity rows, and which files are read, in a Feast repository without a project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.types import Int64

from lakehouse.errors import ConfigError, DefinitionError, StorageError, UsageError
from lakehouse.features.source import DeltaSource
from tests.features.conftest import DAY, START, US, day
from tests.online.stores import applied, feast_store, keys_of, online_store, view_of

NAIVE = START.replace(tzinfo=None)
VALUES: dict[str, tuple[pa.DataType, Any, Any]] = {
    "i8": (pa.int8(), -8, -8),
    "i32": (pa.int32(), 2**31 - 1, 2**31 - 1),
    "i64": (pa.int64(), 2**63 - 1, 2**63 - 1),
    "f32": (pa.float32(), 0.5, 0.5),
    "f64": (pa.float64(), 0.1, 0.1),
    "flag": (pa.bool_(), True, True),
    "text": (pa.string(), "ä\0", "ä\0"),
    "bytes": (pa.binary(), b"\xff", b"\xff"),
    "day": (pa.date32(), START.date(), START),
    "time": (US, START, START),
    "naive": (pa.timestamp("us"), NAIVE, START),
    "price": (pa.decimal128(9, 2), Decimal("1.50"), 1.5),
    "i32s": (pa.list_(pa.int32()), [1, None, 3], [1, None, 3]),
    "texts": (pa.list_(pa.string()), ["a", None], ["a", None]),
    "flags": (pa.list_(pa.bool_()), [], []),
    "blobs": (pa.list_(pa.binary()), [b"a"], [b"a"]),
    "times": (pa.list_(US), [START, None], [START, None]),
    "f32s": (pa.list_(pa.float32()), [0.5], [0.5]),
    "lists": (pa.list_(pa.list_(pa.int64())), [[1], None, []], [[1], None, []]),
    "map": (pa.map_(pa.string(), pa.int64()), {"a": 1, "b": None}, [("a", 1), ("b", None)]),
    "maps": (pa.list_(pa.map_(pa.string(), pa.string())), [{"a": "b"}], [[("a", "b")]]),
    "struct": (
        pa.struct([("x", pa.int64()), ("on", pa.date32()), ("deep", pa.struct([("y", pa.string())]))]),
        {"x": 1, "on": START.date(), "deep": {"y": None}},
        {"x": 1, "on": START, "deep": {"y": None}},
    ),
    "structs": (pa.list_(pa.struct([("x", pa.float64())])), [{"x": 0.1}, None], [{"x": 0.1}, None]),
}
"""The column's type, what is written, and what a training set holds."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("types")
    rows = {"user": pa.array([1, 1, 2], pa.int64()), "at": pa.array([day(1), day(3), day(1)], US)}
    for name, (kind, value, _) in VALUES.items():
        written = list(value.items()) if isinstance(value, dict) and pa.types.is_map(kind) else value
        written = [list(one.items()) for one in value] if name == "maps" else written
        rows[name] = pa.array([written, None, written], kind)
    write_deltalake(folder / "every", pa.table(rows))
    for month in range(1, 5):  # a file for each month, with keys of its own
        month_rows = {"user": [10 * month, 10 * month + 1], "at": pa.array([day(30 * month)] * 2, US), "n": [month, 0]}
        write_deltalake(folder / "monthly", pa.table(month_rows), mode="append")
    config = RepoConfig(
        project="types",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "lakehouse.features.offline_store.DeltaOfflineStore"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    found = FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
    person = Entity(name="person", join_keys=["person"], value_type=ValueType.INT64)
    monthly = DeltaSource(name="monthly", path="monthly", timestamp_field="at")
    mapping = {"user": "person", "at": "moment", "n": "number"}
    renamed = DeltaSource(name="renamed", path="monthly", timestamp_field="moment", field_mapping=mapping)
    counted = [Field(name="n", dtype=Int64)]
    found.apply(
        [
            user,
            person,
            FeatureView(
                name="every",
                entities=[user],
                source=DeltaSource(name="every", path="every", timestamp_field="at", key_types={"user": "INT64"}),
            ),
            FeatureView(name="monthly", entities=[user], source=monthly, schema=counted, ttl=timedelta(days=5)),
            FeatureView(
                name="renamed", entities=[person], source=renamed, schema=[Field(name="number", dtype=Int64)], ttl=None
            ),
            FeatureView(name="world", entities=[], source=monthly, schema=counted, ttl=None),
        ]
    )
    return found


def ask(users: list[int], days: list[float], key: str = "user") -> pa.Table:
    return pa.table({key: users, "event_timestamp": pa.array([day(one) for one in days], US)})


def test_every_type_in_order_with_nulls(store: FeatureStore) -> None:
    names = [field.name for field in store.get_feature_view("every").features]
    assert sorted(names) == sorted(VALUES)  # all of them, by Feast's own inference
    rows = ask([2, 9, 1, 1], [2, 2, 2, 4])
    got = store.get_historical_features(rows, [f"every:{name}" for name in VALUES]).to_arrow()
    for name, (_, _, wanted) in VALUES.items():
        assert got[name].to_pylist() == [wanted, None, wanted, None], name
    frame = store.get_historical_features(rows, ["every:i64", "every:struct", "every:text"]).to_df()
    assert frame["i64"].dtype == "Int64"  # a double would round it
    assert frame["i64"].tolist()[::2] == [2**63 - 1] * 2
    assert frame["struct"][0]["deep"] == {"y": None}


def test_times_as_objects_of_several_zones_and_as_text(store: FeatureStore) -> None:
    east = timezone(timedelta(hours=5))
    moments = [day(2), (START + DAY).astimezone(east), (START + DAY - timedelta(microseconds=1)).astimezone(east)]
    for times in (
        pd.Series(moments, dtype=object),
        pd.Series([moment.isoformat() for moment in moments], dtype=object),
        pd.Series(["2026-01-03", "2026-01-02T05:00:00+05:00", "2026-01-01 23:59:59.999999"], dtype="string"),
    ):
        frame = pd.DataFrame({"user": [1, 1, 1], "event_timestamp": times})
        got = store.get_historical_features(frame, ["every:i32"]).to_df()
        assert got["i32"].isna().tolist() == [False, False, True]
        assert got["event_timestamp"].dtype == times.dtype
        assert got["event_timestamp"].tolist() == times.tolist()
    frame["event_timestamp"] = ["2026-01-02", None, "02/01/2026"]
    with pytest.raises(DefinitionError, match=r"'event_timestamp' has '02/01/2026', which is no time(?s:.)*ISO 8601"):
        store.get_historical_features(frame, ["every:i32"])


def test_renamed_columns_and_a_view_of_the_whole_world(store: FeatureStore) -> None:
    got = store.get_historical_features(ask([20, 21, 40], [60, 61, 119], "person"), ["renamed:number"]).to_arrow()
    assert got["number"].to_pylist() == [2, 0, None]
    got = store.get_historical_features(ask([5, 5], [29, 95]), ["world:n"], full_feature_names=True).to_arrow()
    assert got["world__n"].to_pylist() == [None, 3]  # of two rows at one time the greater
    job = store.get_historical_features(None, ["monthly:n"], start_date=day(60), end_date=day(90))
    assert job.to_df()["user"].tolist() == [20, 21, 30, 31]


def test_files_that_cannot_be_seen_are_not_read(store: FeatureStore) -> None:
    """They are taken away, so that reading one would fail."""
    table = DeltaTable(Path(store.config.repo_path or "") / "monthly")
    files = [Path(uri) for uri in table.file_uris()]
    held = {file: file.read_bytes() for file in files}
    of_month = {row["min.user"] // 10: file for row, file in zip(_actions(table), files, strict=True)}

    def without(*months: int) -> None:
        for file, content in held.items():
            file.write_bytes(content)
        for month in months:
            of_month[month].unlink()

    try:
        without(1, 4)  # before the ttl, and after the last question
        got = store.get_historical_features(ask([20, 21, 10, 40], [60, 65, 95, 94]), ["monthly:n"]).to_arrow()
        assert got["n"].to_pylist() == [2, 0, None, None]
        without(1, 2, 4)  # other keys
        got = store.get_historical_features(ask([30, 31], [200, 91], "person"), ["renamed:number"]).to_arrow()
        assert got["number"].to_pylist() == [3, 0]
        without(3)
        with pytest.raises(StorageError, match="can't be read"):
            store.get_historical_features(ask([30], [91]), ["monthly:n"]).to_arrow()
    finally:
        without()


def _actions(table: DeltaTable) -> list[dict[str, Any]]:
    rows = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    by_path = {row["path"]: row for row in rows}
    return [by_path[Path(uri).name] for uri in table.file_uris()]


def test_sql_over_data_sources(store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LAKEHOUSE_PROJECT", raising=False)
    sql = 'select "user", max("at") + interval 1 day as event_timestamp from monthly group by 1 order by 1'
    got = store.get_historical_features(sql, ["monthly:n"]).to_arrow()
    assert got["n"].to_pylist() == [1, 0, 2, 0, 3, 0, 4, 0]
    with pytest.raises(UsageError, match=r"'montly' is not a table(?s:.)*'monthly'"):
        store.get_historical_features("select * from montly", ["monthly:n"])
    with pytest.raises(ConfigError, match="no project"):
        store.get_historical_features("select * from gold.x", ["monthly:n"])


def test_frames_are_left_as_they_are(store: FeatureStore) -> None:
    frame = pd.DataFrame(
        {
            "event_timestamp": pd.array([day(2)] * 3, dtype="datetime64[us, Asia/Tokyo]"),
            "user": pd.array([1, None, 1], dtype="UInt16"),
            "kind": pd.Categorical(["b", None, "b"], categories=["b", "a"], ordered=True),
            "objects": [{"a": [1]}, None, {"a": []}],
            "text": ["x", None, "y"],
        },
        index=[3, 3, 1],
    )
    before = frame.copy(deep=True)
    got = store.get_historical_features(frame, ["every:f64"]).to_df()
    pd.testing.assert_frame_equal(frame, before)
    assert got.columns.tolist() == [*frame.columns, "f64"]
    own = frame.columns.drop("event_timestamp")
    pd.testing.assert_frame_equal(got[own], frame[own].reset_index(drop=True))
    # Feast itself turns every time of a frame into UTC before the store sees it: coerce_tz_aware.
    assert got["f64"].isna().tolist() == [False, True, False]
    assert got["event_timestamp"].tolist() == before["event_timestamp"].tolist()


def test_the_callers_whole_numbers_are_not_rounded(store: FeatureStore) -> None:
    frame = pd.DataFrame(
        {
            "user": pd.Series([1, 2], dtype="int64"),
            "event_timestamp": [day(2)] * 2,
            "wide": pd.Series([2**53 + 1, None], dtype=object),
            "small": pd.Series([1, None], dtype=object),
            "listed": pd.Series([[2**53 + 1, None], None], dtype=object),
        }
    )
    got = store.get_historical_features(frame, ["every:i32"]).to_df()
    assert got["wide"].tolist() == [2**53 + 1, None]
    assert got["small"].tolist() == [1, None]
    assert got["listed"].tolist() == [[2**53 + 1, None], None]
    for column, said in (("x", "Conversion failed.*complex128"), ("y", "Sparse")):
        bad = frame.assign(**{column: [1j, 2j] if column == "x" else pd.arrays.SparseArray([1, 0])})
        with pytest.raises(DefinitionError, match=f"the entity rows: .*{said}"):
            store.get_historical_features(bad, ["every:i32"]).to_df()
    doubled = pa.table([[1], [1], pa.array([day(2)], US)], names=["user", "user", "event_timestamp"])
    with pytest.raises(DefinitionError, match="more than one column called user"):
        store.get_historical_features(doubled, ["every:i32"])
    empty = pd.DataFrame({"user": [], "event_timestamp": []})
    assert store.get_historical_features(empty, ["every:i32"]).to_df().columns.tolist() == [*empty.columns, "i32"]


@pytest.mark.parametrize("ttl", [None, timedelta(days=365), timedelta(days=182_500), timedelta.max])
def test_times_far_from_now(tmp_path: Path, ttl: timedelta | None) -> None:
    """Beyond the years that fit 64 bits of nanoseconds, in a table of several files."""
    years = [1600, 2026, 2300]
    for year in years:
        at = pa.array([datetime(year, 6, 1, tzinfo=UTC)], US)
        write_deltalake(tmp_path / "t", pa.table({"id": [1], "at": at, "n": [year]}), mode="append")
    own = feast_store(tmp_path, online_store("sqlite", tmp_path))
    applied(own, [keys_of(), view_of(tmp_path, "t", [Field(name="n", dtype=Int64)], [keys_of()], ttl=ttl)])
    asked = [datetime(year, 7, 1, tzinfo=UTC) for year in (1500, 1600, 1650, 2026, 2301, 9999)]
    for year, time in zip((None, 1600, 1600, 2026, 2300, 2300), asked, strict=True):
        rows = pa.table({"id": [1], "event_timestamp": pa.array([time], US)})
        got = own.get_historical_features(rows, ["t:n"]).to_arrow()["n"].to_pylist()
        seen = year is not None and (ttl is None or ttl > time - datetime(year, 6, 1, tzinfo=UTC))
        assert got == [year if seen else None], time
    job = own.get_historical_features(None, ["t:n"], start_date=asked[2], end_date=asked[4])
    assert job.to_arrow()["n"].to_pylist() == [2026, 2300]
    job = own.get_historical_features(None, ["t:n"], start_date=asked[0], end_date=asked[5])
    assert job.to_arrow()["n"].to_pylist() == years
