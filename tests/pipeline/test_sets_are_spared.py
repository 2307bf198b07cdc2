"""Maintenance knows what training sets need: it looks at them by itself, and at nothing that was forgotten."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.config import Project, load_project
from lakehouse.errors import StorageError
from lakehouse.features.keeping import verify
from lakehouse.features.manifest import MANIFEST, folder_of, forget
from lakehouse.features.repository import apply
from lakehouse.features.training import training_set
from lakehouse.pipeline.maintaining import maintain

LATER = datetime(2100, 1, 1, tzinfo=UTC)
US = pa.timestamp("us", "UTC")
FILES = {
    "conf/base.yaml": "name: shop\nroot: lake\ntables: stall.tables\n"
    "sources: {sales: {type: files, format: csv, path: 'raw/*.csv'}}\n",
    "stall/__init__.py": "",
    "stall/tables.py": """
from lakehouse import gold, silver

@silver.table(key=["id"])
def sales(bronze_sales):
    pass

@gold.table(key=["shop", "at"], at="at")
def spent(silver_sales):
    pass
""",
    "features/feature_store.yaml": """
project: shop
provider: local
registry: {registry_type: sql, path: 'sqlite+project:///registry.db'}
offline_store: {type: lakehouse.features.offline_store.DeltaOfflineStore}
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
""",
    "features/definitions.py": """
from feast import Entity, FeatureView, ValueType
from lakehouse.features.source import DeltaSource
from lakehouse.features.view import feature_view
from stall import tables

shop = Entity(name="shop", value_type=ValueType.STRING)
spent = feature_view(tables.spent, entity=shop, ttl=None)
weather = FeatureView(
    name="weather", entities=[shop], source=DeltaSource(name="weather", path="PLACE/weather", timestamp_field="at")
)
""",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("LAKEHOUSE_PROJECT", "LAKEHOUSE_ENV"):
        monkeypatch.delenv(name, raising=False)
    for file, text in FILES.items():
        path = tmp_path / "project" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("PLACE", str(tmp_path)))
    found = load_project(tmp_path / "project")
    write(found.path("gold.spent"), 1.0)
    say(found.path("gold.spent"), {"lakehouse.epoch": "2", "lakehouse.fingerprint": "abc"})
    write(tmp_path / "weather", 20.0)
    apply(found)
    return found


def write(path: Path, value: float) -> None:
    moment = pa.array([datetime(2026, 1, 1, tzinfo=UTC)], US)
    name = "degrees" if path.name == "weather" else "total"
    write_deltalake(path, pa.table({"shop": ["a"], "at": moment, name: [value]}), mode="overwrite")


def say(path: Path, properties: dict[str, str]) -> None:
    """Properties as Spark writes them; delta-rs writes none but its own."""
    log = path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "metaData" in action:
            action["metaData"]["configuration"] = properties
    log.write_text("".join(f"{json.dumps(action)}\n" for action in actions))


def removed(project: Project) -> int:
    (one,) = maintain(project, select=["gold.spent"], now=LATER, dry_run=True).upkeep
    return one.removed


def test_what_a_set_needs_is_spared(project: Project, tmp_path: Path) -> None:
    asked = pa.table({"shop": ["a"], "event_timestamp": pa.array([datetime(2026, 1, 2, tzinfo=UTC)], US)})
    made = training_set(asked, ["spent", "weather"], project=project).keep("first")
    assert made.rows.select(["total", "degrees"]).to_pylist() == [{"total": 1.0, "degrees": 20.0}]
    pinned = {one.table: (one.epoch, one.version, one.fingerprint) for one in made.manifest.tables}
    assert pinned["gold.spent"] == (2, 0, "abc")
    write(project.path("gold.spent"), 2.0)
    write(project.path("gold.spent"), 3.0)
    assert removed(project) == 1
    forget(project, "first")
    assert removed(project) == 2
    training_set(asked, "spent", project=project).keep("second")
    text = (folder_of(project, "second") / MANIFEST).read_text()
    (folder_of(project, "second") / MANIFEST).write_text(text[:-9])
    (result,) = maintain(project, select=["gold.spent"], now=LATER, dry_run=True).results
    assert isinstance(result.error, StorageError)
    assert "is no manifest" in result.error.message


def test_a_table_elsewhere_is_named_from_the_repository_and_read_again(project: Project, tmp_path: Path) -> None:
    asked = pa.table({"shop": ["a"], "event_timestamp": pa.array([datetime(2026, 1, 2, tzinfo=UTC)], US)})
    made = training_set(asked, "weather", project=project).keep("far")
    assert [table.table for table in made.manifest.tables] == ["../../weather"]
    assert str(tmp_path) not in (folder_of(project, "far") / MANIFEST).read_text()
    write(tmp_path / "weather", 21.0)
    assert verify(project, "far").equal
