"""Build training rows and newest rows out of Delta tables with the as-of kernel, in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.repo_config import RepoConfig

from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features.declared import check_features, check_keys, check_windows
from lakehouse.features.entity_rows import TIME, EntityRows, of_table, require_keys
from lakehouse.features.knowledge import Known, asked, knowledge
from lakehouse.features.reading import OpenTable
from lakehouse.features.seeing import Sight, content_of
from lakehouse.features.source import DeltaSource, view_source
from lakehouse.features.windowed import WindowTable
from lakehouse.kernels.asof import latest
from lakehouse.kernels.keys import Ints, is_whole
from lakehouse.kernels.ties import Content
from lakehouse.kernels.times import UTC_TIME


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
    known: Known | None = None
    """Set where a row is seen only if it was known by then."""
    by_created: bool = False
    """Whether rows that were created after the time of an entity row are not seen by it."""
    windows: WindowTable | None = None
    """Set where the table holds tiles, and features are windows over events."""

    @property
    def time(self) -> str:
        return self.source.stored(self.source.timestamp_field)

    @property
    def created(self) -> str | None:
        """What orders rows of one event time."""
        column = self.source.ordered_by
        return self.source.stored(column) if column else None

    @property
    def sight(self) -> Sight:
        own_time = self.known is not None and self.known.by is None
        return Sight(
            keys=tuple(self.keys.values()),
            time=self.time,
            created=self.created,
            telling=self.telling,
            ttl=self.ttl,
            by_created=self.by_created,
            by_known=own_time,
            ends=own_time and self.known is not None and bool(self.known.ended),
        )


def wanted_views(
    config: RepoConfig, views: Sequence[FeatureView], references: Sequence[str], by_created: bool = False
) -> Iterator[Wanted]:
    """The views with the features that the references (``view:feature``) ask of each, in order."""
    wish = asked()
    for view in views:
        name = view.projection.name_to_use()  # type: ignore[no-untyped-call]
        parts = (reference.rpartition(":") for reference in references)
        features = tuple(dict.fromkeys(feature for prefix, _, feature in parts if prefix == name))
        source = view_source(view, name)
        renamed = view.projection.join_key_map
        keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
        columns = {renamed.get(key, key): source.stored(key) for key in keys}
        if len(columns) < len(keys):
            raise DefinitionError(
                f"two join keys of '{name}' are taken from one column of the entity rows: {renamed}",
                hint="Give each join key a column of its own in join_key_map.",
            )
        opened = source.open(config)
        check_keys(view, source, opened)
        windows = WindowTable.of(source, opened, config) if source.windows is not None else None
        declared = [one for one in view.features if one.name in features]
        if windows is None:
            check_features(name, declared, source, opened)
        else:
            check_windows(name, declared, windows.types)
        yield Wanted(
            name=name,
            source=source,
            opened=opened,
            keys=columns,
            features=features,
            telling=tuple(source.stored(feature.name) for feature in view.features),
            ttl=view.ttl or None,  # Feast: a ttl of 0 is none
            known=knowledge(name, source, opened, config, wish) if wish is not None else None,
            by_created=by_created and bool(source.created_timestamp_column),
            windows=windows,
        )


def training_rows(
    rows: EntityRows, wanted: Sequence[Wanted], full_names: bool, notes: list[str] | None = None
) -> pa.Table:
    """The entity rows, in order, with the features as each row saw them at its time; null where it saw none.

    ``notes`` gets what is to be said of it. Views are read one after another: at most one table's rows are in memory.
    """
    result = rows.table
    named = new_names(rows.table.column_names, wanted, full_names)
    for one in wanted:
        names = named[one.name]
        for feature, values in _seen(rows, one, notes if notes is not None else []):
            result = result.append_column(names[feature], values)
    # The caller's own types: pandas' description of them is in the metadata, which append_column keeps.
    return result


def new_names(given: Sequence[str], wanted: Sequence[Wanted], full_names: bool) -> dict[str, dict[str, str]]:
    """What each view's features are called in the training set. Raises DefinitionError for what can't be asked."""
    taken, named = set(given), {}
    for one in wanted:
        require_keys(given, list(one.keys), one.name)
        if one.windows is None:
            one.opened.require([one.source.stored(feature) for feature in one.features], f"a feature of '{one.name}'")
        one.opened.require(list(one.keys.values()), "a join key")
        names = {feature: f"{one.name}__{feature}" if full_names else feature for feature in one.features}
        for name in names.values():
            if name in taken:
                raise DefinitionError(
                    f"'{name}' would stand twice in the training set",
                    hint="Use full_feature_names=True, or rename the column of the entity rows.",
                )
            taken.add(name)
        named[one.name] = names
    return named


def _seen(rows: EntityRows, one: Wanted, notes: list[str]) -> Iterator[tuple[str, pa.ChunkedArray | pa.Array]]:
    if one.windows is not None:
        asked = {stored: rows.table.column(name) for name, stored in one.keys.items()}
        entity = [asked[name] for name in one.windows.told.entity]
        found = one.windows.answers(entity, rows.times, one.features, rows.span())
        yield from ((feature, found[feature]) for feature in one.features)
        return
    columns = {feature: one.source.stored(feature) for feature in one.features}
    start, end = bounds_of(rows.span(), one.ttl)
    keys = {stored: one.opened.key_span(stored, rows.table.column(name)) for name, stored in one.keys.items()}
    bounds = {name: span for name, span in keys.items() if span is not None}
    said = ""

    def read_of(table: OpenTable, names: Sequence[str], condition: str = "") -> pa.Table:
        if condition:
            return table.read(names, time=one.time, start=start, end=end, keys=bounds, condition=condition)
        return table.seen_in(names, time=one.time, start=start, end=end, keys=bounds)

    def read(names: Sequence[str]) -> pa.Table:
        nonlocal said
        all_names = [*one.keys.values(), one.time, *([one.created] if one.created else []), *names]
        if one.known is None:
            return read_of(one.opened, all_names)
        table, said = one.known.rows(list(dict.fromkeys(all_names)), one.time, read_of)
        return table

    def join(table: pa.Table, content: Content | None = None) -> Ints:
        return one.sight.spots([rows.table.column(name) for name in one.keys], rows.times, table, content)

    table = read(list(columns.values()))
    try:
        spots = join(table, None if {*one.telling} <= {*columns.values()} else _tied)
    except _TiedError:
        table = read(one.telling)
        spots = join(table)
    notes += [said] if said else []
    index = pa.array(spots, mask=spots < 0)
    table = table.select([*columns.values()])
    for feature, column in columns.items():
        yield feature, table.column(column).take(index)


def _tied(_: Ints) -> pa.Table:
    raise _TiedError


Span = tuple[datetime | None, datetime | None]


def bounds_of(span: Span, ttl: timedelta | None) -> Span:
    """No feature row outside of these can be seen; a microsecond wider, since entity times may be finer."""
    least, most = span
    start, end = None, None
    with suppress(OverflowError):  # further back than a datetime reaches: no bound
        start = least - ttl - timedelta(microseconds=1) if least is not None and ttl is not None else None
    with suppress(OverflowError):
        end = most + timedelta(microseconds=1) if most is not None else None
    return start, end


def range_rows(wanted: Sequence[Wanted], start: datetime, end: datetime) -> EntityRows:
    """Entity rows for a range instead of a list: each key at each event time of the views within [start, end]."""
    keys = list(wanted[0].keys) if wanted else []
    for one in wanted:
        if one.windows is not None:
            raise UsageError(
                f"'{one.name}' has window features, which have a value at any time",
                hint="Give entity rows: keys and the times to ask for.",
            )
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
        return of_table(pa.table({TIME: pa.array([], UTC_TIME)}), TIME)
    table = pa.concat_tables(parts, promote_options="permissive")
    known = is_whole(table.columns)
    distinct = table.filter(known).group_by([*keys, TIME], use_threads=False).aggregate([])
    return of_table(distinct.select([*keys, TIME]).sort_by([(name, "ascending") for name in (TIME, *keys)]), TIME)


def newest_rows(
    opened: OpenTable,
    keys: Sequence[str],
    features: Sequence[str],
    time: str,
    created: str | None,
    within: tuple[datetime | None, datetime | None],
    only_newest: bool,
    known: str | None = None,
) -> pa.Table:
    """The rows with a whole key and a time within [start, end]; with ``only_newest`` just each key's newest one.

    Columns: keys, features, time, created. No features means all columns but bookkeeping. Without ``created``, the
    column ``known`` orders rows of one event time, as in training.
    """
    plain = [name for name in opened.schema.names if not name.startswith("_") and name not in (*keys, time, created)]
    features = list(features) or plain
    opened.require([*keys, *features, time], "a column to publish")
    columns = list(dict.fromkeys([*keys, *features, time, *([created] if created else [])]))
    order = created or known
    table = opened.read([*columns, *([order] if order else [])], time=time, start=within[0], end=within[1])
    if only_newest:
        made = table.column(order) if order else None
        parts = [table.column(key) for key in keys]
        spots = latest(parts, table.column(time), created=made, content=content_of(table, features))
        table = table.select(columns).take(pa.array(spots)).combine_chunks()
    else:
        whole = is_whole([table.column(name) for name in (*keys, time)])
        table = table.select(columns).filter(whole).combine_chunks()
    if not keys and only_newest:
        table = table.append_column(DUMMY_ENTITY_ID, pa.array([""] * table.num_rows))
    return table


Evaluate = Callable[[], pa.Table]
