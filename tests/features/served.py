"""A project whose look-ups are logged, all of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable, write_deltalake

from lakehouse.config import Project
from lakehouse.features.publishing import publish
from lakehouse.features.repository import apply, open_store
from tests.features.conftest import DAY, DEFINITIONS, START, make_project

NOW = START + 5 * DAY
ASKED = START + 4 * DAY
FEATURES = ["carrier_delay:mean", "carrier_delay:count"]


def logging_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Published, and with a log of every key."""
    for name in ("LAKEHOUSE_PROJECT", "LAKEHOUSE_ENV"):
        monkeypatch.delenv(name, raising=False)
    for module in ("shop", "shop.tables"):  # other tests have a project of that name too
        monkeypatch.delitem(sys.modules, module, raising=False)
    made = make_project(folder)
    file = made.features / "feature_store.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["online_store"]["log"] = {"path": "../data/served", "share": 1.0}
    file.write_text(yaml.safe_dump(settings))
    apply(made)
    publish(made, now=NOW)
    return made


def serve(project: Project, *carriers: str | None, at: datetime = ASKED, features: Sequence[str] = FEATURES) -> Any:
    """Look carriers up as of a moment, and have that written to the log."""
    store = open_store(project, at)
    answer = store.get_online_features(list(features), {"carrier": list(carriers)}).to_dict()
    log = store.provider.online_store.log(store.config)
    assert log is not None
    log.flush()
    return answer


def add(project: Project, rows: pa.Table, instead_of: str = "") -> None:
    """Add rows to carrier_delay, in the place of those that fulfil a condition."""
    place = project.path("gold.carrier_delay")
    if instead_of:
        DeltaTable(place).delete(instead_of)
    write_deltalake(place, rows, mode="append")


def redefine(project: Project, was: str, becomes: str) -> None:
    """Apply another definition, without publishing by it."""
    assert was in DEFINITIONS
    (project.features / "definitions.py").write_text(DEFINITIONS.replace(was, becomes))
    apply(project)
