"""A Delta table as a Feast data source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from feast.batch_feature_view import BatchFeatureView
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig
from feast.type_map import pa_to_feast_value_type
from feast.value_type import ValueType

from lakehouse.config import Project, find_project, load_project
from lakehouse.errors import DefinitionError
from lakehouse.features.reading import OpenTable, open_table
from lakehouse.kernels.aggregations import Aggregations

if TYPE_CHECKING:
    from lakehouse.features.windowed import WindowTable

CLASS = "lakehouse.features.source.DeltaSource"


class DeltaSource(DataSource):
    """A Delta table: ``path=`` (relative to the Feast repository) or ``table=`` (an address such as "gold.x").

    ``table`` is resolved when it is read, in the reader's project and environment; see :func:`project_of`.
    ``version`` pins a Delta version. ``columns`` are those that may become features when Feast infers them (None:
    all); names that start with an underscore never do. ``key_types`` are the Feast types that keys must have.

    ``known_at`` is the column with when each row was known, of a table at a path that keeps every version: who
    corrects a row adds one. Of rows with an equal event time (and created time) the one known last is seen. With
    :func:`lakehouse.features.knowledge.known_by` a row is seen only from then on. What was known by
    ``backfilled_until`` (UTC where naive) counts as known at its event time.

    ``windows`` says that the table holds tiles, and which features are made of them; ``events_version`` pins the events
    too. :func:`lakehouse.features.view.feature_view` sets it.
    """

    def __init__(
        self,
        *,
        name: str,
        timestamp_field: str,
        path: str | Path | None = None,
        table: str | None = None,
        created_timestamp_column: str = "",
        version: int | None = None,
        field_mapping: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        owner: str = "",
        columns: Sequence[str] | None = None,
        key_types: Mapping[str, str] | None = None,
        known_at: str = "",
        backfilled_until: datetime | None = None,
        windows: Aggregations | None = None,
        events_version: int | None = None,
    ) -> None:
        if (path is None) == (table is None):
            raise DefinitionError(f"DeltaSource '{name}' needs a path= or a table=, and not both")
        if not timestamp_field:
            raise DefinitionError(f"DeltaSource '{name}' needs a timestamp_field: the column with the event time")
        if table is not None and len([part for part in table.split(".") if part]) != 2:
            hint = "An address is LAYER.NAME: 'gold.x'. Use path= for a folder."
            raise DefinitionError(f"DeltaSource '{name}': table='{table}' is not an address", hint=hint)
        if table is not None and known_at:
            hint = f"Leave it out: known_by() asks {table} itself, if it is declared with keep_versions=True."
            raise DefinitionError(
                f"DeltaSource '{name}': {table} replaces rows, so known_at= says too little", hint=hint
            )
        renamed = list((field_mapping or {}).values())
        if doubled := sorted({one for one in renamed if renamed.count(one) > 1}):
            raise DefinitionError(
                f"DeltaSource '{name}': field_mapping= calls more than one column '{doubled[0]}'",
                hint="Give each a name of its own.",
            )
        super().__init__(
            name=name,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            field_mapping=dict(field_mapping or {}),
            description=description,
            tags=dict(tags or {}),
            owner=owner,
        )
        self.path = None if path is None else str(path)
        self.table = table
        self.version = version
        self.columns = None if columns is None else tuple(columns)
        self.key_types = dict(key_types or {})
        self.known_at = known_at
        if backfilled_until is not None and backfilled_until.tzinfo is None:
            backfilled_until = backfilled_until.replace(tzinfo=UTC)
        self.backfilled_until = backfilled_until
        self.windows = windows
        self.events_version = events_version

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        return DataSourceProto.CUSTOM_SOURCE

    @property
    def label(self) -> str:
        return self.table or str(self.path)

    @property
    def ordered_by(self) -> str:
        """What tells the later of two rows with one event time, in training and in serving; nothing where empty."""
        return self.created_timestamp_column or self.known_at

    def location(self, config: RepoConfig) -> str:
        """The folder or URL of the table, for a reader with this configuration."""
        if self.table is not None:
            return str(project_of(config).path(self.table))
        assert self.path is not None
        if "://" in self.path or config.repo_path is None:
            return self.path
        return str(Path(config.repo_path).absolute() / self.path)

    def open(self, config: RepoConfig) -> OpenTable:
        """The table at its version. Raises NotBuiltError with the next command."""
        hint = f"Run: lakehouse run --select +{self.table}" if self.table else "Write the table first, or correct path="
        return open_table(self.location(config), self.label, self.version, hint)

    def stored(self, column: str) -> str:
        """The table's own name of a column that ``field_mapping`` renames."""
        return {new: old for old, new in self.field_mapping.items()}.get(column, column)

    def validate(self, config: RepoConfig) -> None:
        """Raises DefinitionError for a column that the table lacks or whose type can't be what it is declared as."""
        opened = self.open(config)
        named = (self.timestamp_field, self.created_timestamp_column, self.known_at)
        times = [self.stored(column) for column in named if column]
        opened.require(times, f"a time of the source '{self.name}'")
        for column in times:
            kind = opened.schema.field(column).type
            if not pa.types.is_timestamp(kind):
                raise DefinitionError(f"{self.label}: '{column}' is {kind}, but a time must be a timestamp")
        schemas = [opened.schema]
        if self.windows is not None:
            table = self._window_table(config)
            table.check()
            schemas.append(table.events.opened.schema)  # tiles have whole numbers of 64 bits
        opened.require(list(self.field_mapping), f"field_mapping of the source '{self.name}'")
        opened.require(self.columns or (), f"a feature of the source '{self.name}'")
        opened.require(list(self.key_types), f"a key of the source '{self.name}'")
        for column, wanted in self.key_types.items():
            actual = [_value_type(str(schema.field(column).type)).name for schema in schemas]
            if wanted not in (*actual, ValueType.UNKNOWN.name):
                raise DefinitionError(
                    f"{self.label}: the key '{column}' is {actual[-1]}, but its entity says {wanted}",
                    hint=f"Give the entity value_type=ValueType.{actual[-1]}, or change the table's column.",
                )

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """What Feast may infer keys and features from: never a bookkeeping column."""
        self.validate(config)
        schema = self.open(config).schema
        if self.windows is not None:
            keys = [(name, str(schema.field(name).type)) for name in self.windows.entity]
            return [*keys, *((name, str(kind)) for name, kind in self._window_table(config).types.items())]
        keep = None if self.columns is None else {*self.columns, *self.key_types}
        return [
            (field.name, str(field.type))
            for field in schema
            if not field.name.startswith("_") and (keep is None or field.name in keep)
        ]

    def _window_table(self, config: RepoConfig) -> WindowTable:
        from lakehouse.features.windowed import WindowTable

        return WindowTable.of(self, self.open(config), config)

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        return _value_type

    def get_table_query_string(self) -> str:
        raise NotImplementedError("a DeltaSource is read by DeltaOfflineStore, not by SQL")

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> DeltaSource:
        options = json.loads(data_source.custom_options.configuration)
        if until := options.get("backfilled_until"):
            options["backfilled_until"] = datetime.fromisoformat(until)
        if windows := options.get("windows"):
            options["windows"] = Aggregations.of_text(windows)
        return DeltaSource(
            name=data_source.name,
            timestamp_field=data_source.timestamp_field,
            created_timestamp_column=data_source.created_timestamp_column,
            field_mapping=dict(data_source.field_mapping),
            tags=dict(data_source.tags),
            description=data_source.description,
            owner=data_source.owner,
            **options,
        )

    def _set_timestamps_in_proto(self, data_source_proto: DataSourceProto) -> None:
        # Feast's clock in a source would make its views look changed at each apply, and give them another version.
        data_source_proto.meta.SetInParent()

    def _to_proto_impl(self) -> DataSourceProto:
        options = json.dumps(self._options(), sort_keys=True).encode()
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=CLASS,
            custom_options=DataSourceProto.CustomSourceOptions(configuration=options),
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            field_mapping=self.field_mapping,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def _options(self) -> dict[str, Any]:
        columns = None if self.columns is None else list(self.columns)
        until = self.backfilled_until.isoformat() if self.backfilled_until else None
        named: dict[str, Any] = {"path": self.path, "table": self.table, "version": self.version, "columns": columns}
        named |= {"known_at": self.known_at or None, "backfilled_until": until}
        named |= {"windows": self.windows and self.windows.text, "events_version": self.events_version}
        return {**{name: value for name, value in named.items() if value is not None}, "key_types": self.key_types}

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, DeltaSource) and super().__eq__(other)  # type: ignore[no-untyped-call]
        return bool(same) and isinstance(other, DeltaSource) and self._options() == other._options()

    def __hash__(self) -> int:
        return hash((self.name, self.timestamp_field, self.path, self.table, self.version))


