"""``lakehouse quarantine``: what is kept out is shown safely, and decided about by words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.pipeline import build, ingest, running

SOURCES = "  orders: {type: files, format: csv, path: data/raw/*.csv}"
TABLES = """
from lakehouse import silver
from lakehouse.quality import matches, not_null

@silver.table(key="id", expect=[not_null("customer"), matches("id", "^[0-9]+$", on_fail="fail")])
def orders(bronze_orders):
    return bronze_orders.select("id", "customer")
"""
POISON = b"\x1b[31m[bold]\\x,\xff\n"


@pytest.fixture
def shop(spark: Any, make_project: Callable[..., Project]) -> Project:
    """Two rejects in bronze, one row out of silver and one that stops it."""
    project = make_project(SOURCES, TABLES)
    file = project.folder / "data" / "raw" / "a [b].csv"
    file.write_bytes(b"id,customer\n1,ada\n" + POISON + b"2\n3,\nx,eve\n")
    for part in (ingest, build):
        part(project)
    return project


def test_from_the_list_to_nothing_open(command: Any, shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(running, "open_session", lambda *_: pytest.fail("a session was opened"))
        listed = command("quarantine", "list", folder=shop.folder)
        shown = command("quarantine", "show", "bronze.orders", folder=shop.folder)
        data = json.loads(command("quarantine", "show", "bronze.orders", "--json", folder=shop.folder).out)
        few = command("quarantine", "show", "bronze.orders", "-n", "1", "--reason", "FIELDS", folder=shop.folder)
        blocking = command("quarantine", "show", "silver.orders", folder=shop.folder)
        counted = json.loads(command("quarantine", "list", "--json", folder=shop.folder).out)["quarantine"]
    assert listed.code == 0
    assert "quarantined = open + replayed + discarded" in listed.out
    assert "it has # fields where the header has #" in listed.out
    assert "data/raw/a [b].csv:3 byte 18" in listed.out
    assert "Next: lakehouse quarantine show silver.orders\n" in listed.out
    assert [(one["address"], one["open"], one["blocking"]) for one in counted] == [
        ("bronze.orders", 2, 0),
        ("silver.orders", 1, 1),
    ]
    assert "  \\x1b[31m[bold]\\\\x,\\xff\\n\n" in shown.out
    assert "\x1b" not in shown.out
    first, second = data["rows"]
    assert (first["raw"], first["line"], first["row"]) == ("G1szMW1bYm9sZF1ceCz/Cg==", 3, 18)
    assert (second["text"], second["reasons"]) == ("2\\n", ["it has 1 fields where the header has 2"])
    assert second["id"] in few.out and first["id"] not in few.out
    assert '{"id":"x","customer":"eve"}' in blocking.out
    assert "matches(id, '^[0-9]+$')  (blocking)" in blocking.out

    (shop.folder / "mended.csv").write_bytes(b"2,bob\n")
    words = ("quarantine", "replay", "bronze.orders", "--id", second["id"][:6], "--with", "mended.csv")
    replayed = command(*words, folder=shop.folder)
    assert (replayed.code, replayed.out.splitlines()[0]) == (
        0,
        "1 of 1 rejects of bronze.orders landed as batch 1: 1 record.",
    )
    assert command(*words, folder=shop.folder).out.startswith("Nothing of bronze.orders is open.")
    still = command("quarantine", "replay", "bronze.orders", folder=shop.folder)
    assert "None of 1 rejects" in still.out and "1 still: it is not UTF-8" in still.out
    because = ("--because", "[red]a test[/red]")
    for address, reason in (("bronze.orders", "utf-8"), ("silver.orders", "matches")):
        done = command("quarantine", "discard", address, "--reason", reason, *because, folder=shop.folder)
        assert (done.code, done.out.splitlines()[0]) == (0, f"1 of {address} discarded.")
    assert [result.error for result in build(shop).results] == [None]
    row = "silver.orders", "0 to 1", "4", "4", "2", "2", "0", "4 = 4"
    runs = command("show", "runs", folder=shop.folder).out
    assert list(row) == next(
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in runs.splitlines()
        if line.lstrip().startswith("silver.orders")
    )
    decided = command("quarantine", "show", "silver.orders", "--all", folder=shop.folder).out
    assert "discarded by " in decided and ": [red]a test[/red]\n" in decided
    assert command("quarantine", "list", "bronze.orders", folder=shop.folder).out == (
        "Nothing is open; 2 rows are decided: --all\n"
    )
    left = json.loads(command("quarantine", "list", "--all", "--json", folder=shop.folder).out)["quarantine"]
    names = ("address", "quarantined", "open", "blocking", "replayed", "discarded")
    assert [tuple(one[name] for name in names) for one in left] == [
        ("bronze.orders", 2, 0, 0, 1, 1),
        ("silver.orders", 2, 1, 0, 0, 1),
    ]
    assert command("show", "source", "orders", folder=shop.folder).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shwo"], "Did you mean 'show'?"),
        (["show"], "show which table?"),
        (["show", "bronze.oders"], "Did you mean 'bronze.orders'?"),
        (["list", "gold.totals"], "there is no quarantine of 'gold.totals'"),
        (["discard", "gold.totals", "--id", "abcdef", "--because", "x"], "a gold table is made anew"),
        (["discard", "bronze.orders", "--id", "abcdef"], "--because"),
        (["discard", "bronze.orders", "--because", "x"], "discard which rows?"),
        (["replay", "silver.orders"], "Change the rule or the function"),
        (["replay", "bronze.orders", "--with", "nothing.csv"], "nothing.csv: can't be read"),
        (["show", "bronze.orders", "--id", "abcdef"], "no row has the id 'abcdef'"),
        (["list", "--id", "abcdef"], "quarantine list takes no --id"),
        (["list", "--with", "x"], "quarantine list takes no --with"),
        (["list", "--because", "x"], "quarantine list takes no --because"),
        (["list", "-n", "20"], "quarantine list takes no --limit"),
        (["show", "bronze.orders", "--wait", "1"], "quarantine show takes no --wait"),
        (["replay", "bronze.orders", "--because", "x"], "quarantine replay takes no --because"),
        (["replay", "bronze.orders", "--limit", "5"], "quarantine replay takes no --limit"),
        (["discard", "bronze.orders", "--with", "x"], "quarantine discard takes no --with"),
    ],
)
def test_mistakes_are_usage_errors(command: Any, make_project: Any, words: list[str], said: str) -> None:
    project = make_project(SOURCES, TABLES)
    answer = command("quarantine", *words, folder=project.folder)
    assert (answer.code, said in answer.err) == (2, True), answer.err


def test_nothing_is_quarantined(command: Any, make_project: Any) -> None:
    project = make_project(SOURCES, TABLES)
    assert command("quarantine", "list", folder=project.folder).out == "Nothing is quarantined.\n"
    assert json.loads(command("quarantine", "list", "--json", folder=project.folder).out) == {"quarantine": []}
