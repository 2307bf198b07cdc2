"""``lakehouse train``: what a data scientist types, sees and is told."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config import Project
from lakehouse.features.repository import apply
from tests.features.conftest import US, day, make_project

PLACE = "data/lake/training/late"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the features' tests, applied, with entity rows in a file."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAKEHOUSE_PROJECT", "LAKEHOUSE_ENV"):
            patch.delenv(name, raising=False)
        project: Project = make_project(tmp_path_factory.mktemp("shop"))
        apply(project)
    times = pa.array([day(3), day(1), day(30_000)], US)
    rows = {"carrier": ["AA"] * 3, "origin": [1] * 3, "event_timestamp": times, "late": [1, 0, 1]}
    pq.write_table(pa.table(rows), project.folder / "rows.parquet")
    (project.folder / "rows.sql").write_text("select carrier, known_at as event_timestamp from gold.carrier_delay\n")
    return project.folder


def test_a_set_is_made_shown_verified_listed_and_forgotten(command, shop: Path) -> None:
    assert "There are none yet." in command("train", "--list", folder=shop).out
    asked = "--entities rows.parquet --features everything --label late --horizon 1d"
    made = command("train", "late", *asked.split(), folder=shop)
    assert (made.code, made.err) == (0, "")
    assert "train   features                        done" in made.out
    lines = [" ".join(line.split()) for line in made.out.splitlines()]
    assert "late: 2 rows, 7 columns" in lines
    (left,) = [line for line in lines if "left out" in line]
    assert left.startswith("1 of 3 entity rows were left out, label not known yet: 20") and "is the clock" in left
    assert "gold.carrier_delay 0 0 carrier_delay" in lines
    assert "carrier_delay without knowledge time 1 1 count 1 2 1" in lines
    assert "mean 1 20 20.5" in lines
    assert "route_load naive 1 1 flights 1 5 5" in lines
    assert "dated before it (corrections, late rows): 1" in made.out
    assert "UTC of rows.parquet" in made.out
    assert lines[-2:] == [f"Its rows are in {PLACE}/rows.parquet", "Next: lakehouse train late --verify"]
    assert pq.read_table(shop / PLACE / "rows.parquet").column("mean").to_pylist() == [31.0, 10.0]
    assert command("train", "late", folder=shop).out.splitlines()[0] == "late: 2 rows, 7 columns"
    again = command("train", "late", *asked.split(), folder=shop)
    assert again.code == 2
    assert again.err.startswith("Error: there is a training set 'late' already\n  Give another name, or replace it")
    assert command("train", "late", *asked.split(), "--replace", "--manifest-only", folder=shop).code == 0
    assert not (shop / PLACE / "rows.parquet").exists()
    verified = command("train", "--verify", "late", folder=shop)
    assert verified.code == 0
    assert "late: 2 rows were made again, byte for byte." in verified.out
    assert [
        line.split()[:3] for line in command("train", "--list", folder=shop).out.splitlines() if "late" in line
    ] == [
        ["late", "2", "7"],
        ["Next:", "lakehouse", "train"],
    ]
    assert "late is forgotten." in command("train", "late", "--forget", folder=shop).out
    assert not (shop / PLACE).exists()


def test_json_is_one_value_with_all_of_the_manifest(command, shop: Path) -> None:
    words = ["--entities", "rows.sql", "-f", "carrier_delay:mean", "--json"]
    made = json.loads(command("train", "sql", *words, folder=shop).out)
    assert made["folder"] == "data/lake/training/sql"
    assert (made["rows"], made["asked"], made["left_out"], made["label"]) == (7, 7, {}, None)
    assert made["given"] == "rows.sql"
    assert [(table["table"], table["version"]) for table in made["tables"]] == [("gold.carrier_delay", 0)]
    assert made["leakage"][0]["naive"]["changed"] == 1
    kept = json.loads((shop / "data/lake/training/sql/manifest.json").read_text())
    assert kept == {name: value for name, value in made.items() if name not in ("folder", "rows_kept")}
    verified = json.loads(command("train", "sql", "--verify", "--json", folder=shop).out)
    assert (verified["equal"], verified["rows"], verified["sha256"]) == (True, 7, made["sha256"])
    (one,) = json.loads(command("train", "--list", "--json", folder=shop).out)["training_sets"]
    assert (one["name"], one["rows"], one["features"]) == ("sql", 7, ["carrier_delay:mean"])
    file = shop / "data/lake/training/sql/rows.parquet"
    pq.write_table(pq.read_table(file).slice(1), file)
    differs = command("train", "sql", "--verify", "--json", folder=shop)
    assert differs.code == 1
    assert json.loads(differs.out)["differences"][0]["what"] == "7 rows were made, now 6"
    said = command("train", "sql", "--verify", folder=shop)
    assert (said.code, said.err) == (1, "")
    assert "The rows that were kept are not those that were made." in said.out
    command("train", "sql", "--forget", folder=shop)


def test_definitions_that_were_not_applied_are_said(command, shop: Path) -> None:
    file = shop / "features" / "definitions.py"
    text = file.read_text()
    file.write_text(text + "\n# another word\n")
    words = ["--start", "2026-01-01", "--end", "2026-01-10", "-f", "carrier_delay"]
    made = command("train", "range", *words, folder=shop)
    file.write_text(text)
    assert made.code == 0
    assert "range: 3 rows, 4 columns" in made.out
    assert "features/ is not what was applied last" in made.out
    assert "another word" not in command("train", "range", folder=shop).out
    command("train", "range", "--forget", folder=shop)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("", "which training set?", "--list"),
        ("x --list", "--list takes no name", "lakehouse train x"),
        ("x --verify --forget", "--verify and --forget can't be at once", "--help"),
        ("x --verify -f everything", "--verify and --entities and --features can't", "--help"),
        ("x", "there is no training set 'x'", ""),
        ("x --verify", "there is no training set 'x'", ""),
        ("../x --verify", "'../x' can't be the name", "Letters"),
        ("x --verify --label late", "--label is for a set that is made", "--entities"),
        ("x --manifest-only", "--manifest-only is for a set that is made", "--entities"),
        ("x --entities rows.parquet", "no features were asked for", "--features"),
        ("x --entities row.parquet -f everything", "there is no file row.parquet", "FILE.parquet"),
        ("x --entities features/definitions.py -f everything", "is no Parquet file", "FILE.parquet"),
        ("x --entities rows.parquet -f everyting", "no view or service 'everyting'", "'everything'"),
        ("x --entities rows.parquet -f everything --label late", "a label needs a horizon", "timedelta"),
        ("x --entities rows.parquet -f everything --label late --horizon soon", "'soon' is no span", "30m"),
        ("x --start soon -f carrier_delay", "--start: 'soon' is no time", "2026-01-31"),
    ],
)
def test_mistakes_are_said_in_words(command, shop: Path, words: str, message: str, hint: str) -> None:
    answer = command("train", *words.split(), folder=shop)
    assert (answer.code, answer.out.count("Traceback")) == (2, 0)
    assert message in answer.err
    assert hint in answer.err
    assert not (shop / "data" / "lake" / "training" / "x").exists()
