"""Maintenance: few files and little log however many batches came, the same rows, what is pinned is spared."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.cli import run
from lakehouse.config import Project
from lakehouse.delta import is_plain
from lakehouse.delta.pins import Pin, pin, pins, unpin
from lakehouse.errors import StorageError
from lakehouse.pipeline import build, ingest, plan, publish
from lakehouse.pipeline.maintaining import Maintained, maintain, tables_of
from tests.laws.shop import PUBLISHED, SOURCES, TABLES, Row, agree, write_features
from tests.laws.shop import write_orders as write
from tests.pipeline.test_running import run_both

ADDRESSES = ("bronze.orders", "silver.orders", "gold.totals")


def later() -> datetime:
    """So late that nothing that is not needed is young."""
    return datetime.now(UTC) + timedelta(days=60)


def kept(project: Project, **words: Any) -> Maintained:
    done = maintain(project, **words)
    assert done.exit_code == 0, [str(result.error) for result in done.results if result.error]
    return done


def on_disk(path: Path) -> set[Path]:
    return {file for file in path.rglob("*.parquet") if "_delta_log" not in file.parts}


def entries(path: Path) -> list[Path]:
    return list((path / "_delta_log").iterdir())


def live(path: Path) -> Counter[str]:
    """Files of the newest version by partition."""
    return Counter(uri.rpartition("/")[0] for uri in DeltaTable(str(path)).file_uris())


def versions(project: Project) -> dict[str, int]:
    return {name: DeltaTable(str(project.path(name))).version() for name in ADDRESSES}


_built: list[Path] = []
ROUNDS = 3


@pytest.fixture
def shop(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, list[Row]]:
    """A few batches; as many files as that are many here. Built once and copied for each test."""
    monkeypatch.setattr("lakehouse.delta.compacting.SMALL_FILES", 3)
    project: Project = make_project(SOURCES, PUBLISHED)
    # New keys in each batch, so that each is a file of its own in every table; and one that is judged bad.
    rows: list[Row] = [(n, 1, f"c{n // 10}{n % 3}", -1 if n == 5 else n, "new") for n in range(10 * ROUNDS)]
    if _built:
        shutil.copytree(_built[0], project.folder / "data", dirs_exist_ok=True)
        return project, rows
    for number in range(ROUNDS):
        write(project.folder, str(number), rows[10 * number : 10 * (number + 1)])
        run_both(project)
    _built.append(tmp_path_factory.mktemp("built") / "data")
    shutil.copytree(project.folder / "data", _built[0])
    return project, rows


def test_no_row_changes_and_nobody_takes_it_for_a_change(
    shop: tuple[Project, list[Row]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project, rows = shop
    write_features(project.folder)
    (published,) = publish(project).results
    assert published.status == "done"
    before = versions(project)
    told = kept(project, now=later(), dry_run=True)
    assert versions(project) == before
    done = kept(project, now=later())
    assert {(one.address, one.part, bool(one.why), one.removed) for one in told.upkeep if one.part == "memory"} <= {
        (one.address, one.part, bool(one.why), one.removed) for one in done.upkeep
    } | {("silver.orders", "memory", True, 0)}
    rewritten = {(one.address, one.part) for one in done.upkeep if one.why}
    assert {(address, "table") for address in ADDRESSES} | {("silver.orders", "memory")} <= rewritten
    agree(project.root, rows)
    assert versions(project)["bronze.orders"] > before["bronze.orders"]
    assert {step.action for step in plan(project).steps} == {"unchanged"}
    assert [one.status for one in publish(project).results] == ["unchanged"]
    for address in ADDRESSES:
        for path in tables_of(project, address).values():
            assert on_disk(path) == {Path(uri) for uri in DeltaTable(str(path)).file_uris()}
            assert max(live(path).values()) < 3
    assert {one.status for one in kept(project, now=later()).results} == {"unchanged"}
    monkeypatch.chdir(project.folder)
    capfd.readouterr()
    assert run(["maintain", "--json", "--dry-run", "--select", "silver.orders"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert [(one["address"], one["part"], one["rewritten"]) for one in said["tables"]] == [
        ("silver.orders", "table", ""),
        ("silver.orders", "memory", ""),
    ]
    assert run(["maintain", "--older-than", "soon"]) == 2
    assert "'soon' is no age" in capfd.readouterr().err
    more: list[Row] = [(77, 1, "zoe", 7, "new")]
    write(project.folder, "more", more)
    run_both(project)
    agree(project.root, rows + more)
    assert [one.status for one in publish(project).results] == ["done"]


def test_what_is_young_stays(shop: tuple[Project, list[Row]]) -> None:
    project, rows = shop
    stray = project.path("silver.orders") / "part-00000-of-a-killed-run.snappy.parquet"
    stray.write_bytes(b"PAR1")
    before = {address: on_disk(project.path(address)) for address in ADDRESSES}
    first = DeltaTable(str(project.path("bronze.orders"))).version()
    kept(project)
    for address in ADDRESSES:
        assert before[address] <= on_disk(project.path(address)), "a reader may be reading it"
    agree(project.root, rows)
    assert DeltaTable(str(project.path("bronze.orders")), version=first).file_uris()
    kept(project, now=later())
    assert not stray.exists()


def test_pinned_versions_stay_readable(shop: tuple[Project, list[Row]]) -> None:
    project, rows = shop
    path, folder = project.path("silver.orders"), project.root / "state" / "pins"
    table = DeltaTable(str(path), version=1)
    then = sorted(map(str, pa.table(table.scan()).to_pylist()))
    pin(folder, path, Pin(str(table.metadata().id), 0, 1, "training set a"))
    pin(folder, path, Pin(str(table.metadata().id), 0, 1, "training set a"))
    assert len(pins(folder)) == 1
    kept(project, now=later())
    assert sorted(map(str, pa.table(DeltaTable(str(path), version=1).scan()).to_pylist())) == then
    assert DeltaTable(str(path)).metadata().configuration["delta.enableExpiredLogCleanup"] == "false"
    two = {Path(uri) for version in (1, None) for uri in DeltaTable(str(path), version=version).file_uris()}
    assert on_disk(path) == two, "just what the pinned and the newest version list is left"
    agree(project.root, rows)
    assert unpin(folder, "training set a") == 1
    kept(project, now=later())
    assert on_disk(path) == {Path(uri) for uri in DeltaTable(str(path)).file_uris()}
    with pytest.raises(StorageError, match="version 1 can't be pinned: it is gone"):
        pin(folder, path, Pin(str(table.metadata().id), 0, 1, "training set b"))
    assert pins(folder) == ()
    assert {step.action for step in plan(project).steps} == {"unchanged"}


@pytest.mark.torture
def test_clustered_by_key_a_table_is_still_plain_files(
    shop: tuple[Project, list[Row]], monkeypatch: pytest.MonkeyPatch, make_project: Any
) -> None:
    project, rows = shop
    monkeypatch.setattr("lakehouse.delta.compacting.LEAST_BYTES", 500)
    monkeypatch.setattr("lakehouse.delta.compacting.MOST_ROWS", 2)
    done = kept(project, select=["silver.orders", "gold.totals"], now=later())
    assert ("silver.orders", "to be clustered by id") in {(one.address, one.why.split("; ")[-1]) for one in done.upkeep}
    path = project.path("silver.orders")
    protocol = DeltaTable(str(path)).protocol()
    assert "clustering" in (protocol.writer_features or [])
    assert (protocol.min_reader_version, is_plain(DeltaTable(str(path)))) == (1, True)
    agree(project.root, rows)
    more: list[Row] = [(1, 99, "eve", 11, "paid"), (55, 1, "eve", 1, "new")]
    write(project.folder, "more", more)
    run_both(project)
    agree(project.root, rows + more)
    make_project(SOURCES, PUBLISHED.replace("try_cast(amount AS bigint)", "try_cast(amount AS double)"))
    run_both(project)  # other types: the tables are overwritten
    agree(project.root, rows + more)
    kept(project, now=later())
    agree(project.root, rows + more)


def test_clustered_by_what_its_definition_says(
    shop: tuple[Project, list[Row]], monkeypatch: pytest.MonkeyPatch, make_project: Any
) -> None:
    """Whoever says so later gets it later; the table is not rebuilt for it."""
    project, rows = shop
    monkeypatch.setattr("lakehouse.delta.compacting.LEAST_BYTES", 500)
    monkeypatch.setattr("lakehouse.delta.compacting.MOST_ROWS", 2)
    path = project.path("silver.orders")

    def by(columns: str) -> str:
        nonlocal project
        declared = '@silver.table(key="id", sequence_by="seq"'
        assert declared in PUBLISHED
        project = make_project(SOURCES, PUBLISHED.replace(declared, f"{declared}, cluster_by={columns}"))
        assert {step.action for step in plan(project).steps} == {"unchanged"}
        return maintain(project, select=["silver.orders"], now=later()).results[0].note

    def spread(column: str) -> float:
        """How much of all values the files have, on an average."""
        files = pa.table(DeltaTable(str(path)).get_add_actions(flatten=True)).to_pylist()
        values = sorted({row[column] for row in DeltaTable(str(path)).to_pyarrow_table().to_pylist()})
        ends = [[values.index(file[f"{end}.{column}"]) for end in ("min", "max")] for file in files]
        return sum(high - low + 1 for low, high in ends) / len(ends) / len(values)

    assert "to be clustered by id" in kept(project, select=["silver.orders"], now=later()).results[0].note
    before = spread("customer"), spread("id")
    assert "to be clustered by customer" in by('"customer"')
    assert spread("customer") < before[0] and spread("id") > before[1]
    assert "cluster" not in by('["customer"]')
    assert "to be clustered by seq, id" in by('["seq", "id"]')
    agree(project.root, rows)
    assert by('"amonut"') == "silver.orders: cluster_by has 'amonut', which it does not have"
    assert "to be clustered by id" in by("()")
    agree(project.root, rows)


@pytest.mark.torture
def test_a_thousand_batches(spark: Any, make_project: Any) -> None:
    """A batch lands each round, every tenth is built, every fiftieth maintained: files and log do not grow."""
    project: Project = make_project(SOURCES, TABLES)
    landed: list[Row] = []
    for number in range(1, 1001):
        rows: list[Row] = [(number % 40, number, f"c{number % 7}", number % 1000, "new")]
        write(project.folder, f"{number:04}", rows)
        landed += rows
        assert ingest(project).exit_code == 0
        if number % 10 == 0:
            assert build(project).exit_code == 0
        if number % 50 == 0:
            kept(project, now=later())
            agree(project.root, landed)
            assert {step.action for step in plan(project).steps} == {"unchanged"}
            for address in ADDRESSES:
                for part, path in tables_of(project, address).items():
                    where = f"{address} ({part}) after {number} batches"
                    assert max(live(path).values()) <= 16, where
                    assert on_disk(path) == {Path(uri) for uri in DeltaTable(str(path)).file_uris()}, where
                    assert len(entries(path)) <= 60, where


def test_nothing_is_removed_where_the_log_and_the_folder_disagree(tmp_path: Path) -> None:
    from lakehouse.delta import read_state
    from lakehouse.delta.cleaning import find_litter

    path = tmp_path / "t"
    for value in (1, 2, 3):
        write_deltalake(str(path), pa.table({"a": [value]}), mode="overwrite")
    state = read_state(path)
    assert state is not None
    assert len(find_litter(state, later()).files) == 2
    (current,) = DeltaTable(str(path)).file_uris()
    Path(current).rename(path / "elsewhere.parquet")
    litter = find_litter(state, later())
    assert litter.files == ()
    assert "are not where its log says" in litter.notes[0]
    assert find_litter(state, datetime(2001, 1, 1, tzinfo=UTC)).files == ()


def test_compaction_is_no_change(tmp_path: Path) -> None:
    from lakehouse.delta.log import changed_at

    path = tmp_path / "t"
    for value in (1, 2, 3):
        write_deltalake(str(path), pa.table({"a": [value]}), mode="append")
    DeltaTable(str(path)).optimize.compact()
    assert (DeltaTable(str(path)).version(), changed_at(path, 3), changed_at(path, 2)) == (3, 2, 2)
    write_deltalake(str(path), pa.table({"a": [4], "b": [1]}), mode="append", schema_mode="merge")
    assert changed_at(path, 4) == 4
    (path / "_delta_log" / f"{2:020}.json").unlink()
    assert changed_at(path, 3) == 2, "what the log does not say any more counts as a change"
