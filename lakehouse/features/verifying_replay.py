"""What training says of vectors that were served, at any version of their view's table."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.feature_view import FeatureView
from feast.repo_config import RepoConfig
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.value_type import ValueType

from lakehouse.delta.log import commits, committed_at
from lakehouse.delta.state import FINGERPRINT
from lakehouse.errors import VersionGoneError
from lakehouse.features.downstream import definition
from lakehouse.features.reading import OpenTable
from lakehouse.features.retrieval import Wanted, training_rows, wanted_views
from lakehouse.features.source import view_source
from lakehouse.features.verifying_log import Served, entity_rows_of
from lakehouse.features.windowed import WindowTable
from lakehouse.online.kinds import kind_of
from lakehouse.online.served_values import plain


@dataclass(frozen=True)
class Trained:
    """What training says of one vector."""

    features: dict[str, Any]
    """As the log has values; see :func:`lakehouse.online.served_values.plain`."""
    kinds: dict[str, pa.DataType]
    event: datetime | None
    """The event time of the row that it sees; None of window features, and where it sees none."""


class Replay:
    """One view, as it is applied now, at any version of its table. Each version is opened once."""

    def __init__(self, config: RepoConfig, view: FeatureView) -> None:
        self.view = view
        self.source = view_source(view, view.name)
        self._config = config
        self._wanted: dict[int, Wanted] = {}
        self.types = {field.name: field.dtype.to_value_type() for field in view.features}
        (self.newest,) = wanted_views(config, [view], [f"{view.name}:{name}" for name in self.types])
        self.time = self.source.timestamp_field
        self.definition = definition(view)

    @property
    def id(self) -> str:
        return self.newest.opened.id

    def wanted(self, version: int) -> Wanted:
        """The view at a version of its table. Raises VersionGoneError where that can't be read any more."""
        if version == self.newest.opened.version:
            return self.newest
        if version not in self._wanted:
            source = copy.copy(self.source)
            source.version, source.events_version = version, None
            opened = source.open(self._config)
            if opened.id != self.id:
                raise VersionGoneError(f"{opened.label} was made anew since: version {version} is another table's")
            windows = WindowTable.of(source, opened, self._config) if source.windows is not None else None
            self._wanted[version] = replace(self.newest, source=source, opened=opened, windows=windows)
        return self._wanted[version]

    def trained(self, vectors: Sequence[Served], wanted: Wanted, ttl: bool = True) -> list[Trained]:
        """What training says of each vector at its moment; without ``ttl`` also of rows that are older than that."""
        names = list(dict.fromkeys(name for one in vectors for name in one.features if name in self.types))
        asked = names if wanted.windows is not None else list(dict.fromkeys([*names, self.time]))
        view = replace(wanted, features=tuple(asked), ttl=wanted.ttl if ttl else None)
        rows = entity_rows_of(self.view, vectors)
        table = training_rows(rows, [view], full_names=True)
        columns = {name: table.column(f"{wanted.name}__{name}") for name in asked}
        kinds = {name: columns[name].type for name in names}
        values = {name: self._values(columns[name], self.types[name]) for name in names}
        events = [None] * len(vectors) if wanted.windows is not None else columns[self.time].to_pylist()
        return [
            Trained({name: values[name][place] for name in names}, kinds, events[place])
            for place in range(len(vectors))
        ]

    def version_at(self, moment: datetime) -> int | None:
        """The version that the table was at; None where its log does not say."""
        return next((version for made, version in reversed(self._commits) if made <= moment), None)

    def fingerprint(self, opened: OpenTable) -> str:
        """Of the definition that the table's content was made by."""
        return str(opened.delta.metadata().configuration.get(FINGERPRINT, ""))

    @cached_property
    def _commits(self) -> list[tuple[datetime, int]]:
        location = self.newest.opened.location
        return [] if "://" in location else [(committed_at(file), version) for version, file in commits(Path(location))]

    def _values(self, column: pa.ChunkedArray, value_type: ValueType) -> list[Any]:
        values = column.to_pylist(maps_as_pydicts="strict")
        if kind_of(value_type) == "value" and self.source.windows is None:  # it went through Feast's messages
            messages = python_values_to_proto_values(values, value_type)
            pairs = zip(values, messages, strict=True)
            values = [None if one is None else feast_value_type_to_python_type(two, value_type) for one, two in pairs]
        return [plain(one) for one in values]
