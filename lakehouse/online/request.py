"""A request as it is asked again and again: worked out once for each list of features, then only keys are encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.online_stores.helpers import compute_table_id
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType

from lakehouse.errors import UsageError, did_you_mean
from lakehouse.kernels.entity_key import EntityKeys
from lakehouse.kernels.reader import Reader
from lakehouse.online.kinds import Conversion

MICROS = 1_000_000
_FIELDS = {
    ValueType.BYTES: "bytes_val",
    ValueType.STRING: "string_val",
    ValueType.INT32: "int32_val",
    ValueType.INT64: "int64_val",
    ValueType.UNIX_TIMESTAMP: "unix_timestamp_val",
}
"""Where Feast's messages hold keys."""


class Part:
    """What is asked of one view."""

    def __init__(self, config: RepoConfig, view: FeatureView, features: Sequence[str], full_names: bool) -> None:
        self.view = view
        self.id = view_id(config, view)
        self.features = list(features)
        shown = view.projection.name_to_use()  # type: ignore[no-untyped-call]
        self.names = [f"{shown}__{one}" if full_names else one for one in features]
        types = {field.name: field.dtype.to_value_type() for field in view.features}
        self.conversions = [Conversion(types[one]) for one in features]
        ttl = getattr(view, "ttl", None)  # an on-demand view whose values are written has none
        self.ttl = int(ttl.total_seconds() * MICROS) if ttl else None
        renamed = view.projection.join_key_map
        self.keys = view_keys(view)
        self.asked = [renamed.get(field.name, field.name) for field in view.entity_columns]
        """The caller's column of each of the view's join keys."""
        self._spots: dict[int, list[int | None]] = {}

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
    """One request with its entity rows. Raises UsageError for a missing join key, and for columns of other lengths."""

    def __init__(self, request: Request, given: Mapping[str, Sequence[Any]]) -> None:
        self.request = request
        self.given = given
        lengths = {name: len(values) for name, values in given.items()}
        if len(set(lengths.values())) > 1:
            raise UsageError(f"the entity rows have different lengths: {lengths}")
        self.rows = next(iter(lengths.values()), 0)
        joins: dict[str, Sequence[Any]] = {}
        needed = {name for part in request.parts for name in part.asked}
        for name, values in given.items():
            join = request.join_key(name)
            if join in needed:
                joins[join] = key_values(values, request.types[join])
        for part in request.parts:
            for name in part.asked:
                if name not in joins and name != DUMMY_ENTITY_ID:
                    raise UsageError(
                        f"the entity rows have no join key '{name}', which '{part.view.name}' needs",
                        hint=did_you_mean(name, given),
                    )
        self.encoded = [part.encode(joins, self.rows) for part in request.parts]
        """For each part the key of each row."""

    @property
    def keys(self) -> list[tuple[str, list[bytes]]]:
        """For each part its view and the keys to find, without those that are null."""
        parts = zip(self.request.parts, self.encoded, strict=True)
        return [(part.id, [key for key in keys if key is not None]) for part, keys in parts]

    def messages(self) -> dict[str, list[Value]]:
        """The entity rows as Feast's messages, by join key."""
        found = {}
        for name, values in self.given.items():
            kind = self.request.types.get(self.request.join_key(name), ValueType.UNKNOWN)
            given = all(isinstance(value, Value) for value in values)
            found[self.request.join_key(name)] = (
                list(values) if given else python_values_to_proto_values(list(values), kind)
            )
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
    """The name of a view's records in the store: as Feast's own stores name their tables."""
    return str(compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning))


def view_keys(view: FeatureView) -> EntityKeys:
    """Encodes the keys of a view, in the order of its entity columns."""
    columns = view.entity_columns
    return EntityKeys([one.name for one in columns], [one.dtype.to_value_type().value for one in columns])


def columnar(rows: Any) -> Mapping[str, Sequence[Any]]:
    """Entity rows, a mapping of columns or a list of rows, as columns."""
    if isinstance(rows, Mapping):
        return {name: values if isinstance(values, list) else _listed(values) for name, values in rows.items()}
    if not rows:
        return {}
    names = rows[0].keys()
    if any(row.keys() != names for row in rows):
        raise UsageError("the entity rows have different keys", hint="Give the same join keys in each row.")
    return {name: [row[name] for row in rows] for name in names}


def key_values(values: Sequence[Any], value_type: ValueType) -> Sequence[Any]:
    """Keys in the form that is encoded: str, bytes or int; None for null. Feast's own messages are taken too."""
    kinds = set(map(type, values))
    if kinds <= {str, type(None)} and value_type is ValueType.STRING:
        return values
    if kinds == {int} and value_type is ValueType.INT64 and min(values) >= -(2**63) and max(values) < 2**63:
        return values
    if kinds == {Value}:
        messages = values
    else:
        try:
            messages = python_values_to_proto_values(list(values), value_type)
        except Exception as error:
            what = f"'{values[0]}'" if len(values) == 1 else f"one of {len(values)} keys"
            raise UsageError(f"{what} is not of the entity's type, {value_type.name}: {error}") from error
    fields = [message.WhichOneof("val") for message in messages]
    if wrong := {*fields} - {None, "null_val", _FIELDS.get(value_type)}:
        raise UsageError(f"a key is a {', '.join(sorted(wrong))}, but its entity is of the type {value_type.name}")
    return [
        None if field in (None, "null_val") else getattr(message, field)
        for field, message in zip(fields, messages, strict=True)
    ]


def _listed(values: Any) -> list[Any]:
    return list(values.val) if hasattr(values, "val") else list(values)
