"""DeltaSource and feature_view(): what they are, what they refuse, and that the registry gives them back."""

from __future__ import annotations

import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import BatchFeatureView, Entity, FeatureStore, FeatureView, ValueType
from feast.aggregation import Aggregation
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_config import RepoConfig

from lakehouse import gold
from lakehouse.config import Project
from lakehouse.errors import ConfigError, DefinitionError, NotBuiltError, StorageError
from lakehouse.features.repository import apply, open_store
from lakehouse.features.source import DeltaSource, view_source
from lakehouse.features.view import feature_view
from tests.features.conftest import DAY, DEFINITIONS, DELAYS, START, US, make_project, write

CARRIER = Entity(name="carrier", value_type=ValueType.STRING)


@gold.table(key=["carrier", "known_at"], at="known_at", tags=["daily"])
def carrier_delay(silver_flights: Any) -> Any:
    """How late a carrier was of late.

    More than the first paragraph.
    """


@gold.table(key="carrier")
def timeless(silver_flights: Any) -> Any:
    """No event time."""


@pytest.fixture(scope="module")
def config(project: Project) -> RepoConfig:
    return open_store(project).config


def test_two_columns_of_one_name_are_refused() -> None:
    """One of the two would be read, and nothing would say which."""
    with pytest.raises(DefinitionError, match="'one': field_mapping= calls more than one column 'z'"):
        DeltaSource(name="one", path="x", timestamp_field="at", field_mapping={"a": "z", "b": "z", "c": "y"})


def test_a_source_comes_back_from_its_proto() -> None:
    source = DeltaSource(
        name="one", table="gold.x", timestamp_field="at", created_timestamp_column="made", version=3,
        field_mapping={"a": "b"}, tags={"t": "1"}, description="d", owner="o", columns=["a"], key_types={"k": "INT64"},
    )  # fmt: skip
    back = DataSource.from_proto(source.to_proto())
    assert back == source
    assert hash(back) == hash(source)
    assert back != DeltaSource(name="one", table="gold.x", timestamp_field="at")
    assert source.to_proto().type == source.source_type() == DataSourceProto.CUSTOM_SOURCE


@pytest.mark.parametrize(
    "wrong", [{}, {"path": "a", "table": "gold.x"}, {"table": "gold"}, {"path": "a", "timestamp_field": ""}]
)
def test_a_source_needs_one_place_and_a_time(wrong: dict[str, str]) -> None:
    with pytest.raises(DefinitionError):
        DeltaSource(**{"name": "one", "timestamp_field": "at", **wrong})


def test_a_path_starts_at_the_repository_and_a_table_in_the_project(
    project: Project, config: RepoConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = DeltaSource(name="one", path="../data/lake/gold/route_load", timestamp_field="known_at")
    assert source.open(config).version == 0
    assert DeltaSource(name="one", table="gold.x", timestamp_field="at").location(config) == str(project.path("gold.x"))
    (project.folder / "conf" / "env").mkdir(exist_ok=True)
    (project.folder / "conf" / "env" / "test.yaml").write_text(f"root: {tmp_path}\n")
    # A reader that has feature_store.yaml only: the environment is its own.
    reader = FeatureStore(repo_path=str(project.features)).config
    monkeypatch.setenv("LAKEHOUSE_ENV", "test")
    assert DeltaSource(name="one", table="gold.x", timestamp_field="at").location(reader) == str(
        tmp_path / "gold" / "x"
    )
    assert DeltaSource(name="one", table="gold.x", timestamp_field="at").location(config) == str(project.path("gold.x"))


def test_what_is_not_there_says_what_to_run(config: RepoConfig) -> None:
    with pytest.raises(NotBuiltError, match=r"gold.x is not built(?s:.)*lakehouse run --select \+gold.x"):
        DeltaSource(name="one", table="gold.x", timestamp_field="at").open(config)
    with pytest.raises(StorageError, match="version 99"):
        DeltaSource(name="one", table="gold.carrier_delay", timestamp_field="known_at", version=99).open(config)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"timestamp_field": "knwon_at"}, "'knwon_at'(?s:.)*'known_at'"),
        ({"timestamp_field": "mean"}, "a time must be a timestamp"),
        ({"created_timestamp_column": "maed_at"}, "'made_at'"),
        ({"field_mapping": {"men": "m"}}, "'mean'"),
        ({"columns": ["cuont"]}, "'count'"),
        ({"key_types": {"carrier": "INT64"}}, "is STRING, but its entity says INT64"),
    ],
)
def test_columns_that_are_not_so_are_errors_in_words(config: RepoConfig, wrong: dict[str, Any], message: str) -> None:
    source = DeltaSource(**{"name": "one", "table": "gold.carrier_delay", "timestamp_field": "known_at", **wrong})
    with pytest.raises(DefinitionError, match=message):
        source.validate(config)


