"""Feast's monitoring of data quality on Delta: metrics of features, and the tables that keep them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from feast.monitoring.metrics_calculator import MetricsCalculator
from feast.monitoring.monitoring_utils import monitoring_table_meta, normalize_monitoring_row
from feast.repo_config import RepoConfig

from lakehouse.errors import StorageError
from lakehouse.features.source import DeltaSource

KINDS = ("feature", "feature_view", "feature_service", "job")
WHOLE = {"row_count", "null_count", "total_row_count", "total_features", "features_with_nulls", "total_feature_views"}
NUMBERS = {"null_rate", "mean", "stddev", "min_val", "max_val", "p50", "p75", "p90", "p95", "p99"} | {
    "avg_null_rate", "max_null_rate",
}  # fmt: skip
TIMES = {"computed_at", "max_event_timestamp", "started_at", "completed_at"}


def metrics(
    config: RepoConfig,
    source: DeltaSource,
    features: Sequence[tuple[str, str]],
    time: str,
    within: tuple[datetime | None, datetime | None],
    histogram_bins: int,
    top_n: int,
) -> list[dict[str, Any]]:
    """Statistics of each (feature, "numeric" or "categorical"), of the rows whose time is within; see Feast's own."""
    opened = source.open(config)
    stored = [source.stored(name) for name, _ in features]
    opened.require([*stored, source.stored(time)], "a feature to monitor")
    table = opened.read(stored, time=source.stored(time), start=within[0], end=within[1])
    table = table.select(stored).rename_columns([name for name, _ in features])
    found: list[dict[str, Any]] = MetricsCalculator(histogram_bins, top_n).compute_all(table, list(features))
    return found


def newest(config: RepoConfig, source: DeltaSource, time: str) -> datetime | None:
    """The last event time, in UTC; None where there is no row."""
    column = source.stored(time)
    found = pc.max(source.open(config).read([column]).column(column)).as_py()
    assert found is None or isinstance(found, datetime)
    return found


def make_tables(config: RepoConfig) -> None:
    """Make the tables that are not there."""
    for kind in KINDS:
        _, columns, _ = monitoring_table_meta(kind)
        schema = pa.schema([(name, _type(name)) for name in columns])
        try:
            DeltaTable.create(_place(config, kind), schema, mode="ignore")
        except (DeltaError, OSError) as error:
            raise _unwritable(config, kind, error) from error


def keep(config: RepoConfig, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows, or replace those with the same key, in one commit; of equal keys the last counts."""
    _, columns, key = monitoring_table_meta(kind)
    of_key = {tuple(row.get(name) for name in key): row for row in rows}
    schema = pa.schema([(name, _type(name)) for name in columns])
    table = pa.Table.from_pylist(
        [{name: _value(name, row.get(name)) for name in columns} for row in of_key.values()], schema
    )
    if not table.num_rows:
        return
    make_tables(config)
    same = " and ".join(f'(t."{name}" is not distinct from s."{name}")' for name in key)
    merge = DeltaTable(_place(config, kind)).merge(table, same, source_alias="s", target_alias="t")
    try:
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
    except (DeltaError, OSError) as error:
        raise _unwritable(config, kind, error) from error


def kept(
    config: RepoConfig,
    project: str,
    kind: str,
    filters: Mapping[str, Any] | None,
    within: tuple[date | None, date | None],
) -> list[dict[str, Any]]:
    """The rows of a project (all projects where it is empty) that equal the filters, by date."""
    place = _place(config, kind)
    if not DeltaTable.is_deltatable(place):
        return []
    _, columns, key = monitoring_table_meta(kind)
    wanted = {**(filters or {}), **({"project_id": project} if project else {})}
    scan = DeltaTable(place).scan(columns=columns)
    rows = pa.RecordBatchReader.from_stream(scan).read_all().to_pylist()
    found = [
        row
        for row in rows
        if all(row[name] == value for name, value in wanted.items() if value is not None)
        and (within[0] is None or (row["metric_date"] is not None and row["metric_date"] >= within[0]))
        and (within[1] is None or (row["metric_date"] is not None and row["metric_date"] <= within[1]))
    ]
    found.sort(key=lambda row: (row["metric_date"] or date.min, *(str(row[name]) for name in key)))
    return [normalize_monitoring_row(row) for row in found]


def forget_baseline(config: RepoConfig, project: str, only: Mapping[str, str | None]) -> None:
    """Let no row of these (those that are named) be a baseline any more."""
    place = _place(config, "feature")
    if not DeltaTable.is_deltatable(place):
        return
    named = {"project_id": project, **{name: value for name, value in only.items() if value is not None}}
    quoted = [f"{name} = '{value}'" for name, value in ((n, v.replace("'", "''")) for n, v in named.items())]
    try:
        DeltaTable(place).update(updates={"is_baseline": "false"}, predicate=" and ".join([*quoted, "is_baseline"]))
    except (DeltaError, OSError) as error:
        raise _unwritable(config, "feature", error) from error


def _place(config: RepoConfig, kind: str) -> str:
    folder = Path(config.offline_store.monitoring)
    name, _, _ = monitoring_table_meta(kind)
    return str(Path(config.repo_path or ".").absolute() / folder / name)


def _type(name: str) -> pa.DataType:
    if name in WHOLE:
        return pa.int64()
    if name in NUMBERS:
        return pa.float64()
    if name in TIMES:
        return pa.timestamp("us", "UTC")
    return {"metric_date": pa.date32(), "is_baseline": pa.bool_()}.get(name, pa.string())


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in TIMES:
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if name == "metric_date":
        return date.fromisoformat(value) if isinstance(value, str) else value
    if _type(name) == pa.string() and not isinstance(value, str):
        return json.dumps(value)
    return value


def _unwritable(config: RepoConfig, kind: str, error: Exception) -> StorageError:
    lines = str(error).splitlines() or [type(error).__name__]
    return StorageError(f"the table of metrics {_place(config, kind)} can't be written: {lines[0]}")
