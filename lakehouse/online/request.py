"""A request as it is asked again and again: worked out once for each list of features, then only keys are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from feast.errors import RequestDataNotFoundInEntityRowsException
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from lakehouse.errors import did_you_mean
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.entity_key import EntityKeys
from lakehouse.kernels.reader import Reader
from lakehouse.online.key_values import EntityRowsError, key_values
from lakehouse.online.kinds import Conversion, PlainConversion, ticks
from lakehouse.online.publication import name_in_store

TIME = "event_timestamp"
"""The entity rows' column with the time that window features are asked for; now, where there is none."""


class Part:
    """What is asked of one view."""

    def __init__(self, config: RepoConfig, view: FeatureView, features: Sequence[str], full_names: bool) -> None:
        self.view = view
        self.id = view_id(config, view)
        self.features = list(features)
        shown = view.projection.name_to_use()  # type: ignore[no-untyped-call]
        self.names = [f"{shown}__{one}" if full_names else one for one in features]
        types = {field.name: field.dtype.to_value_type() for field in view.features}
        self.windows: Aggregations | None = getattr(getattr(view, "batch_source", None), "windows", None)
        conversion = Conversion if self.windows is None else PlainConversion
        self.conversions = [conversion(types[one]) for one in features]
        self.messages = [spot for spot, one in enumerate(self.conversions) if one.head]
        """Which features stand in records as Feast's messages."""
        ttl = getattr(view, "ttl", None)  # an on-demand view whose values are written has none
        self.ttl = ttl // timedelta(microseconds=1) if ttl else None
        renamed = view.projection.join_key_map
        self.keys = view_keys(view)
        self.asked = [renamed.get(field.name, field.name) for field in view.entity_columns]
        """The caller's column of each of the view's join keys."""
        self._spots: dict[int, list[int | None]] = {}
        self.readers: dict[int, Any] = {}
        """Of window features what reads each layout."""

    def encode(self, keys: Mapping[str, Sequence[Any]], rows: int) -> list[bytes | None]:
        """The key of each row; None where a part of it is null."""
        return self.keys.of_rows([[""] * rows if name == DUMMY_ENTITY_ID else keys[name] for name in self.asked])

    def spots(self, reader: Reader) -> list[int | None]:
        """Where this part's features stand in a record; None for one that it has not."""
        found = self._spots.get(reader.layout.number)
        if found is None:
            # A field of another kind was published when the feature had another type: it is not there yet.
            fields = {field: spot for spot, field in enumerate(reader.layout.fields)}
            wanted = zip(self.features, self.conversions, strict=True)
            found = self._spots[reader.layout.number] = [fields.get((name, one.kind)) for name, one in wanted]
        return found


@dataclass(frozen=True)
class Request:
    """A list of features, or a feature service, worked out."""

    parts: list[Part]
    types: dict[str, ValueType]
    """The type of each join key that may be given."""
    entities: dict[str, str]
    """Names of entities, which callers of old give instead of join keys."""
    shown: frozenset[str]
    on_demand: list[Any]
    references: list[str]
    request_data: set[str]
    full_names: bool

    def join_key(self, name: str) -> str:
        """The join key that a caller's column means."""
        return name if name in self.types else self.entities.get(name, name)


