"""Out of records, and of rows that were pushed over them, the values that a look-up gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
from feast import utils
from feast.infra.online_stores.online_store import OnlineStore
from feast.online_response import OnlineResponse
from feast.protos.feast.types.Value_pb2 import Value

from lakehouse.errors import StorageError
from lakehouse.kernels.reader import NEVER, Reader
from lakehouse.kernels.record import EVER, UNKNOWN, Layout, encode, layout_of
from lakehouse.online.publication import Found
from lakehouse.online.request import LookUp, Part, Request
from lakehouse.online.response import EXPIRED, NOT_FOUND, PRESENT, UNAVAILABLE, Column, PackedResponse
from lakehouse.online.served import ServedLog
from lakehouse.online.windows import slid

ABSENT: Any = object()
"""Stands for a feature that a record has not: it was made before the feature was added."""

COLUMN = partial(tuple.__new__, Column)
"""Makes a Column of a tuple, many times as fast as by its name."""

Read = tuple[Sequence[int], Sequence[Any], bool]
"""Event times, a column of values for each feature that is asked, and whether ABSENT may be among them."""


class Records:
    """Reads the records of one store; ``layouts`` gives the text of every layout that they name, ``cursors`` those of
    the views.
    """

    def __init__(self, layouts: Callable[[], dict[int, str]], cursors: Callable[[], dict[str, str]]) -> None:
        self._layouts, self._cursors = layouts, cursors
        self._readers: dict[int, Reader] = {}

    def columns(self, part: Part, keys: Sequence[bytes | None], found: Found, now: int) -> list[Column]:
        """The part's columns. ``found`` has what there is of each key that is not null."""
        records, pushed = found
        if None in keys:
            records, pushed = _spread(keys, records), _spread(keys, pushed) if pushed else ()
        oldest = NEVER + 1 if part.ttl is None else now - part.ttl
        read = None if pushed else self._together(part, records, now)
        moments, values, lacking = _of_their_types(
            part, read or self._one_by_one(part, records, pushed or repeat(None), now, oldest)
        )
        statuses = [PRESENT] * len(keys)
        events: Sequence[int | None] = moments
        if moments and min(moments) < oldest:
            statuses = [_status(moment, oldest) for moment in moments]
            events = [None if moment == NEVER else moment for moment in moments]
            hidden = [row for row, status in enumerate(statuses) if status != PRESENT]
            values = [list(column) for column in values]
            for column in values:
                for row in hidden:
                    column[row] = None
        columns = map(COLUMN, zip(part.names, values, part.conversions, repeat(statuses), repeat(events), strict=False))
        return list(map(_without_absent, columns) if lacking else columns)

    def _together(self, part: Part, records: Sequence[bytes | None], now: int) -> Read | None:
        """What is read of records that are of one layout and of one row each, as most are; else None."""
        first = next(filter(None, records), None)
        if first is None:
            return None
        reader = self.reader_of(first)
        read = reader.read_together([record or reader.nothing for record in records], now)
        if read is None:
            return None
        spots, nowhere = part.spots(reader), [ABSENT] * len(records)
        return read[0], [nowhere if spot is None else read[1][spot] for spot in spots], None in spots

    def _one_by_one(
        self, part: Part, records: Sequence[bytes | None], pushed: Iterable[bytes | None], now: int, oldest: int
    ) -> Read:
        """The same of any records, and of rows that were pushed over them."""
        rows = []
        for record, over in zip(records, pushed, strict=False):
            row = None
            if record is not None:
                reader = self.reader_of(record)
                row = reader.read(record, now)
                if row is not None:
                    spots = part.spots(reader)
                    row = row[0], row[1], [ABSENT if spot is None else row[2][spot] for spot in spots]
            if over is not None:
                row = self._overlaid(part, over, row, now, oldest)
            rows.append(row or (NEVER, NEVER, [None] * len(part.features)))
        if not rows:
            return [], [()] * len(part.features), False
        return [row[0] for row in rows], list(zip(*(row[2] for row in rows), strict=True)), True

    def _overlaid(self, part: Part, pushed: bytes, row: Any, now: int, oldest: int) -> Any:
        """The pushed row over the record's, where it is the later of the two and due. What it does not name is of the
        rows before it, down to the ``oldest`` time that the view's ttl allows.
        """
        reader = self.reader_of(pushed)
        over = reader.read(pushed, now)
        if over is None or (row is not None and over[:2] <= row[:2]):
            return row
        under = row[2] if row is not None and row[0] >= oldest else [ABSENT] * len(part.features)
        given = dict(zip(reader.names, over[2], strict=True))
        earlier: Any = over
        while any(given.get(name) is None for name in part.features):
            earlier = reader.read(pushed, earlier[0] - 1)
            if earlier is None or earlier[0] < oldest or (row is not None and earlier[:2] <= row[:2]):
                break
            given |= {name: one for name, one in zip(reader.names, earlier[2], strict=True) if given.get(name) is None}
        values = []
        for name, below, convert in zip(part.features, under, part.conversions, strict=True):
            packed = given.get(name)
            value = None if packed is None else Value.FromString(packed)
            values.append(below if value is None or not convert.fits(value) else convert.of_proto(value))
        return over[0], over[1], values

    def merged(self, now: int, before: bytes | None, row: bytes) -> bytes:
        """What stays of the rows that were pushed before, and of one that is pushed now, in whatever order they come:
        of those that are due the newest that names each feature, and all that are dated after ``now``.
        """
        if before is None:
            return row
        reader, old = self.reader_of(row), self.reader_of(before)
        rows = [one for at in old.moments(before) if (one := old.read(before, at)) is not None]
        new = reader.read(row, EVER)
        assert new is not None
        named = {one[0]: (one[1], _said(old.names, one[2])) for one in rows}
        then, own = named.get(new[0], (UNKNOWN, {})), _said(reader.names, new[2])
        named[new[0]] = max(then[0], new[1]), then[1] | own if new[1] >= then[0] else own | then[1]
        kept: list[tuple[int, int, dict[str, Any]]] = []
        known: set[str] = set()
        for event, (created, values) in sorted(named.items(), reverse=True):
            own = {name: value for name, value in values.items() if event > now or name not in known}
            known |= own.keys() if event <= now else set()
            if own:
                kept.insert(0, (event, created, own))
        columns = [pa.array([one[2].get(name) for one in kept], pa.large_binary()) for name in reader.names]
        events, made = (pa.array([one[spot] for one in kept], pa.int64()).to_numpy() for spot in (0, 1))
        counts = np.array([len(kept)], np.int64)
        return encode(reader.layout, pa.table(columns, names=reader.names), events, made, 0, counts)[0]

    def known(self, layout: Layout) -> None:
        """Remember a layout that the store holds."""
        self._readers[layout.number] = Reader(layout)

    def horizon(self, view: str) -> int | None:
        """As of when window features were published last, in microseconds since 1970; None where they never were."""
        found = json.loads(self._cursors().get(view) or "{}").get("horizon")
        return None if found is None else int(found)

    def lacks(self, found: Sequence[Found]) -> bool:
        """Whether the first record of a view is of a layout that is not known yet."""
        firsts = (next(filter(None, records), None) for records, _ in found)
        return any(first is not None and layout_of(first) not in self._readers for first in firsts)

    def learn(self) -> None:
        """Ask for the layouts. Raises OnlineStoreError."""
        for known, text in self._layouts().items():
            self._readers.setdefault(known, Reader(Layout.of_text(text)))

    def reader_of(self, record: bytes) -> Reader:
        """What reads the record's layout."""
        number = layout_of(record)
        if number not in self._readers:
            self.learn()
        if number not in self._readers:
            raise StorageError(
                f"the online store has a record of the layout {number}, and does not say what that is",
                hint="Was a part of it deleted? Delete all of it and publish again.",
            )
        return self._readers[number]


