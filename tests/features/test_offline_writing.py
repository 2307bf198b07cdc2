"""What Feast writes through the offline store: rows of a path= source, saved datasets, validation references, logs."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, ValueType
from feast.dqm.errors import ValidationFailed
from feast.dqm.profilers.profiler import Profile, Profiler
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.types import Float64

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features.repository import apply, open_store
from lakehouse.features.saved import DeltaLoggingDestination, SavedDatasetDeltaStorage
from lakehouse.features.source import DeltaSource
from tests.features.conftest import DAY, START, US, day

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning:feast")
DELAY = ["carrier_delay:mean", "carrier_delay:count"]


@pytest.fixture(scope="module")
def store(project: Project) -> FeatureStore:
    """The project's, and one more view, of a table at a path that Feast may write."""
    apply(project)
    found = open_store(project)
    rows = {"shop": ["a"], "at": pa.array([START], US), "total": [1.0], "_by": ["hand"]}
    write_deltalake(project.folder / "sales", pa.table(rows))
    shop = Entity(name="shop", value_type=ValueType.STRING)
    source = DeltaSource(name="sales", path="../sales", timestamp_field="at", field_mapping={"total": "sum"})
    view = FeatureView(name="sales", entities=[shop], source=source, schema=[Field(name="sum", dtype=Float64)])
    logging = LoggingConfig(destination=DeltaLoggingDestination(path="../logs"))
    service = FeatureService(name="sales_service", features=[view], logging_config=logging)
    found.apply([shop, view, service])
    return found


def asked(**more: Any) -> pd.DataFrame:
    times = pd.to_datetime([START + 3 * DAY, START + 2 * DAY, START + 9 * DAY], utc=True)
    return pd.DataFrame({"carrier": ["AA", "UA", None], "event_timestamp": times, "label": [1, 0, 1], **more})


def test_rows_are_added_in_one_commit(store: FeatureStore, project: Project) -> None:
    before = DeltaTable(project.folder / "sales").version()
    times = pd.to_datetime([START + DAY, START + 2 * DAY], utc=True)
    store.write_to_offline_store("sales", pd.DataFrame({"total": [2, 3], "at": times, "shop": ["a", None]}))
    assert DeltaTable(project.folder / "sales").version() == before + 1
    rows = pa.table({"shop": ["a", "a"], "event_timestamp": pa.array([day(0.5), day(5)], US)})
    assert store.get_historical_features(rows, ["sales:sum"]).to_arrow()["sum"].to_pylist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"shop": ["a"], "at": [day(1)], "totl": [1.0]}, "no column 'totl'(?s:.)*'total'"),
        ({"shop": ["a"], "at": [day(1)]}, "have no column 'total'"),
        ({"shop": ["a"], "at": [day(1)], "total": [1.0], "sum": [1.0]}, "'total' and 'total' are one column"),
        ({"shop": ["a"], "at": [day(1)], "total": ["much"]}, "'total' is string"),
        ({"shop": ["a"], "at": [day(1)], "total": [2**60 + 1]}, "'total' is int64"),
        ({"shop": ["a"], "at": [day(1)], "total": ["7"]}, "'total' is string(?s:.)*another kind"),
        ({"shop": ["a"], "at": [day(1)], "total": [True]}, "'total' is bool(?s:.)*another kind"),
        ({"shop": [day(1)], "at": [day(1)], "total": [1.0]}, "'shop' is timestamp(?s:.)*another kind"),
    ],
)
def test_rows_that_do_not_fit_are_refused_whole(
    store: FeatureStore, project: Project, rows: dict[str, Any], message: str
) -> None:
    view, before = store.get_feature_view("sales"), DeltaTable(project.folder / "sales").version()
    with pytest.raises(DefinitionError, match=message):
        store._get_provider().offline_write_batch(store.config, view, pa.table(rows), None)
    assert DeltaTable(project.folder / "sales").version() == before


