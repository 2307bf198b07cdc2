"""A project that ``init`` wrote is checked, planned and shown; then broken, and each mistake is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

IN_ORDER = "; in any batches, not in any order (no sequence_by): silver.customers, silver.orders"


def test_init_writes_a_project_that_is_right(command, tmp_path: Path) -> None:
    answer = command("init", "shop", folder=tmp_path)
    assert (answer.code, answer.err) == (0, "")
    shop = tmp_path / "shop"
    lines = answer.out.splitlines()
    assert lines[-3].startswith("Next: cd shop && ")
    assert lines[-1].strip() == "make test"
    left = [path for path in shop.rglob("*") if path.is_file() and "{{" in path.read_text()]
    assert left == []
    checked = command("check", "--json", folder=shop)
    answer = json.loads(checked.out)
    assert (checked.code, answer["ok"], answer["warnings"]) == (0, True, [])
    assert answer["checked"]["tables"] == f"2 silver, 1 gold{IN_ORDER}"


def test_the_project_depends_on_the_engine_it_was_made_by(shop: Path) -> None:
    project = tomllib.loads((shop / "pyproject.toml").read_text())
    engine = Path(__file__).parents[2].as_uri()
    assert project["project"]["dependencies"] == [f"lakehouse[java,spark] @ {engine}"]
    assert project["tool"]["hatch"]["metadata"]["allow-direct-references"] is True


def test_what_init_writes_is_formatted_as_the_engine_is(shop: Path) -> None:
    line_length = ["--isolated", "--line-length", "120"]
    for words in (["format", "--check", *line_length], ["check", *line_length]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, str(shop)], capture_output=True, text=True, cwd=shop
        )
        assert done.returncode == 0, done.stdout


def test_a_project_next_to_another_has_its_own_tables(command, tmp_path: Path) -> None:
    for name in ("one", "two"):
        command("init", name, folder=tmp_path)
    (tmp_path / "two" / "jobs" / "two" / "gold.py").unlink()
    (tmp_path / "two" / "features" / "definitions.py").unlink()
    tables = [
        json.loads(command("check", "--json", folder=tmp_path / name).out)["checked"]["tables"]
        for name in ("one", "two")
    ]
    assert tables == [f"2 silver, 1 gold{IN_ORDER}", f"2 silver, 0 gold{IN_ORDER}"]


@pytest.mark.parametrize(
    ("name", "better"),
    [("My-Shop", "my_shop"), ("1shop", "shop"), ("class", "class_data"), ("", "shop"), ("../x", "x"), ("été", "t")],
)
def test_init_refuses_a_name_that_python_would(command, tmp_path: Path, name: str, better: str) -> None:
    answer = command("init", name, folder=tmp_path)
    assert answer.code == 2
    assert answer.err.endswith(f"lakehouse init {better}\n")
    assert list(tmp_path.iterdir()) == []


def test_init_overwrites_nothing(command, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine").write_text("mine")
    answer = command("init", "shop", folder=tmp_path)
    assert answer.code == 2
    assert "is there already" in answer.err
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["mine"]


def test_plan_says_what_is_new(command, shop: Path) -> None:
    answer = json.loads(command("plan", "--json", folder=shop).out)
    assert [(step["address"], step["step"], step["action"]) for step in answer["steps"]] == [
        ("bronze.customers", "ingest", "new"),
        ("bronze.orders", "ingest", "new"),
        ("silver.customers", "build", "new"),
        ("silver.orders", "build", "new"),
        ("gold.customer_spend", "build", "new"),
    ]
    shown = command("plan", "--select", "silver.orders", folder=shop)
    assert "1 of 1 steps have something to do." in shown.out or "blocked" in shown.out


def test_plan_refuses_a_name_that_is_not_there(command, shop: Path) -> None:
    answer = command("plan", "--select", "silver.order", folder=shop)
    assert answer.code == 2
    assert answer.err.endswith("Did you mean 'silver.orders'?\n")


def test_show_tells_what_is_declared(command, shop: Path) -> None:
    assert command("show", "tables", folder=shop).out.count("not built") == 5
    shown = command("show", "gold.customer_spend", folder=shop).out
    assert "key customer, as_of · reads silver.orders, silver.customers · jobs/shop/gold.py:" in shown
    assert "not built yet" in shown
    assert "Nothing has run yet." in command("show", "runs", folder=shop).out
    source = json.loads(command("show", "source", "orders", "--json", folder=shop).out)
    assert [(file["path"], file["state"]) for file in source["files"]] == [("data/raw/orders/first.csv", "new")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "source", "order"], "Did you mean 'orders'?"),
        (["show", "source"], "lakehouse show source orders"),
        (["show", "gold.customer_spent"], "Did you mean 'gold.customer_spend'?"),
        (["show", "tables", "orders"], "lakehouse show source orders"),
        (["demo"], "Run: lakehouse run"),
        (["submit", "jobs/biuld.py"], "Did you mean 'jobs/build.py'?"),
        (["submit", "--env", "local", "jobs/build.py", "--env", "prod"], "Name it once."),
        (["check", "--env", "prd"], "Did you mean 'prod'?"),
    ],
)
def test_wrong_words_are_answered_with_right_ones(command, shop: Path, words: list[str], said: str) -> None:
    answer = command(*words, folder=shop)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_check_finds_mistakes_of_conf_with_their_lines(command, shop: Path) -> None:
    conf = shop / "conf" / "base.yaml"
    conf.write_text(conf.read_text().replace("sources:", "sorces:").replace("root:", "rot:"))
    answer = command("check", folder=shop)
    assert answer.code == 2
    assert "conf/base.yaml:3: rot: not known. Did you mean 'root'?" in answer.err
    assert "conf/base.yaml:5: sorces: not known. Did you mean 'sources'?" in answer.err


def test_check_finds_mistakes_of_tables_and_root_at_once(command, shop: Path) -> None:
    (shop / "data" / "lake").write_text("a file")
    gold = shop / "jobs" / "shop" / "gold.py"
    gold.write_text(
        gold.read_text()
        .replace("silver_orders: ", "bronze_orders: ")
        .replace("silver_customers: ", "silver_customer: ")
    )
    answer = command("check", folder=shop)
    assert answer.code == 2
    assert "is a file, not a folder" in answer.out
    assert "reads bronze.orders: a gold table reads silver and gold only" in answer.out
    assert "Did you mean 'silver.customers'?" in answer.out


def test_check_finds_a_module_that_can_not_be_imported(command, shop: Path) -> None:
    (shop / "jobs" / "shop" / "silver.py").write_text("x = (\n")
    answer = command("check", "--json", folder=shop)
    assert answer.code == 2
    assert json.loads(answer.out)["problems"][0]["message"].startswith("jobs/shop/silver.py:1:")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_finds_a_root_that_can_not_be_written(command, shop: Path) -> None:
    (shop / "data").chmod(0o500)
    answer = command("check", folder=shop)
    (shop / "data").chmod(0o700)
    assert answer.code == 1
    assert "can't be written" in answer.out


def test_a_source_without_files_is_a_warning(command, shop: Path) -> None:
    (shop / "data" / "raw" / "customers.csv").unlink()
    (shop / "data" / "raw" / "orders" / "first.csv").unlink()
    (shop / "data" / "raw" / "orders").rmdir()
    answer = json.loads(command("check", "--json", folder=shop).out)
    assert answer["ok"] is True
    assert answer["warnings"] == [
        f"sources.orders: the folder {shop}/data/raw/orders is not there",
        "sources.customers: no file matches data/raw/customers.csv",
    ]


def test_fresh_deletes_only_below_the_project(command, shop: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (shop / "conf" / "env" / "local.yaml").write_text(f"root: {elsewhere}\ndemo: jobs.shop.demo\n")
    (shop / "jobs" / "shop" / "demo.py").write_text(
        "NEXT = ()\ndef stage(project, until): ...\ndef show(project): ...\n"
    )
    answer = command("demo", "--fresh", folder=shop)
    assert answer.code == 2
    assert "not below the project's folder" in answer.err
    assert elsewhere.is_dir()


def test_a_demo_that_lacks_something_is_a_mistake_of_conf(command, shop: Path) -> None:
    (shop / "conf" / "env" / "local.yaml").write_text("demo: jobs.shop.demo\n")
    assert "can't be imported" in command("demo", folder=shop).err
    (shop / "jobs" / "shop" / "demo.py").write_text("NEXT = ()\ndef stages(project, until): ...\n")
    answer = command("demo", folder=shop)
    assert answer.code == 2
    assert "has no 'stage'" in answer.err
