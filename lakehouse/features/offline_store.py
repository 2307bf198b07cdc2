"""Feast's offline store on Delta tables: point-in-time joins by the as-of kernel, in process or by Spark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import compute_non_entity_date_range

from lakehouse.errors import UsageError
from lakehouse.features import monitoring
from lakehouse.features.entity_rows import entity_rows
from lakehouse.features.executing import is_spark, of_frame, of_rows
from lakehouse.features.job import DeltaRetrievalJob
from lakehouse.features.retrieval import newest_rows, range_rows, wanted_views
from lakehouse.features.saved import SavedRows, saved_rows, write_logs
from lakehouse.features.source import DeltaSource, delta_source
from lakehouse.features.writing import add_rows


class DeltaOfflineStoreConfig(FeastConfigBaseModel):
    """``offline_store:`` in feature_store.yaml."""

    type: Literal["lakehouse.features.offline_store.DeltaOfflineStore"] = (
        "lakehouse.features.offline_store.DeltaOfflineStore"
    )
    project: str | None = None
    """The project's folder; None: $LAKEHOUSE_PROJECT, or found upward of the repository. For ``table=`` sources."""
    env: str | None = None
    """The environment that ``table=`` sources are read in; None: $LAKEHOUSE_ENV, or local."""
    executor: Literal["auto", "process", "spark"] = "auto"
    """Who makes training rows; auto: Spark for a Spark frame and from ``lakehouse.features.executing.MANY`` rows on."""
    monitoring: str = "feast_monitoring"
    """The folder of Feast's tables of metrics, relative to the repository."""


class DeltaOfflineStore(OfflineStore):
    """One output row per entity row, in order; see :func:`lakehouse.kernels.asof_join` for which values it holds."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """``entity_df``: a pandas frame, an Arrow table, a Spark frame, SQL over gold.x, silver.x and Feast's data
        sources by name, or None with a start and an end date.

        Tables are opened at their version now, rows are read when the job is asked for them. None gives a row for
        each key and event time of the views within the dates. With ``filter_by_created_timestamp`` a row without a
        created time is not seen, nor one that was created after the entity row's time. What must have been *known* by
        then is asked with :func:`lakehouse.features.knowledge.known_by`.
        """
        wanted = list(wanted_views(config, feature_views, feature_refs, filter_by_created_timestamp))
        notes: list[str] = []
        if is_spark(entity_df):
            training = of_frame(config, entity_df, wanted, full_feature_names, notes)
        else:
            if entity_df is None:
                rows = range_rows(wanted, *compute_non_entity_date_range(feature_views, start_date, end_date))
            else:
                known = registry.list_data_sources(project) if isinstance(entity_df, str) else []
                sources = {source.name: source for source in known if isinstance(source, DeltaSource)}
                rows = entity_rows(entity_df, config, sources)
            training = of_rows(config, rows, wanted, full_feature_names, notes)
        return DeltaRetrievalJob(
            training.evaluate,
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in training.columns if name != training.time],
                min_event_timestamp=training.span[0],
                max_event_timestamp=training.span[1],
            ),
            notes,
            config,
            dict(entity_df.dtypes) if isinstance(entity_df, pd.DataFrame) else None,
            training.frame,
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Each key's newest row of those within [start_date, end_date]; a null in a key is no key."""
        source = delta_source(data_source, data_source.name)
        if source.windows is not None:
            raise UsageError(
                f"'{data_source.name}' has window features, which no row of its table holds",
                hint="Publish them with batch_engine: {type: lakehouse.features.engine.DeltaEngine}.",
            )
        return DeltaRetrievalJob(
            lambda: newest_rows(
                source.open(config),
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column or None,
                (start_date, end_date),
                only_newest=True,
                known=source.stored(source.known_at) if source.known_at else None,
            )
        )

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Every row within [start_date, end_date] that has a whole key; a saved dataset as it was saved."""
        source = delta_source(data_source, data_source.name)
        if isinstance(source, SavedRows):
            return DeltaRetrievalJob(lambda: saved_rows(config, source))
        return DeltaRetrievalJob(
            lambda: newest_rows(
                source.open(config),
                join_key_columns,
                feature_name_columns,
                timestamp_field,
                created_timestamp_column or None,
                (start_date, end_date),
                only_newest=False,
            )
        )

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append rows to a ``path=`` source, in one commit. What the lakehouse builds is refused."""
        add_rows(config, feature_view, table, progress)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Append logs of served features to a ``DeltaLoggingDestination``, in one commit."""
        write_logs(config, data, source, logging_config, registry)

    @staticmethod
    def compute_monitoring_metrics(
        config: RepoConfig,
        data_source: DataSource,
        feature_columns: list[tuple[str, str]],
        timestamp_field: str,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        histogram_bins: int = 20,
        top_n: int = 10,
    ) -> list[dict[str, Any]]:
        """Feast's statistics of the rows within the dates; just these columns are read."""
        source = delta_source(data_source, data_source.name)
        within = (start_date, end_date)
        return monitoring.metrics(config, source, feature_columns, timestamp_field, within, histogram_bins, top_n)

    @staticmethod
    def get_monitoring_max_timestamp(
        config: RepoConfig, data_source: DataSource, timestamp_field: str
    ) -> datetime | None:
        return monitoring.newest(config, delta_source(data_source, data_source.name), timestamp_field)

    @staticmethod
    def ensure_monitoring_tables(config: RepoConfig) -> None:
        monitoring.make_tables(config)

    @staticmethod
    def save_monitoring_metrics(config: RepoConfig, metric_type: str, metrics: list[dict[str, Any]]) -> None:
        monitoring.keep(config, metric_type, metrics)

    @staticmethod
    def query_monitoring_metrics(
        config: RepoConfig,
        project: str,
        metric_type: str,
        filters: dict[str, Any] | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
    ) -> list[dict[str, Any]]:
        return monitoring.kept(config, project, metric_type, filters, (start_date, end_date))

    @staticmethod
    def clear_monitoring_baseline(
        config: RepoConfig,
        project: str,
        feature_view_name: str | None = None,
        feature_name: str | None = None,
        data_source_type: str | None = None,
    ) -> None:
        named = {
            "feature_view_name": feature_view_name,
            "feature_name": feature_name,
            "data_source_type": data_source_type,
        }
        monitoring.forget_baseline(config, project, named)
