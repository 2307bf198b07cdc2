"""Delta tables that Feast itself writes: saved datasets, and logs of served features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LOG_DATE_FIELD, LOG_TIMESTAMP_FIELD, LoggingConfig, LoggingDestination, LoggingSource
from feast.infra.registry.base_registry import BaseRegistry
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.protos.feast.core.FeatureService_pb2 import LoggingConfig as LoggingConfigProto
from feast.protos.feast.core.SavedDataset_pb2 import SavedDatasetStorage as SavedDatasetStorageProto
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from lakehouse.errors import DefinitionError, UsageError, did_you_mean
from lakehouse.features.source import DeltaSource
from lakehouse.features.writing import as_types, exists, refuse_built, save

ROW = "_row"
"""The place of a row in a saved dataset."""


class DatasetExistsError(UsageError, SavedDatasetLocationAlreadyExists):
    """As Feast says it, in our words."""

    def __init__(self, location: str) -> None:
        UsageError.__init__(
            self, f"a table is in {location} already", hint="Name another path, or say allow_overwrite=True."
        )


class SavedRows(DeltaSource):
    """A saved dataset: read whole, in its order."""


class LoggedRows(DeltaSource):
    """The logs of a feature service: they have no key."""


class SavedDatasetDeltaStorage(SavedDatasetStorage):
    """A saved dataset in a Delta table at a path, relative to the Feast repository.

    ``store.create_saved_dataset(job, "march", SavedDatasetDeltaStorage(path="data/march"))``. It keeps each row and
    column in order; types that Delta lacks are kept as the next wider one (a category as its values).
    """

    _proto_attr_name = "custom_storage"

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)

    @staticmethod
    def from_proto(storage_proto: SavedDatasetStorageProto) -> SavedDatasetDeltaStorage:
        return SavedDatasetDeltaStorage(json.loads(storage_proto.custom_storage.configuration)["path"])

    def to_proto(self) -> SavedDatasetStorageProto:
        options = json.dumps({"path": self.path}).encode()
        return self._custom_storage_proto(DataSourceProto.CustomSourceOptions(configuration=options))

    def to_data_source(self) -> SavedRows:
        return SavedRows(name=self.path, path=self.path, timestamp_field="event_timestamp")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SavedDatasetDeltaStorage) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)


def save_dataset(config: RepoConfig, rows: pa.Table, storage: SavedDatasetStorage, allow_overwrite: bool) -> None:
    """Write a training set.

    Raises UsageError for another store's storage and for a place that is taken, DefinitionError for columns and values
    that Delta can't hold.
    """
    if not isinstance(storage, SavedDatasetDeltaStorage):
        kind = type(storage).__name__
        raise UsageError(f"DeltaOfflineStore can't save to {kind}", hint="Use SavedDatasetDeltaStorage(path=…).")
    if ROW in rows.column_names:
        raise DefinitionError(
            f"the saved dataset {storage.path}: its rows have a column '{ROW}', which is where their order is kept",
            hint="Rename that column.",
        )
    source = storage.to_data_source()
    refuse_built(config, source, f"the saved dataset {storage.path}")
    location = source.location(config)
    if exists(location):
        if not allow_overwrite:
            raise DatasetExistsError(location)
        if ROW not in source.open(config).schema.names:
            raise UsageError(f"the table in {location} is no saved dataset", hint="Name another path.")
    numbers = pa.array(np.arange(rows.num_rows, dtype=np.int64))
    save(location, f"the saved dataset {storage.path}", rows.append_column(ROW, numbers), append=False)


def saved_rows(config: RepoConfig, source: SavedRows) -> pa.Table:
    """A saved dataset, as it was saved."""
    opened = source.open(config)
    table = opened.read(opened.schema.names, as_stored=True)
    return table.sort_by(ROW).drop_columns([ROW])


class DeltaLoggingDestination(LoggingDestination):
    """Logs of served features in a Delta table at a path, partitioned by day.

    ``FeatureService(…, logging_config=LoggingConfig(destination=DeltaLoggingDestination(path="data/logs")))``
    """

    _proto_kind = "lakehouse_delta"

    def __init__(self, *, path: str | Path) -> None:
        self.path = str(path)

    @classmethod
    def from_proto(cls, config_proto: LoggingConfigProto) -> DeltaLoggingDestination:
        return DeltaLoggingDestination(path=config_proto.custom_destination.config["path"])

    def to_proto(self) -> LoggingConfigProto:
        custom = LoggingConfigProto.CustomDestination(kind=self._proto_kind, config={"path": self.path})
        return LoggingConfigProto(custom_destination=custom)

    def to_data_source(self) -> LoggedRows:
        return LoggedRows(name=f"logs in {self.path}", path=self.path, timestamp_field=LOG_TIMESTAMP_FIELD)


def write_logs(
    config: RepoConfig, logs: pa.Table | Path, source: LoggingSource, logging: LoggingConfig, registry: BaseRegistry
) -> None:
    """Append logs, an Arrow table or a folder of Parquet files, in one commit; the first makes the table.

    Raises DefinitionError for columns that are not those of the feature service.
    """
    destination: Any = logging.destination
    if not isinstance(destination, DeltaLoggingDestination):
        kind = type(destination).__name__
        raise UsageError(f"DeltaOfflineStore can't log to {kind}", hint="Use DeltaLoggingDestination(path=…).")
    table = logs if isinstance(logs, pa.Table) else pq.read_table(logs)
    schema = source.get_schema(registry)
    label = f"logs in {destination.path}"
    for name in table.column_names:
        if name not in schema.names:
            raise DefinitionError(
                f"{label}: the feature service has no '{name}'", hint=did_you_mean(name, schema.names)
            )
    for name in schema.names:
        if name not in table.column_names:
            raise DefinitionError(f"{label}: the rows have no column '{name}'")
    rows = destination.to_data_source()
    refuse_built(config, rows, label)
    save(rows.location(config), label, as_types(table, schema, label), [LOG_DATE_FIELD], append=True)