def test_what_the_lakehouse_builds_is_refused(store: FeatureStore, project: Project) -> None:
    frame = pd.DataFrame({"carrier": ["AA"], "known_at": [START], "made_at": [START], "mean": [1.0], "count": [1]})
    with pytest.raises(UsageError, match="built by the lakehouse"):
        store.write_to_offline_store("carrier_delay", frame)
    view = store.get_feature_view("sales")
    view.batch_source = DeltaSource(name="s", path=project.path("gold.carrier_delay"), timestamp_field="known_at")
    with pytest.raises(UsageError, match="one of the lakehouse's tables"):
        store._get_provider().offline_write_batch(store.config, view, pa.Table.from_pandas(frame), None)
    view.batch_source = DeltaSource(name="s", path="../sales", timestamp_field="at", version=0)
    with pytest.raises(UsageError, match="pinned to version 0"):
        store._get_provider().offline_write_batch(store.config, view, pa.Table.from_pandas(frame), None)
    job = store.get_historical_features(asked(), DELAY)
    with pytest.raises(UsageError, match="one of the lakehouse's tables"):
        store.create_saved_dataset(job, "bad", SavedDatasetDeltaStorage(project.path("gold.carrier_delay")))


def test_a_saved_dataset_is_the_training_set(store: FeatureStore, project: Project) -> None:
    frame = asked(
        minutes=[40.0, 1.0, None],
        price=[Decimal("1.50"), None, Decimal("2.25")],
        born=[START.date(), None, START.date()],
        many=[[1, 2], [], None],
    )
    job = store.get_historical_features(frame, [*DELAY, "over_mean:over"], full_feature_names=True)
    wanted = job.to_arrow()
    storage = SavedDatasetDeltaStorage(path="../saved/first")
    saved = store.create_saved_dataset(job, "first", storage, tags={"a": "b"})
    again = open_store(project).get_saved_dataset("first")
    assert again.storage == storage
    assert again.features == saved.features
    for one in (saved, again):
        got = one.to_arrow()
        assert got.column_names == wanted.column_names
        assert got.to_pylist() == wanted.to_pylist()  # in order, the row without a key too
    assert got.schema.field("price").type == pa.decimal128(3, 2)


def test_a_saved_dataset_is_not_overwritten_unless_asked(store: FeatureStore) -> None:
    storage = SavedDatasetDeltaStorage(path="../saved/second")
    store.create_saved_dataset(store.get_historical_features(asked(), DELAY), "second", storage)
    job = store.get_historical_features(asked().head(1), DELAY[:1])
    with pytest.raises(SavedDatasetLocationAlreadyExists, match="allow_overwrite"):
        store.create_saved_dataset(job, "second", storage)
    with pytest.raises(UsageError, match="allow_overwrite"):
        store.create_saved_dataset(job, "second", storage)
    saved = store.create_saved_dataset(job, "second", storage, allow_overwrite=True)
    assert saved.to_df().columns.tolist() == ["carrier", "event_timestamp", "label", "mean"]
    write_deltalake(Path(str(store.config.repo_path)) / "own", pa.table({"a": [1]}))
    own = SavedDatasetDeltaStorage(path="own")
    with pytest.raises(UsageError, match="own is no saved dataset"):
        store.create_saved_dataset(job, "third", own, allow_overwrite=True)
    with pytest.raises(UsageError, match="SavedDatasetDeltaStorage"):
        store.create_saved_dataset(job, "third", SavedDatasetFileStorage(path="x.parquet"))
    with pytest.raises(UsageError, match="without a single time"):
        store.create_saved_dataset(store.get_historical_features(asked().head(0), DELAY), "third", storage)


