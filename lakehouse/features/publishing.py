"""Publish feature views: bring the online store to what their Delta tables hold now.

How far a view was published stands in the online store itself, after its records: whoever deletes the store deletes
that with it, and a run that was killed is simply done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lakehouse.config import Project
from lakehouse.errors import LakehouseError, UsageError, did_you_mean
from lakehouse.features.cursor import Cursor, Published
from lakehouse.features.downstream import View, applied_views, read_as
from lakehouse.features.repository import is_applied, open_store, quiet
from lakehouse.features.settings import Settings, read_settings

if TYPE_CHECKING:
    from feast import FeatureStore

Listen = Callable[[str, Published | LakehouseError | None], None]
"""Called with a view's name when it is begun (None), and when it is done or failed."""


def publish(
    project: Project,
    views: Sequence[str] = (),
    *,
    now: datetime,
    tables: Collection[str] | None = None,
    listen: Listen | None = None,
) -> list[Published]:
    """Publish the views (all that are online, without names) whose table or definition changed since the last time.

    ``tables`` limits that to the views of these tables (addresses). Each key gets its newest row with an event time up
    to ``now`` (UTC where naive) and all later ones; keys that left the table leave the store. The views must have been
    applied. A view that fails stops no other; the first error is raised when all were tried. Raises UsageError for an
    unknown view, GateError for a table that fails its gate, NotBuiltError for one that is not there, OnlineStoreError
    where the store can't be written.
    """
    now = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
    settings = read_settings(project)
    known = _all_unchanged(project, settings, views, tables, now)
    if known is None:
        with quiet():
            return list(_publish(open_store(project), settings, views, now, listen or _silent, tables))
    for one in known:
        if listen is not None:
            listen(one.view, one)
    return known


def _all_unchanged(
    project: Project, settings: Settings, names: Sequence[str], tables: Collection[str] | None, now: datetime
) -> list[Published] | None:
    """The answer without Feast: None unless what is applied is what the code says, and each view's cursor holds."""
    from lakehouse.online.publication import name_in_store

    applied = applied_views(project)
    if not applied or settings.versioned or not is_applied(project):
        return None
    online = {view.name: view for view in applied if view.online}
    if not online or not set(names) <= online.keys():
        return None
    cursors = settings.cursors()
    answer = []
    for view in [online[name] for name in names] or online.values():
        if tables is not None and view.source not in tables:
            continue
        one = _unchanged(project, view, Cursor.of(cursors.get(name_in_store(settings.project, view.name))), now)
        if one is None:
            return None
        answer.append(one)
    return answer


def _unchanged(project: Project, view: View, cursor: Cursor | None, now: datetime) -> Published | None:
    from lakehouse.features.gating import check_gate
    from lakehouse.features.reading import open_table

    started = time.monotonic()
    if cursor is None or read_as(cursor.definition, cursor.table, cursor.pinned) != view.definition:
        return None
    try:
        opened = open_table(cursor.location, cursor.table, cursor.pinned)
        if view.source and cursor.pinned is None:
            check_gate(project, view.source, opened, now)
    except LakehouseError:
        return None
    if not cursor.holds(opened):
        return None
    return Published(view.name, cursor.table, opened.version, 0, "", time.monotonic() - started, "unchanged")


def _publish(
    store: FeatureStore,
    settings: Settings,
    names: Sequence[str],
    now: datetime,
    tell: Listen,
    tables: Collection[str] | None,
) -> Iterator[Published]:
    from lakehouse.features.engine import publish_view
    from lakehouse.features.source import view_source

    every = {view.name: view for view in store.list_feature_views() if view.online}
    if not every:
        raise UsageError("no feature views are applied", hint=f"Run: feast -c {settings.file.parent.name} apply")
    for name in names:
        if name not in every:
            raise UsageError(f"no online feature view '{name}'", hint=did_you_mean(name, every))
    failed: list[LakehouseError] = []
    for view in [every[name] for name in names] or sorted(every.values(), key=lambda view: view.name):
        if tables is not None and view_source(view, view.name).label not in tables:
            continue
        tell(view.name, None)
        try:
            one = publish_view(store.config, store.provider.online_store, view, now)
        except LakehouseError as error:
            failed.append(error)
            tell(view.name, error)
            continue
        tell(view.name, one)
        yield one
    if failed:
        raise failed[0]


def _silent(view: str, one: Published | LakehouseError | None) -> None:
    """Tell nobody."""