def delta_source(source: DataSource | None, name: str) -> DeltaSource:
    """The source as a DeltaSource. Raises DefinitionError for another kind."""
    if isinstance(source, DeltaSource):
        return source
    kind = type(source).__name__
    raise DefinitionError(f"'{name}' has a source of type {kind}", hint="DeltaOfflineStore reads DeltaSource only.")


def view_source(view: FeatureView, name: str) -> DeltaSource:
    """The view's table, which is what is trained and published of it.

    Raises DefinitionError for a source of another kind, and for a view that would compute something of its table.
    """
    if isinstance(view, BatchFeatureView):
        for what, there in (("a transformation", view.udf), ("aggregations", view.aggregations)):
            if there:
                raise DefinitionError(
                    f"'{name}' is a BatchFeatureView with {what}, which would not be computed",
                    hint="Compute it in the table, and make it a FeatureView.",
                )
    return delta_source(view.batch_source, name)


def project_of(config: RepoConfig) -> Project:
    """The project whose tables a reader sees, in the reader's environment.

    The project's folder is that of the offline store's ``project:`` setting, else $LAKEHOUSE_PROJECT, else the nearest
    one upward of the Feast repository, else of the current folder. The environment is the offline store's ``env:``
    setting, else $LAKEHOUSE_ENV, else local. Raises ConfigError where there is no project.
    """
    folder = getattr(config.offline_store, "project", None)
    env = getattr(config.offline_store, "env", None)
    repository = None if config.repo_path is None else Path(config.repo_path)
    start = Path(folder) if folder else repository if repository and find_project(repository) else None
    return load_project(start, env)


def _value_type(kind: str) -> ValueType:
    try:
        return pa_to_feast_value_type(kind)
    except KeyError:
        hint = "Leave the column out (features=[…]), or give it a simpler type in the table."
        raise DefinitionError(f"a column of type {kind} can't be a feature or a key", hint=hint) from None
