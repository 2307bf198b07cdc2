"""What every online store of ours does with records: look-ups, pushed rows, and Feast's own interface to both."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from feast import Entity
from feast.errors import FeastError
from feast.feature_view import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.online_response import OnlineResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from lakehouse.errors import OnlineStoreError, UsageError
from lakehouse.kernels.entity_key import KEY_VERSION
from lakehouse.kernels.record import UNKNOWN, Layout, encode
from lakehouse.online.compiled import CompiledRequests
from lakehouse.online.kinds import moment, ticks
from lakehouse.online.publication import Asked, Found, Holder, Publication
from lakehouse.online.reading import Records, answer
from lakehouse.online.request import LookUp, Part, columnar, view_id
from lakehouse.online.response import PRESENT
from lakehouse.online.served import ServedLog, ServedLogConfig
from lakehouse.online.windows import slid

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


class UnavailableError(OnlineStoreError, FeastError):
    """A look-up that the store does not answer; Feast's server answers it as such."""

    def http_status_code(self) -> int:
        return 503


class PackedOnlineStoreConfig(FeastConfigBaseModel):
    """What every store of ours takes in ``online_store:`` of feature_store.yaml."""

    as_of: datetime | None = None
    """Answer look-ups as of this moment (UTC where naive) instead of now: to replay what was served."""
    unavailable: Literal["error", "null"] = "error"
    """What a look-up does when the store does not answer: raise, or answer null with the status INVALID."""
    log: ServedLogConfig | None = None
    """Log what is served, so that ``lakehouse verify`` can compare it with training."""


