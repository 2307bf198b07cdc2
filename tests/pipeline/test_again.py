"""Rebuild and restore: a table made anew, or as it once was, ends in what the oracle says, inside the same table."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.config import Project
from lakehouse.delta import read_state
from lakehouse.errors import LockedError, NotBuiltError, StorageError, UsageError
from lakehouse.pipeline import build, plan, rebuild, restore
from tests.laws.shop import SOURCES, TABLES, Row, agree, rows_of, write_orders
from tests.pipeline.test_running import run_both

FIRST: list[Row] = [(1, 1, "ada", 10, "new"), (2, 1, "bob", 20, "new"), (3, 1, "bob", 5, "new"), (4, 1, "c", -1, "x")]
MORE: list[Row] = [(1, 2, "ada", 11, "paid"), (9, 1, "eve", 1, "new")]
LAST: list[Row] = [(9, 2, "eve", 2, "paid"), (2, 1, "bob", 20, "new")]


_built: list[Path] = []


@pytest.fixture
def shop(spark: Any, make_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two batches, built once and copied for each test: a copied lake is as good as its original."""
    project: Project = make_project(SOURCES, TABLES)
    if not _built:
        for name, rows in (("1", FIRST), ("2", MORE)):
            write_orders(project.folder, name, rows)
            run_both(project)
        _built.append(tmp_path_factory.mktemp("built") / "data")
        shutil.copytree(project.folder / "data", _built[0])
    else:
        shutil.copytree(_built[0], project.folder / "data", dirs_exist_ok=True)
    return project


def identity(project: Project, address: str) -> tuple[str, int]:
    return str(DeltaTable(str(project.path(address))).metadata().id), project.path(address).stat().st_ino


def actions(project: Project) -> dict[str, str]:
    return {step.address: step.action for step in plan(project).steps}


@pytest.mark.torture
def test_a_rebuild_is_a_new_epoch_of_the_same_table(shop: Project) -> None:
    spoiled = {name: identity(shop, name) for name in ("silver.orders", "gold.totals")}
    epoch = read_state(shop.path("silver.orders")).epoch  # type: ignore[union-attr]
    report = rebuild(shop, select=["silver.*"])
    assert {(one.address, one.status, one.note) for one in report.results} == {
        ("silver.orders", "done", "somebody asked for it"),
        ("gold.totals", "done", "no row differs"),
    }
    assert {name: identity(shop, name) for name in spoiled} == spoiled
    assert read_state(shop.path("silver.orders")).epoch > epoch  # type: ignore[union-attr]
    agree(shop.root, FIRST + MORE)
    assert set(actions(shop).values()) == {"unchanged"}


@pytest.mark.torture
def test_what_somebody_spoiled_is_right_again(spark: Any, shop: Project) -> None:
    for name, column in (("silver.orders", "amount"), ("gold.totals", "orders")):
        spark.sql(f"UPDATE delta.`{shop.path(name)}` SET {column} = {column} + 1")
        spark.sql(f"INSERT INTO delta.`{shop.path(name)}` SELECT * FROM delta.`{shop.path(name)}` LIMIT 1")
    assert rebuild(shop, select=["gold.totals", "silver.orders"]).exit_code == 0
    agree(shop.root, FIRST + MORE)
    write_orders(shop.folder, "3", LAST)
    run_both(shop)
    agree(shop.root, FIRST + MORE + LAST)


