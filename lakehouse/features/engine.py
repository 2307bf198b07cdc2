"""``batch_engine: {type: lakehouse.features.engine.DeltaEngine}``: publishing follows the versions of Delta tables.

Feast's ``materialize`` and ``materialize-incremental`` call it. Their dates choose nothing: what is published is what
the table's commits changed since the version that the online store holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from feast import Entity
from feast.feature_view import FeatureView
from feast.infra.common.materialization_job import (
    MaterializationJob,
    MaterializationJobStatus,
    MaterializationTask,
)
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from lakehouse.errors import DefinitionError, LakehouseError
from lakehouse.features.changed import NoFeedError, changes
from lakehouse.features.cursor import Cursor, Published
from lakehouse.features.declared import check_view
from lakehouse.features.downstream import definition
from lakehouse.features.gating import check_gate
from lakehouse.features.ledger import feast_publication
from lakehouse.features.newer import newer
from lakehouse.features.records import ViewRows
from lakehouse.features.source import DeltaSource, project_of
from lakehouse.kernels.record import tombstone
from lakehouse.online.publication import Publication
from lakehouse.online.store import PackedOnlineStore

FEW = 20
"""To ask the store for a record costs as much as to read so many rows of a table."""


class DeltaEngineConfig(FeastConfigBaseModel):
    """``batch_engine:`` in feature_store.yaml."""

    type: Literal["lakehouse.features.engine.DeltaEngine"] = "lakehouse.features.engine.DeltaEngine"
    ledger: str | None = None
    """For an online store of Feast's: the file that says how far its views were published, from the repository on."""


class DeltaJob(MaterializationJob):
    """A publish that has ended."""

    def __init__(self, task: MaterializationTask, error: BaseException | None = None) -> None:
        self.task = task
        self._error = error

    def status(self) -> MaterializationJobStatus:
        return MaterializationJobStatus.ERROR if self._error else MaterializationJobStatus.SUCCEEDED

    def error(self) -> BaseException | None:
        return self._error

    def should_be_retried(self) -> bool:
        return False

    def job_id(self) -> str:
        return f"publish {self.task.feature_view.name}"

    def url(self) -> str | None:
        return None


class DeltaEngine(ComputeEngine):
    """Publishes views of Delta tables; see :func:`publish_view`."""

    def update(
        self,
        project: str,
        views_to_delete: Sequence[Any],
        views_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
    ) -> None:
        """At ``feast apply``: refuse what no table has. The online store makes room for its views by itself.

        Raises DefinitionError for a join key or a feature that its view's table lacks or has with another type.
        """
        for view in views_to_keep:
            if isinstance(view, FeatureView) and isinstance(view.batch_source, DeltaSource):
                try:
                    opened = view.batch_source.open(self.repo_config)
                except LakehouseError:
                    continue  # Feast's validation of sources says so, unless its caller left that out
                check_view(view, view.batch_source, opened)

    def teardown_infra(self, project: str, fvs: Sequence[Any], entities: Sequence[Entity]) -> None:
        """Nothing is kept but in the online store."""

    def _materialize_one(self, registry: BaseRegistry, task: MaterializationTask, **options: Any) -> MaterializationJob:
        try:
            publish_view(self.repo_config, self.online_store, task.feature_view, datetime.now(UTC))
        except Exception as error:
            return DeltaJob(task, error)
        return DeltaJob(task)


def publish_view(config: RepoConfig, store: Any, view: FeatureView, now: datetime) -> Published:
    """Bring the online store to what the view's table holds now, at its newest version or the one that it is pinned to.

    Each key gets its newest row up to ``now`` (UTC) and all that are dated later; the reader takes the one that is due.
    Keys that left the table get a tombstone. Written are just the keys that the table's feed names since the version
    that the store holds, and of those the table itself is read only for what :mod:`lakehouse.features.newer` can't
    tell; all of them, beside what is read, where the feed does not tell, where the view's columns are others, and in a
    new store. The version is marked after the records, in the store itself, and read back; for a store of Feast's see
    :mod:`lakehouse.features.ledger`. A table of the project that fails its gate is not published, unless the view is
    pinned to a version of it.
    Raises GateError, NotBuiltError, DefinitionError, LockedError, OnlineStoreError.
    """
    started = time.monotonic()
    rows = ViewRows.of(config, view, now)
    if rows.source.table is not None and rows.source.version is None:
        check_gate(project_of(config), rows.source.table, rows.opened, now)
    ours = isinstance(store, PackedOnlineStore)
    if rows.source.windows is not None and not ours:
        raise DefinitionError(
            f"'{view.name}' has window features, which {type(store).__name__} can't hold",
            hint="Use lakehouse.online.sqlite.SqliteOnlineStore or lakehouse.online.redis.RedisOnlineStore.",
        )
    publication = store.publication if ours else partial(feast_publication, store=store, now=now)
    with publication(config=config, view=view, layout=rows.layout) as into:
        before = Cursor.of(into.cursor)
        after = Cursor(
            view=view.name,
            table=rows.source.label,
            location=rows.source.location(config),
            pinned=rows.source.version,
            table_id=rows.opened.id,
            version=rows.opened.version,
            commit=rows.opened.commit(rows.opened.version),
            definition=definition(view),
            **rows.more_of_cursor,
        )
        same = before is not None and (before.definition, before.pinned) == (after.definition, after.pinned)
        if before is not None and same and before.holds(rows.opened):
            seconds = time.monotonic() - started
            return Published(view.name, after.table, rows.opened.version, 0, "", seconds, "unchanged")
        why = _why_all(before, after, rows)
        if why or before is None:
            written = _write_all(into, rows)
        else:
            try:
                written = _write_changed(into, rows, before, after)
                after = after.not_before(before)
            except NoFeedError as error:
                why = f"{after.table} {error}"
                written = _write_all(into, rows)
        into.finish(after.text)
    return Published(view.name, after.table, after.version, written, why, time.monotonic() - started, "done")


def _why_all(before: Cursor | None, after: Cursor, rows: ViewRows) -> str:
    if before is None:
        return "the store has none of it"
    if before.definition != after.definition:
        return "the view is defined otherwise"
    if (before.table_id, before.events_id) != (after.table_id, after.events_id):
        return f"{after.table} was made anew"
    if not before.leads_to(rows.opened):
        return "the store holds a later version"
    return "" if before.same_history(rows.opened) else f"{after.table} has another history"


def _write_all(into: Publication, rows: ViewRows) -> int:
    into.refresh()
    count = 0
    for keys, records in rows.everything(into.ordered):
        into.write(keys, records)
        count += len(keys)
    return count


def _write_changed(into: Publication, rows: ViewRows, before: Cursor, after: Cursor) -> int:
    changed = changes(rows.opened, before.version, rows.keys, rows.fed)
    into.mark(before.on_the_way(after).text)
    written, keys = 0, rows.with_stirred(changed.keys, before)
    if (
        rows.by_feed_alone
        and before.towards is None
        and changed.rows is not None
        and keys.num_rows * FEW <= rows.opened.rows
    ):
        told = []
        for there, records in newer(rows, changed, into.held):
            into.write(there, records)
            written += len(there)
            told.append(pa.array(there, pa.large_binary()))
        known = pc.is_in(rows.encoded(keys), value_set=pa.chunked_array(told, pa.large_binary()))
        keys = keys.filter(pc.invert(known))
    end = tombstone(rows.layout, rows.opened.version)
    for there, records, gone in rows.of_keys(keys):
        into.write([*there, *gone], [*records, *[end] * len(gone)])
        written += len(there) + len(gone)
    return written