class PackedOnlineStore(OnlineStore):
    """The engine publishes records, Feast's ``push`` and ``write_to_online_store`` lay rows over them.

    A look-up takes, for each key, the record's newest row that is due now, or the pushed row where that is later. A row
    that is older than its view's ttl is not given (``OUTSIDE_MAX_AGE``).
    """

    def __init__(self) -> None:
        self._requests = CompiledRequests()
        self._records: Records | None = None
        self._log: ServedLog | None = None

    @abstractmethod
    def holder(self, config: RepoConfig) -> Holder:
        """Where this store's records are."""

    @abstractmethod
    async def find_async(self, config: RepoConfig, asked: Sequence[Asked]) -> list[Found]:
        """What is there of the keys of each view, without holding up the event loop."""

    def publication(self, config: RepoConfig, view: FeatureView, layout: Layout) -> AbstractContextManager[Publication]:
        """Publish a view. Raises LockedError where somebody else does."""
        return self.holder(config).publication(view_id(config, view), layout)

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        return SupportedAsyncMethods(read=True, write=True)

    def get_online_features(
        self,
        config: RepoConfig,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """One look-up for all views that the features are of. Raises EntityRowsError for rows that don't fit."""
        asked = self._look_up(config, registry, project, features, full_feature_names, entity_rows)
        records, now, versions = self.records(config), _now(config), include_feature_view_version_metadata
        try:
            return answer(records, asked, self.holder(config).find(asked.keys), now, versions, self.log(config))
        except OnlineStoreError as error:
            if not _tolerated(config):
                raise UnavailableError(error.message, hint=error.hint) from error
        return answer(records, asked, None, now, versions)

    async def get_online_features_async(
        self,
        config: RepoConfig,
        features: Any,
        entity_rows: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """:meth:`get_online_features`, without holding up the event loop."""
        asked = self._look_up(config, registry, project, features, full_feature_names, entity_rows)
        records, now, versions = self.records(config), _now(config), include_feature_view_version_metadata
        try:
            found = await self.find_async(config, asked.keys)
            if records.lacks(found) or asked.moments is not None:  # then the store is asked again
                return await asyncio.to_thread(answer, records, asked, found, now, versions, self.log(config))
            return answer(records, asked, found, now, versions, self.log(config))
        except OnlineStoreError as error:
            if not _tolerated(config):
                raise UnavailableError(error.message, hint=error.hint) from error
        return answer(records, asked, None, now, versions)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Feast's own interface: the event time and the values of each key; (time, None) where the ttl has passed."""
        part, keys = self._part(config, table, entity_keys, requested_features)
        return self._messages(config, part, keys, self.holder(config).find([(part.id, keys)])[0])

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """:meth:`online_read`, without holding up the event loop."""
        part, keys = self._part(config, table, entity_keys, requested_features)
        found = await self.find_async(config, [(part.id, keys)])
        if self.records(config).lacks(found) or config.online_store.as_of is not None:
            return await asyncio.to_thread(self._messages, config, part, keys, found[0])
        return self._messages(config, part, keys, found[0])

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Lay rows over the published records. Of two for one key the later by event and created time stays, and beside
        it those that are dated ahead.

        A feature that a row does not name keeps the value that was pushed or published before.
        """
        if getattr(getattr(table, "batch_source", None), "windows", None) is not None:
            raise UsageError(
                f"'{table.name}' has window features, which are computed from its events",
                hint="Write the event to where they come from, and run again.",
            )
        layout = Layout(tuple((field.name, "value") for field in table.features))
        keys = [self._key(row[0]) for row in data]
        columns = [pa.array([_given(row[1].get(name)) for row in data], pa.large_binary()) for name, _ in layout.fields]
        if any(pd.isna(row[2]) for row in data):
            raise UsageError(f"a row for '{table.name}' has no event time", hint="Each row needs one.")
        events = pa.array([ticks(row[2]) for row in data], pa.int64()).to_numpy()
        made = [UNKNOWN if row[3] is None or pd.isna(row[3]) else ticks(row[3]) for row in data]
        created = pa.array(made, pa.int64()).to_numpy()
        names = [name for name, _ in layout.fields]
        rows = encode(layout, pa.table(columns, names=names), events, created, 0)
        records = self.records(config)
        records.known(layout)
        pairs = list(zip(keys, rows, strict=True))
        self.holder(config).push(view_id(config, table), layout, pairs, partial(records.merged, _now(config)))
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """:meth:`online_write_batch`, in a thread."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        for view in tables_to_keep:
            self.holder(config).add(view_id(config, view))
        for view in tables_to_delete:
            self.holder(config).drop(view_id(config, view))

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        for view in tables:
            self.holder(config).drop(view_id(config, view))

    def _is_versioned_read_supported(self) -> bool:
        return True

    def records(self, config: RepoConfig) -> Records:
        """Reads this store's records."""
        if self._records is None:
            self._records = Records(lambda: self.holder(config).layouts(), lambda: self.holder(config).cursors())
        return self._records

    def log(self, config: RepoConfig) -> ServedLog | None:
        """The log of what is served; None where the configuration has none."""
        settings = config.online_store.log
        if settings is not None and self._log is None:
            path = settings.path
            if "://" not in path and config.repo_path is not None:
                path = str(Path(config.repo_path).absolute() / path)
            self._log = ServedLog(settings, path, self.holder(config))
        return self._log

    def _look_up(
        self, config: RepoConfig, registry: Any, project: str, features: Any, full_names: bool, rows: Any
    ) -> LookUp:
        given, count = columnar(rows)
        as_of = None if config.online_store.as_of is None else _now(config)
        return LookUp(self._requests.of(config, registry, project, features, full_names), given, count, as_of)

    def _part(
        self, config: RepoConfig, view: FeatureView, keys: Sequence[EntityKey], features: Sequence[str] | None
    ) -> tuple[Part, list[bytes]]:
        wanted = features if features is not None else [field.name for field in view.features]
        return Part(config, view, wanted, False), [self._key(key) for key in keys]

    def _messages(
        self, config: RepoConfig, part: Part, keys: Sequence[bytes], found: Found
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        records, now = self.records(config), _now(config)
        if part.windows is None:
            columns = records.columns(part, keys, found, now)
        else:
            moments = None if config.online_store.as_of is None else [now] * len(keys)
            published = partial(records.horizon, part.id)
            columns = slid(part, keys, found, records.reader_of, now, moments, published)
        answer: list[tuple[datetime | None, dict[str, Value] | None]] = []
        messages = [column.conversion.to_proto(column.values) for column in columns if column.conversion]
        for spot in range(len(keys)):
            event = columns[0].events[spot] if columns else None
            values = {
                name: message[spot]
                for name, message, column in zip(part.features, messages, columns, strict=True)
                if column.statuses[spot] == PRESENT
            }
            answer.append((None if event is None else moment(event), values or None))
        return answer

    def _key(self, key: EntityKey) -> bytes:
        for name, value in zip(key.join_keys, key.entity_values, strict=False):
            if value.WhichOneof("val") in (None, "null_val"):
                raise UsageError(f"the key '{name}' is null", hint="A row needs a whole key.")
        return bytes(serialize_entity_key(key, KEY_VERSION))


def _now(config: RepoConfig) -> int:
    """The moment that look-ups are answered for: microseconds since 1970."""
    as_of = config.online_store.as_of
    return time.time_ns() // 1000 if as_of is None else ticks(as_of)


def _tolerated(config: RepoConfig) -> bool:
    """Whether a look-up goes on without the store: it answers nulls then, marked as such."""
    return bool(config.online_store.unavailable == "null")


def _given(value: Value | None) -> bytes | None:
    """A pushed value: nothing for null, and null for a feature that was not pushed."""
    return None if value is None else value.SerializeToString()
