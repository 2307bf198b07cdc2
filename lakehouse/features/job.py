"""Rows that Feast was asked for, not read yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage, ValidationReference

from lakehouse.errors import UsageError
from lakehouse.features.frames import as_frame
from lakehouse.features.retrieval import Evaluate
from lakehouse.features.saved import save_dataset

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class DeltaRetrievalJob(RetrievalJob):
    """Runs when it is asked for its rows. Feast's base class applies on-demand views."""

    def __init__(
        self,
        evaluate: Evaluate,
        full_feature_names: bool = False,
        on_demand: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
        notes: list[str] | None = None,
        config: RepoConfig | None = None,
        dtypes: Mapping[Any, Any] | None = None,
        frame: Callable[[], DataFrame] | None = None,
    ) -> None:
        self._frame = frame
        self._evaluate = evaluate
        self._dtypes = {str(name): dtype for name, dtype in (dtypes or {}).items()}
        self._names = {str(name): name for name in dtypes or {} if not isinstance(name, str)}
        self._config = config
        self._notes = notes if notes is not None else []
        self._full_feature_names = full_feature_names
        self._on_demand = list(on_demand)
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return self._metadata

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the rows, once they were asked for: see ``known_by``."""
        return tuple(dict.fromkeys(self._notes))

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._evaluate()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return as_frame(self._evaluate(), self._dtypes)

    def to_df(
        self, validation_reference: ValidationReference | None = None, timeout: int | None = None
    ) -> pd.DataFrame:
        """The rows as pandas: the caller's columns have their own dtypes, and names, which in Arrow are texts."""
        frame = as_frame(self.to_arrow(validation_reference, timeout), self._dtypes)
        frame.columns = frame.columns.map(lambda name: self._names.get(name, name))
        return frame

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the rows, on-demand features too, as a saved dataset."""
        if self._config is None or self._metadata is None or self._metadata.max_event_timestamp is None:
            raise UsageError("a training set without a single time can't be saved: Feast wants its first and its last")
        save_dataset(self._config, self.to_arrow(), storage, allow_overwrite)

    def to_spark_df(self) -> DataFrame:
        """The rows as a Spark frame that is not computed yet, in no particular order.

        Raises UsageError for on-demand features, which are computed of a pandas frame, and where the entity rows
        are in memory.
        """
        if self._on_demand:
            raise UsageError("on-demand features can't be computed in Spark", hint="Ask for the other features only.")
        if self._frame is None:
            raise UsageError(
                "the entity rows are in memory, not in Spark", hint="Give them as a Spark frame, or ask for to_arrow()."
            )
        return self._frame()
