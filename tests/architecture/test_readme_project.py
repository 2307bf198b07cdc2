"""The project that the README shows on one screen is a project: it is right, it runs, and its features are Feast's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project, load_project
from lakehouse.local import Lake
from lakehouse.pipeline import build, ingest, plan
from tests.architecture.markdown import README, blocks

ORDERS = """order_id,customer,ordered_at,amount
1,ada,2026-01-05T09:00:00Z,12.5
2,ada,2026-01-06T09:00:00Z,7.5
3,bob,2026-01-05T09:00:00Z,-4
4,,2026-01-05T09:00:00Z,1
"""


@pytest.fixture
def shown(tmp_path: Path) -> Project:
    """The README's files, each of which names itself in its first line, and a few orders."""
    files = {"data/raw/orders/first.csv": ORDERS, "jobs/__init__.py": "", "jobs/shop/__init__.py": ""}
    for block in blocks(README):
        if name := re.match(r"# (\S+\.(?:py|yaml))\n", block.text):
            files[name[1]] = block.text
    assert {"conf/base.yaml", "jobs/shop/silver.py", "jobs/shop/gold.py", "features/definitions.py"} <= files.keys()
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_project(tmp_path, "local")


def test_it_runs(spark: Any, shown: Project) -> None:
    assert [step.action for step in plan(shown).steps] == ["new", "new", "new"]
    for part in (ingest, build):
        report = part(shown)
        assert report.exit_code == 0, [str(result.error) for result in report.results if result.error]
    rows = Lake(shown).arrow("gold.customer_spend").to_pylist()
    assert sorted((row["customer"], row["as_of"].day, row["spent"]) for row in rows) == [
        ("ada", 5, 12.5),
        ("ada", 6, 20.0),
    ]


def test_its_features_are_a_feast_view(shown: Project) -> None:
    code = "from features.definitions import customer_spend as view; print(view.name, view.entities, view.ttl.days)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=shown.folder, capture_output=True, text=True)
    assert done.stdout.strip() == "customer_spend ['customer'] 90", done.stderr
