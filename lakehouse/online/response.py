"""What a look-up answers: Feast's response, whose messages are built only when somebody asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp

from lakehouse.online.kinds import Conversion

PRESENT = int(FieldStatus.PRESENT)
NOT_FOUND = int(FieldStatus.NOT_FOUND)
EXPIRED = int(FieldStatus.OUTSIDE_MAX_AGE)
UNAVAILABLE = int(FieldStatus.INVALID)
"""The store did not answer, and the configuration says to go on without it."""


class Column(NamedTuple):
    """One name of the answer, a value for each row that was asked."""

    name: str
    values: Sequence[Any]
    """As records hold them, or as the caller gave them where there is no conversion."""
    conversion: Conversion | None
    statuses: Sequence[int]
    events: Sequence[int | None]
    """The event times: microseconds since 1970."""


class PackedResponse(OnlineResponse):
    """Feast's response; ``to_dict`` comes straight out of the records."""

    def __init__(self, columns: Sequence[Column], given: Any, versions: dict[str, int] | None = None) -> None:
        self._columns = columns
        self._given = given
        """Feast's messages of the keys, made when they are asked for."""
        self._versions = versions or {}
        self._proto: GetOnlineFeaturesResponse | None = None

    @property
    def _feature_types(self) -> dict[str, ValueType]:  # type: ignore[override]
        return {column.name: column.conversion.value_type for column in self._columns if column.conversion is not None}

    @property
    def proto(self) -> GetOnlineFeaturesResponse:  # type: ignore[override]
        """Feast's message, built at the first time."""
        if self._proto is None:
            self._proto = self._message()
        return self._proto

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        """The values of each name, in the order of the rows; None where there is none, or its time has passed."""
        answer: dict[str, Any] = {}
        for column in self._columns:
            convert = column.conversion
            answer[column.name] = list(column.values) if convert is None else convert.to_python(column.values)
            if include_event_timestamps:
                seconds = [0 if event is None else event // 1_000_000 for event in column.events]
                answer[column.name + TIMESTAMP_POSTFIX] = seconds
        return answer

    def _message(self) -> GetOnlineFeaturesResponse:
        message = GetOnlineFeaturesResponse(results=[])
        times: dict[int, list[Timestamp]] = {}
        given = self._given()
        for column in self._columns:
            message.metadata.feature_names.val.append(column.name)
            if id(column.events) not in times:
                times[id(column.events)] = [_timestamp(event) for event in column.events]
            convert = column.conversion
            message.results.add(
                values=given[column.name] if convert is None else convert.to_proto(column.values),
                statuses=column.statuses,
                event_timestamps=times[id(column.events)],
            )
        for name, version in self._versions.items():
            message.metadata.feature_view_metadata.add(name=name, version=version)
        return message


def _timestamp(event: int | None) -> Timestamp:
    if event is None:
        return Timestamp()
    seconds, micros = divmod(event, 1_000_000)
    return Timestamp(seconds=seconds, nanos=micros * 1000)
