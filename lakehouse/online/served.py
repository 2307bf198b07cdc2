"""What was served, for later: the vectors of some keys, in a Delta table that ``lakehouse verify`` reads.

Feast has a log of features too (``FeatureStore.write_logged_features``, which ``DeltaLoggingDestination`` takes). It is
not used here: its columns are those of one feature service, without a place for the table's id and version that a value
came from, and Feast's Python SDK writes nothing by itself.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zlib import crc32

import pyarrow as pa
from deltalake import write_deltalake
from feast.repo_config import FeastConfigBaseModel
from pydantic import Field, model_validator

from lakehouse.errors import ConfigError, did_you_mean
from lakehouse.kernels.record import HEADER, ROW
from lakehouse.kernels.times import UTC_TIME
from lakehouse.online.publication import Found, Holder
from lakehouse.online.request import LookUp, Part
from lakehouse.online.response import Column
from lakehouse.online.served_values import plain

WHOLE = 2**32
SCHEMA = pa.schema(
    {
        "request": pa.string(),
        "row": pa.int32(),
        "answered_at": UTC_TIME,
        "at": UTC_TIME,
        "view": pa.string(),
        "keys": pa.string(),
        "features": pa.string(),
        "types": pa.string(),
        "statuses": pa.string(),
        "table": pa.string(),
        "table_id": pa.string(),
        "version": pa.int64(),
        "published": pa.int64(),
        "definition": pa.string(),
        "pushed": pa.bool_(),
        "dropped": pa.int64(),
        "day": pa.date32(),
    }
)
"""One row for each view and key of a look-up. ``at`` is the moment that it was answered for; ``version`` of the table
is that of its record, null where there was none, and ``published`` the one up to which the store then was; ``dropped``
says how many vectors were lost since the row before, for want of room. Keys, features, types, statuses are JSON.
"""
_log = logging.getLogger(__name__)


class ServedLogConfig(FeastConfigBaseModel):
    """``log:`` of ``online_store:`` in feature_store.yaml."""

    path: str
    """The Delta table; a relative path starts at the Feast repository."""
    share: float = Field(default=0.01, gt=0, le=1)
    """Which share of the keys is logged: always the same ones, so that a key's history is whole."""
    most: int = Field(default=10_000, gt=0)
    """How many vectors may wait to be written; what comes beyond is dropped, and counted."""
    every_s: float = Field(default=10.0, gt=0)
    """How long (seconds) vectors wait to be written together."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        refuse_unknown(given if isinstance(given, Mapping) else {})
        return given


def refuse_unknown(settings: Mapping[str, Any]) -> None:
    """Raise ConfigError, with the nearest name, for a setting of ``log:`` that there is none of."""
    known = list(ServedLogConfig.model_fields)
    for name in settings:
        if name not in known:
            raise ConfigError(f"online_store: log: has no setting '{name}'", hint=did_you_mean(name, known))


class Vector(NamedTuple):
    """What one key got of one view, as the look-up has it."""

    request: str
    row: int
    answered: int
    at: int
    part: Part
    keys: tuple[Any, ...]
    head: bytes | None
    """The beginning of its record: the header and its first row's times."""
    pushed: bool
    values: list[Any]
    """As records hold them."""
    statuses: list[int]


class ServedLog:
    """Threads may share one. A look-up puts its vectors into memory; a thread of its own writes them."""

    def __init__(self, settings: ServedLogConfig, path: str, holder: Holder) -> None:
        self.path = path
        self._settings = settings
        self._holder = holder
        self._limit = int(settings.share * WHOLE)
        self._cursors: Mapping[str, str] | None = None
        self._begin()
        atexit.register(self.flush)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock, self._writing, self._full = threading.Lock(), threading.Lock(), threading.Event()
        self._waiting: list[Vector] = []
        self._held = self._dropped = 0
        self._thread: threading.Thread | None = None
        self._said = ""

    @property
    def dropped(self) -> int:
        """How many vectors found no room since something was written last."""
        return self._dropped

    def take(self, asked: LookUp, found: Sequence[Found], columns: Sequence[Sequence[Column]], now: int) -> None:
        """Keep the vectors of the keys that are logged. Nothing is written here, and nothing raised."""
        limit = self._limit
        vectors: list[Vector] = []
        for spot, keys in enumerate(asked.encoded):
            picked = [row for row, key in enumerate(keys) if key is not None and crc32(key) < limit]
            if picked:
                request = vectors[0].request if vectors else uuid.uuid4().hex
                vectors += _vectors(request, asked, spot, picked, found[spot], columns[spot], now)
        if vectors:
            self._add(vectors)

    def _add(self, vectors: list[Vector]) -> None:
        if self._process != os.getpid():  # a fork has the memory of its parent, and not its threads
            self._begin()
        most = self._settings.most
        with self._lock:
            room = most - self._held
            kept = vectors[:room] if len(vectors) > room else vectors
            self._dropped += len(vectors) - len(kept)
            self._held += len(kept)
            self._waiting += kept
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="served features", daemon=True)
                self._thread.start()
            if self._held * 2 >= most:
                self._full.set()

    def _run(self) -> None:
        while True:
            self.flush()
            self._full.wait(self._settings.every_s)
            self._full.clear()
            if self._said:  # it is full and can't be written
                time.sleep(min(1.0, self._settings.every_s))

    def flush(self) -> None:
        """Write what waits, in one commit. What can't be written stays, is said in Python's log and is tried again."""
        if self._process != os.getpid():
            return
        with self._writing:
            with self._lock:
                vectors, self._waiting = self._waiting, []
                dropped = self._dropped
            try:
                cursors = self._holder.cursors()
                if vectors:
                    rows = _rows(vectors, self._cursors or cursors, cursors, dropped)
                    write_deltalake(self.path, rows, mode="append", partition_by=["day"])
                self._cursors = cursors
            except Exception as error:  # whatever a disk, a server or a library says: serving goes on
                with self._lock:
                    self._waiting = vectors + self._waiting
                if vectors:
                    self._say(f"{len(vectors):,} vectors wait, since they can't be written to {self.path}: {error}")
                return
            with self._lock:
                self._held -= len(vectors)
                self._dropped -= dropped if vectors else 0
            self._say(f"{dropped:,} vectors were dropped: more than {self._settings.most:,} waited" if dropped else "")

    def _say(self, text: str) -> None:
        if text and text != self._said:
            _log.warning("log of served features: %s", text)
        self._said = text