def _said(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    """The features that a pushed row names."""
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _spread(keys: Sequence[bytes | None], found: Sequence[bytes | None]) -> list[bytes | None]:
    """What was found, with nothing for keys that are null."""
    left = iter(found)
    return [None if key is None else next(left) for key in keys]


def _status(moment: int, oldest: int) -> int:
    return NOT_FOUND if moment == NEVER else EXPIRED if moment < oldest else PRESENT


def _of_their_types(part: Part, read: Read) -> Read:
    """With ABSENT for messages that were published when the feature had another type, of the same kind of field."""
    moments, values, lacking = read
    for spot in part.messages:
        head = part.conversions[spot].head
        if not all(one is ABSENT or not one or one.startswith(head) for one in values[spot]):
            fitting = [one if one is ABSENT or not one or one.startswith(head) else ABSENT for one in values[spot]]
            values, lacking = [*values[:spot], fitting, *values[spot + 1 :]], True
    return moments, values, lacking


def _without_absent(column: Column) -> Column:
    marks = zip(column.values, column.statuses, strict=True)
    return column._replace(
        values=[None if value is ABSENT else value for value in column.values],
        statuses=[NOT_FOUND if value is ABSENT else status for value, status in marks],
    )


def answer(
    records: Records,
    asked: LookUp,
    found: Sequence[Found] | None,
    now: int,
    versions: bool,
    log: ServedLog | None = None,
) -> OnlineResponse:
    """Feast's response to a look-up: the entity rows as they were given, then the features.

    ``found`` is what there is of each key that is asked; None where the store did not answer: all is null then, with
    the status INVALID. ``versions`` adds the version number of each view's definition. What is found goes to ``log``.
    """
    request = asked.request
    everywhere, nowhere = [PRESENT] * asked.rows, [None] * asked.rows
    columns = [
        Column(request.join_key(name), values, None, everywhere, nowhere)
        for name, values in asked.given.items()
        if request.join_key(name) in request.types or name in request.request_data
    ]
    keys = {column.name for column in columns if column.name in request.types}
    served: list[list[Column]] = []
    for spot, part in enumerate(request.parts):
        if found is None:
            marks = [UNAVAILABLE] * asked.rows
            pairs = zip(part.names, part.conversions, strict=True)
            own = [Column(name, nowhere, convert, marks, nowhere) for name, convert in pairs]
        elif part.windows is None:
            own = records.columns(part, asked.encoded[spot], found[spot], now)
        else:
            published = partial(records.horizon, part.id)
            own = slid(part, asked.encoded[spot], found[spot], records.reader_of, now, asked.moments, published)
        columns += own
        served.append(own)
    if log is not None and found is not None:
        log.take(asked, found, served, now)
    views = [part.view for part in request.parts] if versions else []
    numbers = {
        view.projection.name_alias or view.projection.name: getattr(view, "current_version_number", 0) or 0
        for view in views
    }
    response = PackedResponse(columns, asked.messages, numbers)
    return _on_demand(response, request, keys) if request.on_demand else response


def _on_demand(response: PackedResponse, request: Request, keys: set[str]) -> OnlineResponse:
    """The response with what the on-demand views make of it, by Feast's own code."""
    message = response.proto
    types = OnlineStore._build_feature_types([(part.view, part.features) for part in request.parts])
    utils._augment_response_with_on_demand_transforms(
        message, request.references, request.on_demand, request.full_names, feature_types=types
    )
    utils._drop_unneeded_columns(message, {*request.shown, *keys})
    return OnlineResponse(message, feature_types=types)
