"""Every type of value, every form of entity rows, and which files are read, in a Feast repository without a project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore, Field
from feast.types import Float64, Int64, String

from lakehouse.errors import ConfigError, DefinitionError, StorageError, UsageError
from tests.features.conftest import DAY, START, US, day
from tests.features.every_type import VALUES, ask, open_types
from tests.online.stores import applied, feast_store, keys_of, online_store, view_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return open_types(tmp_path_factory.mktemp("types"))


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


def test_columns_that_nobody_asks_for_are_not_read(tmp_path: Path) -> None:
    """Their pages are made unreadable, so that reading one would fail."""
    at = pa.array([day(1), day(2)], US)
    rows = {"id": [1, 2], "at": at, "a": [1.0, 2.0], "b": ["text"] * 2, "c": ["more"] * 2}
    write_deltalake(tmp_path / "t", pa.table(rows))
    own = feast_store(tmp_path, online_store("sqlite", tmp_path))
    fields = [Field(name="a", dtype=Float64), Field(name="b", dtype=String)]
    applied(own, [keys_of(), view_of(tmp_path, "t", fields, [keys_of()])])
    (uri,) = DeltaTable(tmp_path / "t").file_uris()
    group = pq.ParquetFile(uri).metadata.row_group(0)
    content = bytearray(Path(uri).read_bytes())
    for chunk in (group.column(spot) for spot in range(group.num_columns)):
        if chunk.path_in_schema in ("b", "c"):
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    Path(uri).write_bytes(content)
    asked = pa.table({"id": [2, 1], "event_timestamp": pa.array([day(3)] * 2, US)})
    assert own.get_historical_features(asked, ["t:a"]).to_arrow()["a"].to_pylist() == [2.0, 1.0]
    with pytest.raises(StorageError, match="can't be read"):
        own.get_historical_features(asked, ["t:b"]).to_arrow()


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
    wanted: list[int | None] = []
    for year, time in zip((None, 1600, 1600, 2026, 2300, 2300), asked, strict=True):
        rows = pa.table({"id": [1], "event_timestamp": pa.array([time], US)})
        got = own.get_historical_features(rows, ["t:n"]).to_arrow()["n"].to_pylist()
        seen = year is not None and (ttl is None or ttl > time - datetime(year, 6, 1, tzinfo=UTC))
        wanted.append(year if seen else None)
        assert got == wanted[-1:], time
    texts = pd.DataFrame({"id": [1] * len(asked), "event_timestamp": [time.isoformat() for time in asked]})
    got = own.get_historical_features(texts, ["t:n"]).to_arrow()
    assert got["n"].to_pylist() == wanted
    assert got["event_timestamp"].to_pylist() == texts["event_timestamp"].tolist()
    texts.loc[3, "event_timestamp"] = "2026-07-01T00:00:00.000000001Z"
    with pytest.raises(DefinitionError, match="2026-07-01T00:00:00.000000001Z' and '1500-07.*no type of time holds"):
        own.get_historical_features(texts, ["t:n"])
    texts.loc[1, "event_timestamp"] = "1600-13-01"
    with pytest.raises(DefinitionError, match="'1600-13-01', which is no time"):
        own.get_historical_features(texts.drop(3), ["t:n"])
    job = own.get_historical_features(None, ["t:n"], start_date=asked[2], end_date=asked[4])
    assert job.to_arrow()["n"].to_pylist() == [2026, 2300]
    job = own.get_historical_features(None, ["t:n"], start_date=asked[0], end_date=asked[5])
    assert job.to_arrow()["n"].to_pylist() == years