def test_a_rebuild_that_was_killed_goes_on_by_itself(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when its wish was committed, and again when it had judged, and had written no row."""
    asked = {"silver.orders", "gold.totals"}
    before = {name: identity(shop, name) for name in asked}

    def killed(*arguments: Any, **words: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.pipeline.running.do_step", killed)
        with pytest.raises(KeyboardInterrupt):
            rebuild(shop, select=sorted(asked))
    assert actions(shop) == {"bronze.orders": "unchanged", "silver.orders": "rebuild", "gold.totals": "rebuild"}
    assert {step.why for step in plan(shop).changes} == {"somebody asked for it"}
    for where in ("silver.merging.set_properties", "silver.merging.apply_changes"):
        with monkeypatch.context() as patch:
            patch.setattr(f"lakehouse.{where}", killed)
            with pytest.raises(KeyboardInterrupt):
                build(shop)
    assert build(shop).exit_code == 0
    assert {name: identity(shop, name) for name in asked} == before
    agree(shop.root, FIRST + MORE)
    assert set(actions(shop).values()) == {"unchanged"}


@pytest.mark.parametrize(
    "address",
    ["bronze.orders", *(pytest.param(one, marks=pytest.mark.torture) for one in ("silver.orders", "gold.totals"))],
)
def test_a_restored_table_ends_right(shop: Project, address: str) -> None:
    before = identity(shop, address)
    rows = rows_of(shop.path(address))
    done = restore(shop, address, "0")
    assert (done.to, rows_of(shop.path(address)) != rows) == (0, True)
    said = {step.address: step.action for step in done.after.steps}
    follow = {"bronze.orders": "append", "silver.orders": "rebuild", "gold.totals": "update"}
    if address == "gold.totals":
        follow = {"gold.totals": "rebuild"}
    assert said == {name: action for name, action in follow.items() if name in said}
    assert (address in said, identity(shop, address)) == (True, before)
    write_orders(shop.folder, "3", LAST)
    run_both(shop)
    agree(shop.root, FIRST + MORE + LAST)
    assert set(actions(shop).values()) == {"unchanged"}


def test_restored_to_a_time_and_killed_before_its_epoch(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    log = shop.path("silver.orders") / "_delta_log"
    first = DeltaTable(str(shop.path("silver.orders"))).history()[-1]["timestamp"] / 1000

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lakehouse.delta.restoring.begin_epoch", killed)
    moment = datetime.fromtimestamp(first, UTC) + timedelta(milliseconds=1)
    with pytest.raises(KeyboardInterrupt):
        restore(shop, "silver.orders", moment.isoformat())
    assert "RESTORE" in max(log.glob("*.json")).read_text()
    run_both(shop)
    agree(shop.root, FIRST + MORE)


def test_what_can_not_be_rebuilt_or_restored_is_said(spark: Any, shop: Project) -> None:
    with pytest.raises(UsageError, match=r"bronze.orders can't be rebuilt: bronze is the raw data"):
        rebuild(shop, select=["orders"])
    with pytest.raises(UsageError, match="rebuild which"):
        rebuild(shop, select=[])
    silver = shop.path("silver.orders")
    newest = DeltaTable(str(silver)).version()
    for to, words in (
        (str(newest + 1), f"has no version {newest + 1}"),
        (str(newest), f"is at version {newest} already"),
        ("2001-01-01", r"no version of 2001-01-01T00:00:00Z that is still known\n.*goes back to 20\d\d-"),
        ("yesterday", "'yesterday' is neither a version nor a time"),
        ("-1", "'-1' is neither"),
    ):
        with pytest.raises(UsageError, match=words):
            restore(shop, "silver.orders", to)
    with pytest.raises(UsageError, match="names 3 tables"):
        restore(shop, "*", "0")
    from lakehouse.delta import locked

    with locked(spark, {"x": shop.lock("silver.orders")}), pytest.raises(LockedError):
        restore(shop, "silver.orders", "0")
    lost = DeltaTable(str(silver), version=0).file_uris()[0]
    Path(lost).unlink()
    with pytest.raises(StorageError, match="1 files of version 0 are gone"):
        restore(shop, "silver.orders", "0")
    (silver / "_delta_log" / f"{0:020}.json").unlink()
    with pytest.raises(StorageError, match="version 0 can't be read any more"):
        restore(shop, "silver.orders", "0")
    agree(shop.root, FIRST + MORE)


def test_what_was_never_built_can_not_be_restored(make_project: Any) -> None:
    project = make_project(SOURCES, TABLES)
    write_orders(project.folder, "1", FIRST)
    with pytest.raises(NotBuiltError, match=r"silver.orders is not there yet"):
        restore(project, "silver.orders", "0")