def test_what_delta_cannot_hold_is_refused(store: FeatureStore) -> None:
    storage = SavedDatasetDeltaStorage(path="../saved/fourth")
    for column, message in (
        (pd.Series([timedelta(1)] * 3), "no type for 'odd'"),
        (pd.Series([2**63, 1, 2], dtype="uint64"), "'odd' is uint64"),
        (pd.to_datetime(pd.Series([1, 2, 3]), unit="ns"), r"'odd' is timestamp\[ns"),
    ):
        job = store.get_historical_features(asked(odd=column), DELAY)
        with pytest.raises(DefinitionError, match=message):
            store.create_saved_dataset(job, "fourth", storage)
    kinds = asked(kind=pd.Categorical(["x", "y", "x"]), small=pd.array([1, None, 3], dtype="UInt8"))
    saved = store.create_saved_dataset(store.get_historical_features(kinds, DELAY), "fourth", storage)
    assert saved.to_arrow().select(["kind", "small"]).to_pydict() == {"kind": ["x", "y", "x"], "small": [1, None, 3]}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"_row": [3, 2, 1]}, "a column '_row'(?s:.)*Rename"),
        ({"Label": [1, 2, 3]}, "'label' and 'Label' are one column to Delta"),
        ({"odd": [{"a": 1, "A": 2}] * 3}, "'odd': 'a' and 'A' are one column to Delta"),
    ],
)
def test_columns_that_a_saved_dataset_cannot_have(store: FeatureStore, more: dict[str, Any], message: str) -> None:
    job = store.get_historical_features(asked(**more), DELAY)
    with pytest.raises(DefinitionError, match=message):
        store.create_saved_dataset(job, "sixth", SavedDatasetDeltaStorage(path="../saved/sixth"))


class Least(Profile):
    """The least mean that there may be."""

    def __init__(self, least: float) -> None:
        self.least = least

    def validate(self, dataset: pd.DataFrame) -> Any:
        return SimpleNamespace(is_success=bool((dataset["mean"].dropna() >= self.least).all()), errors=[])

    def to_proto(self) -> Any:
        raise NotImplementedError

    @classmethod
    def from_proto(cls, proto: Any) -> Least:
        raise NotImplementedError


class LeastOf(Profiler):
    def analyze_dataset(self, dataset: pd.DataFrame) -> Profile:
        return Least(float(dataset["mean"].min()))

    def to_proto(self) -> Any:
        raise NotImplementedError

    @classmethod
    def from_proto(cls, proto: Any) -> LeastOf:
        raise NotImplementedError


def test_a_validation_reference(store: FeatureStore) -> None:
    job = store.get_historical_features(asked(), DELAY)
    saved = store.create_saved_dataset(job, "fifth", SavedDatasetDeltaStorage(path="../saved/fifth"))
    reference = saved.as_reference("least", LeastOf())
    assert len(job.to_df(validation_reference=reference)) == 3
    low = store.get_historical_features(asked().assign(event_timestamp=START + 2 * DAY).head(1), DELAY)
    with pytest.raises(ValidationFailed):
        low.to_df(validation_reference=reference)


def test_logs_of_served_features(store: FeatureStore, project: Project, tmp_path: Path) -> None:
    service = store.get_feature_service("sales_service")
    schema = FeatureServiceLoggingSource(service, store.project).get_schema(store.registry)
    rows = [
        {
            "shop": "a",
            "sales__sum": float(number),
            "sales__sum__timestamp": START,
            "sales__sum__status": 2,
            "__log_timestamp": START + number * DAY,
            "__log_date": (START + number * DAY).date(),
            "__request_id": str(number),
        }
        for number in range(3)
    ]
    logs = pa.Table.from_pylist(rows, schema)
    store.write_logged_features(logs.slice(0, 1), service)
    pa.parquet.write_table(logs.slice(1), tmp_path / "part.parquet")
    store.write_logged_features(tmp_path, service)
    table = DeltaTable(project.folder / "logs")
    assert (table.version(), table.metadata().partition_columns) == (1, ["__log_date"])
    provider = open_store(project)._get_provider()
    job = provider.retrieve_feature_service_logs(service, START, START + DAY, store.config, store.registry)
    got = job.to_arrow().sort_by("__log_timestamp")
    assert sorted(got.column_names) == sorted(schema.names)
    assert got["sales__sum"].to_pylist() == [0.0, 1.0]
    with pytest.raises(DefinitionError, match="has no 'shap'"):
        store.write_logged_features(logs.rename_columns(["shap", *schema.names[1:]]), service)
    with pytest.raises(DefinitionError, match="have no column 'shop'"):
        store.write_logged_features(logs.drop_columns(["shop"]), service)
    number = logs.set_column(0, "shop", pa.array([1, 2, 3]))
    with pytest.raises(DefinitionError, match="'shop' is int64(?s:.)*another kind"):
        store.write_logged_features(number, service)