class LookUp:
    """One request with its entity rows, which are ``rows``.

    Raises EntityRowsError for a missing join key and for a key of another type, and what Feast raises for request data
    that an on-demand view needs.
    """

    def __init__(
        self, request: Request, given: Mapping[str, Sequence[Any]], rows: int, as_of: int | None = None
    ) -> None:
        self.request = request
        self._as_of = as_of
        self.given = given
        self.rows = rows
        self._joins: dict[str, Sequence[Any]] = {}
        joins = self._joins
        needed = {name for part in request.parts for name in part.asked}
        for name, values in given.items():
            join = request.join_key(name)
            if join in needed:
                joins[join] = key_values(values, request.types[join], name)
        for part in request.parts:
            for name in part.asked:
                if name not in joins and name != DUMMY_ENTITY_ID:
                    raise EntityRowsError(
                        f"the entity rows have no join key '{name}', which '{part.view.name}' needs",
                        hint=did_you_mean(name, given) if given else "There are none.",
                    )
        if missing := sorted(request.request_data - given.keys()):
            raise RequestDataNotFoundInEntityRowsException(missing)  # type: ignore[no-untyped-call]
        self.encoded = [part.encode(joins, self.rows) for part in request.parts]
        """For each part the key of each row."""

    @cached_property
    def moments(self) -> list[int] | None:
        """The time that each row asks for, where the rows have one: microseconds since 1970. Of window features only.

        Raises EntityRowsError for what is no time.
        """
        if not self._timed:
            return None if self._as_of is None else [self._as_of] * self.rows
        try:
            return [ticks(_time(one)) for one in self.given[TIME]]
        except (ValueError, OverflowError) as error:
            raise EntityRowsError(
                f"'{TIME}' has what is no time: {error}", hint="Such as 2026-01-31T12:00:00Z."
            ) from error

    @property
    def _timed(self) -> bool:
        """Whether each row has a time of its own that window features are asked for."""
        return TIME in self.given and any(part.windows for part in self.request.parts)

    @property
    def keys(self) -> list[tuple[str, list[bytes]]]:
        """For each part its view and the keys to find, without those that are null."""
        parts = zip(self.request.parts, self.encoded, strict=True)
        return [(part.id, [key for key in keys if key is not None]) for part, keys in parts]

    def key(self, part: Part, row: int) -> tuple[Any, ...]:
        """The join keys of one row for one part, in the order of the view's entity columns: str, bytes or int."""
        return tuple("" if name == DUMMY_ENTITY_ID else self._joins[name][row] for name in part.asked)

    def messages(self) -> dict[str, list[Value]]:
        """The entity rows as Feast's messages, by join key."""
        found = {}
        for name, values in self.given.items():
            join = self.request.join_key(name)
            kind = self.request.types.get(join, ValueType.UNKNOWN)
            values = list(self._joins.get(join, values))
            if name == TIME and self._timed:
                values = [one if isinstance(one, str) else _time(one) for one in values]
            given = all(isinstance(value, Value) for value in values)
            found[join] = values if given else python_values_to_proto_values(values, kind)
        return found


def compile_request(config: RepoConfig, context: Any, full_names: bool) -> Request:
    """Of what Feast makes of a list of references: see ``feast.utils._get_cached_request_context``."""
    references, on_demand, entities, types, joins, groups, shown, request_data, _ = context
    parts = [Part(config, view, features, full_names) for view, features in groups]
    known = {name: types.get(name, ValueType.UNKNOWN) for name in joins}
    for part in parts:
        for name, field in zip(part.asked, part.view.entity_columns, strict=True):
            known[name] = field.dtype.to_value_type()
    return Request(
        parts, known, entities, frozenset(shown), list(on_demand), list(references), set(request_data), full_names
    )


def view_id(config: RepoConfig, view: FeatureView) -> str:
    """The name of a view's records in the store; versions are kept apart where Feast's own stores do so."""
    versioned = compute_versioned_name(view, config.registry.enable_online_feature_view_versioning)
    return name_in_store(config.project, view.name, versioned.removeprefix(view.name).removeprefix("_"))


def view_keys(view: FeatureView) -> EntityKeys:
    """Encodes the keys of a view, in the order of its entity columns."""
    columns = view.entity_columns
    return EntityKeys([one.name for one in columns], [one.dtype.to_value_type().value for one in columns])


def columnar(rows: Any) -> tuple[Mapping[str, Sequence[Any]], int]:
    """Entity rows, a mapping of columns or a list of rows, as columns, and how many rows there are.

    A mapping of nothing is one row, which has all that a view without entities needs. Raises EntityRowsError for
    columns of different lengths, for rows of different keys, and for what is neither.
    """
    if isinstance(rows, Mapping):
        columns = {name: values if isinstance(values, list) else _listed(name, values) for name, values in rows.items()}
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise EntityRowsError(f"the entity rows have different lengths: {lengths}")
        return columns, next(iter(lengths.values()), 1)
    if not isinstance(rows, Sequence) or not all(isinstance(row, (dict, Mapping)) for row in rows):
        raise EntityRowsError(
            f"the entity rows are {type(rows).__name__}, not a mapping of columns or a list of mappings",
            hint='Such as {"carrier": ["AA", "UA"]} or [{"carrier": "AA"}, {"carrier": "UA"}].',
        )
    names = rows[0].keys() if rows else ()
    if any(row.keys() != names for row in rows):
        raise EntityRowsError("the entity rows have different keys", hint="Give the same join keys in each row.")
    return {name: [row[name] for row in rows] for name in names}, len(rows)


def _listed(name: str, values: Any) -> list[Any]:
    if hasattr(values, "val"):
        return list(values.val)
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise EntityRowsError(
            f"the entity rows' '{name}' is {repr(values)[:60]}, not a list",
            hint="Give a list with a value for each row.",
        )
    return list(values)


def _time(value: Any) -> datetime:
    """A time that a caller gave: a date is its midnight in UTC. Raises ValueError for what is none."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, date) and value is not pd.NaT:
        return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    raise ValueError(repr(value)[:60])