def test_every_type_has_one_form_and_bookkeeping_none(tmp_path: Path, config: RepoConfig) -> None:
    table = pa.table(
        {
            "k": pa.array([1], pa.int16()),
            "at": pa.array([START], US),
            "day": pa.array([START.date()]),
            "price": pa.array([Decimal("1.50")]),
            "many": pa.array([["a"]]),
            "naive": pa.array([START.replace(tzinfo=None)], pa.timestamp("us")),
            "_batch": pa.array([1]),
        }
    )
    write_deltalake(tmp_path / "t", table)
    source = DeltaSource(name="one", path=tmp_path / "t", timestamp_field="at")
    types = {name: source.source_datatype_to_feast_value_type()(kind).name
             for name, kind in source.get_table_column_names_and_types(config)}  # fmt: skip
    assert types == {
        "k": "INT32", "at": "UNIX_TIMESTAMP", "day": "UNIX_TIMESTAMP", "price": "DOUBLE", "many": "STRING_LIST",
        "naive": "UNIX_TIMESTAMP",
    }  # fmt: skip
    read = source.open(config).read(["day", "price", "naive"])
    assert read.to_pylist() == [{"day": START, "price": 1.5, "naive": START}]
    within = source.open(config).read(["k"], time="at", start=START, end=START)
    assert within.num_rows == 1
    assert source.open(config).read(["k"], time="at", start=START + DAY / 86_400_000_000).num_rows == 0
    with pytest.raises(DefinitionError, match="can't be a feature"):
        source.source_datatype_to_feast_value_type()("duration[us]")


def test_a_view_of_a_table() -> None:
    view = feature_view(carrier_delay, entity=CARRIER, ttl=timedelta(days=2), features=["mean"], tags={"team": "ops"})
    assert isinstance(view, FeatureView)
    assert (view.name, view.description) == ("carrier_delay", "How late a carrier was of late.")
    assert view.tags == {"daily": "", "team": "ops"}
    assert isinstance(view.batch_source, DeltaSource)
    assert (view.batch_source.table, view.batch_source.timestamp_field) == ("gold.carrier_delay", "known_at")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entity": Entity(name="carier", value_type=ValueType.STRING)}, "'carier'(?s:.)*Did you mean 'carrier'"),
        ({"entity": []}, "no entity has the join key carrier"),
        ({"features": ["_batch"]}, "bookkeeping"),
        ({"features": ["carrier"]}, "can't be a feature"),
        ({"table": timeless}, "no event time"),
    ],
)
def test_a_view_that_does_not_fit_is_an_error_in_words(options: dict[str, Any], message: str) -> None:
    given = {"table": carrier_delay, "entity": CARRIER, "ttl": None, **options}
    with pytest.raises(DefinitionError, match=message):
        feature_view(given.pop("table"), **given)


def test_mistakes_in_definitions_are_errors_in_words(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    file = project.features / "definitions.py"
    file.write_text(DEFINITIONS.replace("tables.carrier_delay", "tables.carrier_delayed"))
    with pytest.raises(DefinitionError, match=r"definitions.py:13: AttributeError.*carrier_delayed"):
        apply(project)
    file.write_text(DEFINITIONS.replace("ValueType.STRING", "ValueType.INT64"))
    with pytest.raises(DefinitionError, match="is STRING, but its entity says INT64"):
        apply(project)
    # Of another size than the last one, or Python may take what it compiled a moment ago.
    file.write_text(DEFINITIONS.replace('["flights"]', '[ "flight" ]'))
    with pytest.raises(DefinitionError, match=r"no column 'flight'(?s:.)*'flights'"):
        apply(project)
    file.write_text(DEFINITIONS)
    shutil.rmtree(project.path("gold.route_load"))
    with pytest.raises(NotBuiltError, match=r"lakehouse run --select \+gold.route_load"):
        apply(project)
    settings = project.features / "feature_store.yaml"
    settings.write_text(settings.read_text().replace("online_store", "online_stor"))
    with pytest.raises(ConfigError, match=r"'online_stor' is not a setting(?s:.)*'online_store'"):
        apply(project)


def test_a_column_may_be_renamed(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project.features / "definitions.py").write_text(
        "from feast import Entity, FeatureStore, FeatureView, ValueType\n"
        "from lakehouse.features.source import DeltaSource\n"
        "one = Entity(name='carrier', value_type=ValueType.STRING)\n"
        "source = DeltaSource(name='s', table='gold.carrier_delay', timestamp_field='known_at', version=0,\n"
        "                     field_mapping={'mean': 'average'}, columns=['mean'], key_types={'carrier': 'STRING'})\n"
        "view = FeatureView(name='view', entities=[one], source=source)\n"
    )
    write(project, "gold.carrier_delay", DELAYS.slice(0, 1))
    assert apply(project).views == ("view",)
    rows = pa.table({"carrier": ["UA"], "event_timestamp": pa.array([START + 9 * DAY], US)})
    got = open_store(project).get_historical_features(rows, ["view:average"]).to_arrow()
    assert got["average"].to_pylist() == [20.5]  # of version 0, which is pinned


@pytest.mark.filterwarnings("ignore:Batch feature views:RuntimeWarning")
@pytest.mark.parametrize(
    "more", [{"udf": print, "mode": "python"}, {"aggregations": [Aggregation(column="x", function="sum")]}]
)
def test_a_view_that_computes_is_refused(more: dict[str, Any]) -> None:
    source = DeltaSource(name="t", path="t", timestamp_field="at")
    view = BatchFeatureView(name="v", source=source, entities=[], ttl=timedelta(0), schema=[], **more)
    with pytest.raises(DefinitionError, match="would not be computed"):
        view_source(view, "v")