def _vectors(
    request: str,
    asked: LookUp,
    spot: int,
    picked: Sequence[int],
    found: Found,
    columns: Sequence[Column],
    now: int,
) -> list[Vector]:
    part, keys, moments = asked.request.parts[spot], asked.encoded[spot], asked.moments
    records, pushed = found
    answered = time.time_ns() // 1000
    gaps = None in keys
    values, statuses = [one.values for one in columns], [one.statuses for one in columns]
    vectors = []
    for row in picked:
        place = row - sum(key is None for key in keys[:row]) if gaps else row
        record = records[place]
        vectors.append(
            Vector(
                request=request,
                row=row,
                answered=answered,
                at=now if moments is None or part.windows is None else moments[row],
                part=part,
                keys=asked.key(part, row),
                head=None if record is None else record[: HEADER.size + ROW.size],
                pushed=bool(pushed) and pushed[place] is not None,
                values=[one[row] for one in values],
                statuses=[one[row] for one in statuses],
            )
        )
    return vectors


def _rows(vectors: Sequence[Vector], before: Mapping[str, str], after: Mapping[str, str], dropped: int) -> pa.Table:
    """The rows of the log. What the store said of a view before and after the vectors must agree to be written."""
    known = {view: _agreed(before.get(view), after.get(view)) for view in {one.part.id for one in vectors}}
    rows = [_row(one, known[one.part.id]) for one in vectors]
    rows[0]["dropped"] = dropped
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _row(one: Vector, cursor: Mapping[str, Any]) -> dict[str, Any]:
    version = None if one.head is None else HEADER.unpack_from(one.head)[4]
    at = one.at
    if one.part.windows is not None:  # a clock that is behind reads as of the publish
        horizon = cursor.get("horizon")
        if one.head is not None and HEADER.unpack_from(one.head)[2]:
            horizon = ROW.unpack_from(one.head, HEADER.size)[0]
        at = max(at, horizon or at)
    names = [field.name for field in one.part.view.entity_columns]
    pairs = zip(one.part.conversions, one.values, strict=True)
    values = [plain(convert.to_python([value])[0]) for convert, value in pairs]
    types = [convert.value_type.name for convert in one.part.conversions]
    return {
        "request": one.request,
        "row": one.row,
        "answered_at": one.answered,
        "at": at,
        "view": one.part.view.name,
        "keys": json.dumps(dict(zip(names, map(plain, one.keys), strict=True))),
        "features": json.dumps(dict(zip(one.part.features, values, strict=True))),
        "types": json.dumps(dict(zip(one.part.features, types, strict=True))),
        "statuses": json.dumps(dict(zip(one.part.features, one.statuses, strict=True))),
        "table": cursor.get("table"),
        "table_id": cursor.get("table_id"),
        "version": version,
        "published": cursor.get("version"),
        "definition": cursor.get("definition"),
        "pushed": one.pushed,
        "dropped": 0,
        "day": datetime.fromtimestamp(one.answered / 1e6, UTC).date(),
    }


def _agreed(before: str | None, after: str | None) -> dict[str, Any]:
    """What a view's cursor says of all vectors that were served between the two; the version is the earlier one's."""
    if before is None or after is None:
        return {}
    first, last = json.loads(before), json.loads(after)
    return {name: value for name, value in first.items() if name == "version" or last.get(name) == value}
