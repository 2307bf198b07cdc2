"""A small project with two gold tables, written by delta-rs, and its Feast repository."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.config import Project, load_project
from lakehouse.features import registry

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
US = pa.timestamp("us", "UTC")
REPOSITORY = Path(__file__).parents[2] / "features"

TABLES = '''
from lakehouse import gold

@gold.table(key=["carrier", "known_at"], at="known_at", tags=["daily"])
def carrier_delay(silver_flights):
    """How late a carrier was of late."""

@gold.table(key=["origin", "carrier", "known_at"], at="known_at")
def route_load(silver_flights):
    """How much goes from an origin with a carrier."""
'''

DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureService, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from lakehouse.features.view import feature_view
from shop import tables

carrier = Entity(name="carrier", value_type=ValueType.STRING)
origin = Entity(name="airport", join_keys=["origin"], value_type=ValueType.INT64)

delay = feature_view(tables.carrier_delay, entity=carrier, ttl=timedelta(days=2), created_timestamp_column="made_at")
load = feature_view(tables.route_load, entity=[origin, carrier], ttl=None, features=["flights"])

asked = RequestSource(name="asked", schema=[Field(name="minutes", dtype=Float64)])

@on_demand_feature_view(sources=[delay, asked], schema=[Field(name="over", dtype=Float64)], mode="pandas")
def over_mean(rows):
    import pandas as pd
    return pd.DataFrame({"over": rows["minutes"] - rows["mean"]})

everything = FeatureService(name="everything", features=[delay, load])
"""


def day(number: float | None) -> datetime | None:
    return None if number is None else START + number * DAY


def delays(rows: list[tuple[str | None, float | None, float | None, float | None, int | None]]) -> pa.Table:
    """Rows of carrier_delay: carrier, known_at and made_at in days after START, mean, count."""
    return pa.table(
        {
            "carrier": pa.array([row[0] for row in rows], pa.string()),
            "known_at": pa.array([day(row[1]) for row in rows], US),
            "made_at": pa.array([day(row[2]) for row in rows], US),
            "mean": pa.array([row[3] for row in rows], pa.float64()),
            "count": pa.array([row[4] for row in rows], pa.int64()),
            "_batch": pa.array([0] * len(rows), pa.int64()),
        }
    )


def loads(rows: list[tuple[int | None, str | None, float, int]]) -> pa.Table:
    """Rows of route_load: origin, carrier, known_at in days after START, flights."""
    return pa.table(
        {
            "origin": pa.array([row[0] for row in rows], pa.int64()),
            "carrier": pa.array([row[1] for row in rows], pa.string()),
            "known_at": pa.array([day(row[2]) for row in rows], US),
            "flights": pa.array([row[3] for row in rows], pa.int32()),
            "secret": pa.array([1.0] * len(rows)),
        }
    )


DELAYS = delays(
    [
        ("AA", 1, 1, 10.0, 1),
        ("AA", 3, 3, 30.0, 3),
        ("AA", 3, 4, 31.0, None),
        ("UA", 2, 2, 20.5, 2**53 + 1),
        (None, 1, 1, 99.0, 9),
        ("DL", None, 1, 98.0, 9),
        ("B6", 40, 40, 40.0, 4),
    ]
)
LOADS = loads([(1, "11", 1, 111), (11, "1", 1, 1111), (1, "AA", 2, 5), (None, "AA", 2, 7)])


def write(project: Project, address: str, table: pa.Table, **options: Any) -> None:
    write_deltalake(project.path(address), table, mode="overwrite", **options)


def make_project(folder: Path) -> Project:
    for file, text in {
        "conf/base.yaml": "name: shop\nroot: data/lake\ntables: shop.tables\nsources: {}\n",
        "shop/__init__.py": "",
        "shop/tables.py": TABLES,
        "features/definitions.py": DEFINITIONS,
    }.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(REPOSITORY / "feature_store.yaml", folder / "features")
    project = load_project(folder)
    write(project, "gold.carrier_delay", DELAYS)
    write(project, "gold.route_load", LOADS)
    return project


@pytest.fixture(scope="session", autouse=True)
def _dialect() -> None:
    registry.register()  # an installed lakehouse has it by its entry point


@pytest.fixture(scope="module")
def module_patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAKEHOUSE_PROJECT", "LAKEHOUSE_ENV"):
            patch.delenv(name, raising=False)
        yield patch


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, module_patch: pytest.MonkeyPatch) -> Project:
    return make_project(tmp_path_factory.mktemp("project"))
