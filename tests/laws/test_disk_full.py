"""A disk that is full: nothing is torn, the message names the mount, and a run with space again ends right."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.config import Project, load_project
from lakehouse.pipeline import publish
from tests.laws.children import one_child
from tests.laws.shop import (
    PUBLISHED,
    SOURCES,
    TABLES,
    Row,
    agree,
    expected,
    history,
    served,
    write_features,
    write_orders,
)

SIZE = 4 << 20
AT = datetime(2026, 1, 1, tzinfo=UTC)
LEFT = [0, 4, 8, 16, 24, 32, 48, 64, 96, 128]
"""How many KiB are free when the run begins."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; skips the test where none may be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a disk that is full needs the right to mount a small one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(small: Path, left: int) -> None:
    """Leave so many KiB."""
    filler = small / "filler"
    filler.unlink(missing_ok=True)
    with filler.open("wb") as file:
        file.write(bytes(max(shutil.disk_usage(small).free - (left << 10), 0)))


@pytest.mark.torture
@pytest.mark.parametrize("where", ["tables", "state", "Spark's local dir"])
def test_the_disk_is_full(engine: Project, make_project: Any, tmp_path: Path, small: Path, where: str) -> None:
    project = make_project(SOURCES, TABLES)
    conf = project.folder / "conf" / "base.yaml"
    root = small / "lake" if where == "tables" else tmp_path / "lake"
    conf.write_text(conf.read_text().replace("data/lake", str(root)))
    if where == "state":
        root.mkdir()
        (root / "state").symlink_to(small)
    env = {"SPARK_LOCAL_DIRS": str(small / "spark")} if where == "Spark's local dir" else {}
    waiting = history(3)
    landed: list[Row] = []
    failed = 0
    with one_child(engine, tmp_path / "child.log", env) as child:
        assert child.java
        for left in LEFT:
            rows = [waiting.pop() for _ in range(5)]
            write_orders(project.folder, str(left), rows)
            landed += rows
            fill(small, left)
            before = len(child.said())
            child.begin(project, "run")
            code, said = child.ended(), child.said()[before:]
            assert "Traceback" not in said
            if code == 0:
                agree(root, landed)
            else:
                failed += 1
                assert code in (1, 4) and str(small) in said.replace("\n", ""), said
            (small / "filler").unlink()
            child.begin(project, "run")
            assert child.ended() == 0, child.said()[-2000:]
            agree(root, landed)
    assert failed >= 3


@pytest.mark.torture
def test_the_disk_of_the_registry_and_the_online_store_is_full(make_project: Any, tmp_path: Path, small: Path) -> None:
    project = make_project(SOURCES, PUBLISHED, folder=small)
    conf = project.folder / "conf" / "base.yaml"
    conf.write_text(conf.read_text().replace("data/lake", str(tmp_path / "lake")))
    project = load_project(project.folder)
    write_features(project.folder)
    failed = 0
    for number, left in enumerate(LEFT):
        # A gold table as the engine makes it, of so many orders that the store grows with each round.
        rows: list[Row] = [(key, 1, f"customer {key}", number, "new") for key in range(100 * (number + 1))]
        gold = [{"customer": name, "amount": sum_, "orders": orders} for name, sum_, orders in expected(rows)["gold"]]
        table = pa.Table.from_pylist([row | {"at": AT} for row in gold])
        write_deltalake(str(project.path("gold.totals")), table, mode="overwrite")
        fill(small, left)
        report = publish(project)
        if report.exit_code:
            failed += 1
            assert all(str(small) in str(result.error) for result in report.results if result.error is not None)
        (small / "filler").unlink()
        assert publish(project).exit_code == 0
        served(project, rows)
    assert failed >= 3
