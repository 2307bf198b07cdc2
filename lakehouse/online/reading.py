"""Out of records, and of rows that were pushed over them, the values that a look-up gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from feast import utils
from feast.infra.online_stores.online_store import OnlineStore
from feast.online_response import OnlineResponse
from feast.protos.feast.types.Value_pb2 import Value

from lakehouse.errors import OnlineStoreError
from lakehouse.kernels.record import Layout, Reader, encode, layout_of
from lakehouse.online.publication import Found
from lakehouse.online.request import ABSENT, LookUp, Part, Request, picker
from lakehouse.online.response import EXPIRED, NOT_FOUND, PRESENT, UNAVAILABLE, Column, PackedResponse

EVER = 2**63 - 1


class Records:
    """Reads the records of one store; ``layouts`` gives the text of every layout that they name."""

    def __init__(self, layouts: Callable[[], dict[int, str]]) -> None:
        self._layouts = layouts
        self._readers: dict[int, Reader] = {}

    def columns(self, part: Part, keys: Sequence[bytes | None], found: Iterator[Found], now: int) -> list[Column]:
        """The part's columns. ``found`` has what there is of each key that is not null."""
        width = len(part.features)
        empty = (None,) * width
        rows: list[Sequence[Any]] = []
        statuses: list[int] = []
        events: list[int | None] = []
        lacking = False
        readers, oldest = self._readers, -(2**63) if part.ttl is None else now - part.ttl
        for key in keys:
            record, pushed = next(found) if key is not None else (None, None)
            row = None
            if record is not None:
                reader = readers.get(int.from_bytes(record[4:8], "little")) or self._reader(record)
                row = reader.read(record, now)
                if row is not None:
                    row = (row[0], row[1], part.pick(reader)(row[2]))
            if pushed is not None:
                row = self._overlaid(part, pushed, row, now)
            if row is None:
                rows.append(empty)
                statuses.append(NOT_FOUND)
                events.append(None)
            elif row[0] < oldest:
                rows.append(empty)
                statuses.append(EXPIRED)
                events.append(row[0])
            else:
                rows.append(row[2])
                statuses.append(PRESENT)
                events.append(row[0])
                lacking = lacking or ABSENT in row[2]
        values = list(zip(*rows, strict=True)) if rows else [()] * width
        columns = []
        for name, convert, column in zip(part.names, part.conversions, values, strict=True):
            marks = statuses
            if lacking and ABSENT in column:
                marks = [NOT_FOUND if value is ABSENT else mark for value, mark in zip(column, statuses, strict=True)]
                column = tuple(None if value is ABSENT else value for value in column)
            columns.append(Column(name, column, convert, marks, events))
        return columns

    def _overlaid(self, part: Part, pushed: bytes, row: Any, now: int) -> Any:
        """The pushed row over the record's, where it is the later of the two and due."""
        reader = self._reader(pushed)
        over = reader.read(pushed, now)
        if over is None or (row is not None and over[:2] <= row[:2]):
            return row
        under = row[2] if row is not None else [ABSENT] * len(part.features)
        picked = picker(reader.names, part.features)(over[2])
        values = []
        for packed, below, convert in zip(picked, under, part.conversions, strict=True):
            value = None if packed is None or packed is ABSENT else Value.FromString(packed)
            values.append(below if value is None or not convert.fits(value) else convert.of_proto(value))
        return over[0], over[1], values

    def merged(self, before: bytes | None, row: bytes) -> bytes:
        """What stays of a row that was pushed before, and one that is pushed now."""
        if before is None:
            return row
        first = self._reader(before).read(before, EVER)
        second = self._reader(row).read(row, EVER)
        assert first is not None and second is not None
        if second[:2] < first[:2]:
            return before
        names = self._reader(row).names
        older = dict(zip(self._reader(before).names, first[2], strict=True))
        values = [older.get(name) if value is None else value for name, value in zip(names, second[2], strict=True)]
        columns = [pa.array([value], pa.large_binary()) for value in values]
        times = [pa.array([one], pa.int64()).to_numpy() for one in second[:2]]
        return encode(self._reader(row).layout, pa.table(columns, names=names), times[0], times[1], 0)[0]

    def known(self, layout: Layout) -> None:
        """Remember a layout that the store holds."""
        self._readers[layout.number] = Reader(layout)

    def _reader(self, record: bytes) -> Reader:
        number = layout_of(record)
        if number not in self._readers:
            for known, text in self._layouts().items():
                self._readers.setdefault(known, Reader(Layout.of_text(text)))
        if number not in self._readers:
            raise OnlineStoreError(
                f"the online store has a record of the layout {number}, and does not say what that is",
                hint="Was a part of it deleted? Delete all of it and publish again.",
            )
        return self._readers[number]


def answer(
    records: Records, asked: LookUp, found: Sequence[Sequence[Found]] | None, now: int, versions: bool
) -> OnlineResponse:
    """Feast's response to a look-up: the entity rows as they were given, then the features.

    ``found`` is what there is of each key that is asked; None where the store did not answer: all is null then, with
    the status INVALID. ``versions`` adds the version number of each view's definition.
    """
    request = asked.request
    everywhere, nowhere = [PRESENT] * asked.rows, [None] * asked.rows
    columns = [
        Column(request.join_key(name), values, None, everywhere, nowhere)
        for name, values in asked.given.items()
        if request.join_key(name) in request.types or name in request.request_data
    ]
    keys = {column.name for column in columns if column.name in request.types}
    for spot, part in enumerate(request.parts):
        if found is not None:
            columns += records.columns(part, asked.encoded[spot], iter(found[spot]), now)
        else:
            marks = [UNAVAILABLE] * asked.rows
            pairs = zip(part.names, part.conversions, strict=True)
            columns += [Column(name, nowhere, convert, marks, nowhere) for name, convert in pairs]
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
