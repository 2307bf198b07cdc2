"""Build training rows and newest rows out of Delta tables with the as-of kernel, in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.repo_config import RepoConfig

from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features.entity_rows import TIME, EntityRows
from lakehouse.features.reading import OpenTable
from lakehouse.features.source import DeltaSource
from lakehouse.kernels import asof_join, latest
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.ties import Content


class _TiedError(Exception):
    """Rows are tied, so the columns that tell them apart are needed after all."""


@dataclass(frozen=True)
class Wanted:
    """One view's part of a training set, in the table's own column names where it says so."""

    name: str
    source: DeltaSource
    opened: OpenTable
    keys: dict[str, str]
    """The entity rows' column → the table's."""
    features: tuple[str, ...]
    """As Feast calls them."""
    telling: tuple[str, ...]
    """The table's columns of all the view's features: they break ties, whichever features are asked for."""
    ttl: timedelta | None

    @property
    def time(self) -> str:
        return self.source.stored(self.source.timestamp_field)

    @property
    def created(self) -> str | None:
        column = self.source.created_timestamp_column
        return self.source.stored(column) if column else None


def wanted_views(config: RepoConfig, views: Sequence[FeatureView], references: Sequence[str]) -> Iterator[Wanted]:
    """The views with the features that the references (``view:feature``) ask of each, in order."""
    for view in views:
        name = view.projection.name_to_use()  # type: ignore[no-untyped-call]
        parts = (reference.rpartition(":") for reference in references)
        features = tuple(dict.fromkeys(feature for prefix, _, feature in parts if prefix == name))
        source = delta_source(view.batch_source, name)
        renamed = view.projection.join_key_map
        keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
        yield Wanted(
            name=name,
            source=source,
            opened=source.open(config),
            keys={renamed.get(key, key): source.stored(key) for key in keys},
            features=features,
            telling=tuple(source.stored(feature.name) for feature in view.features),
            ttl=view.ttl or None,  # Feast: a ttl of 0 is none
        )


def delta_source(source: DataSource | None, name: str) -> DeltaSource:
    """The source as a DeltaSource. Raises DefinitionError for another kind."""
    if isinstance(source, DeltaSource):
        return source
    kind = type(source).__name__
    raise DefinitionError(f"'{name}' has a source of type {kind}", hint="DeltaOfflineStore reads DeltaSource only.")


def training_rows(rows: EntityRows, wanted: Sequence[Wanted], full_names: bool) -> pa.Table:
    """The entity rows, in order, with the features as each row saw them at its time; null where it saw none."""
    result = rows.table
    for one in wanted:
        rows.require(list(one.keys), one.name)
        seen = _seen(rows, one)
        for feature in one.features:
            name = f"{one.name}__{feature}" if full_names else feature
            if name in result.column_names:
                raise DefinitionError(
                    f"'{name}' would stand twice in the training set",
                    hint="Use full_feature_names=True, or rename the column of the entity rows.",
                )
            result = result.append_column(name, seen[feature])
    # The caller's own types: pandas' description of them is in the metadata, which append_column keeps.
    return result


def _seen(rows: EntityRows, one: Wanted) -> dict[str, pa.ChunkedArray]:
    columns = {feature: one.source.stored(feature) for feature in one.features}
    one.opened.require(list(columns.values()), f"a feature of '{one.name}'")
    start, end = _bounds(rows.table.column(rows.time), one.ttl)

    def read(names: Sequence[str]) -> pa.Table:
        fixed = [*one.keys.values(), one.time, *([one.created] if one.created else [])]
        return one.opened.read([*fixed, *names], time=one.time, start=start, end=end)

    def join(table: pa.Table, content: Content) -> Ints:
        return asof_join(
            [rows.table.column(name) for name in one.keys],
            rows.table.column(rows.time),
            [table.column(name) for name in one.keys.values()],
            table.column(one.time),
            created=table.column(one.created) if one.created else None,
            content=content,
            ttl=one.ttl,
        )

    table = read(list(columns.values()))
    try:
        spots = join(table, _tied)
    except _TiedError:
        table = read(one.telling)
        spots = join(table, _content(table, one.telling))
    index = pa.array(spots, mask=spots < 0)
    return {feature: table.column(column).take(index) for feature, column in columns.items()}


def _tied(_: Ints) -> pa.Table:
    raise _TiedError


def _content(table: pa.Table, columns: Sequence[str]) -> Content:
    return lambda spots: table.select(list(dict.fromkeys(columns))).take(pa.array(spots))


def _bounds(times: pa.ChunkedArray, ttl: timedelta | None) -> tuple[datetime | None, datetime | None]:
    """No feature row outside of these can be seen; a microsecond wider, since entity times may be finer."""
    if not pa.types.is_timestamp(times.type) or times.null_count == len(times):
        return None, None
    span = pc.min_max(times.cast(pa.timestamp("us"), safe=False)).as_py()
    least, most = (span[side].replace(tzinfo=UTC) for side in ("min", "max"))
    start, end = None, None
    with suppress(OverflowError):  # further back than a datetime reaches: no bound
        start = least - ttl - timedelta(microseconds=1) if ttl is not None else None
    with suppress(OverflowError):
        end = most + timedelta(microseconds=1)
    return start, end


def range_rows(wanted: Sequence[Wanted], start: datetime, end: datetime) -> EntityRows:
    """Entity rows for a range instead of a list: each key at each event time of the views within [start, end]."""
    keys = list(wanted[0].keys) if wanted else []
    for one in wanted:
        if set(one.keys) != set(keys):
            raise UsageError(
                f"'{wanted[0].name}' and '{one.name}' have different join keys: no one range of time fits both",
                hint="Give entity rows, or ask one view at a time.",
            )
    parts = []
    for one in wanted:
        table = one.opened.read([*(one.keys[key] for key in keys), one.time], time=one.time, start=start, end=end)
        parts.append(table.rename_columns([*keys, TIME]))
    if not parts:
        return EntityRows(pa.table({TIME: pa.array([], pa.timestamp("us", "UTC"))}), TIME)
    table = pa.concat_tables(parts, promote_options="permissive")
    known = reduce(pc.and_, (pc.is_valid(table.column(name)) for name in table.column_names))
    distinct = table.filter(known).group_by([*keys, TIME], use_threads=False).aggregate([])
    return EntityRows(distinct.select([*keys, TIME]).sort_by([(name, "ascending") for name in (TIME, *keys)]), TIME)


def newest_rows(
    opened: OpenTable,
    keys: Sequence[str],
    features: Sequence[str],
    time: str,
    created: str | None,
    within: tuple[datetime | None, datetime | None],
    only_newest: bool,
) -> pa.Table:
    """The rows with a whole key and a time within [start, end]; with ``only_newest`` just each key's newest one.

    Columns: keys, features, time, created. No features means all columns but bookkeeping.
    """
    plain = [name for name in opened.schema.names if not name.startswith("_") and name not in (*keys, time, created)]
    features = list(features) or plain
    opened.require([*keys, *features, time], "a column to publish")
    columns = list(dict.fromkeys([*keys, *features, time, *([created] if created else [])]))
    table = opened.read(columns, time=time, start=within[0], end=within[1])
    if only_newest:
        made = table.column(created) if created else None
        parts = [table.column(key) for key in keys]
        spots = latest(parts, table.column(time), created=made, content=_content(table, features))
        table = table.take(pa.array(spots)).combine_chunks()
    else:
        known = reduce(pc.and_, (pc.is_valid(table.column(name)) for name in (*keys, time)))
        table = table.filter(known).combine_chunks()
    if not keys:
        table = table.append_column(DUMMY_ENTITY_ID, pa.array([""] * table.num_rows))
    return table


Evaluate = Callable[[], pa.Table]
