"""``lakehouse verify``: what an engineer on call types, sees and is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.config import Project
from tests.features.conftest import DAY, START, delays
from tests.features.served import logging_project, redefine, serve


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return logging_project(tmp_path, monkeypatch)


def test_equal_then_late_then_different(command, project: Project) -> None:
    serve(project, "AA", "UA")
    answer = command("verify", folder=project.folder)
    assert (answer.code, answer.err) == (0, "")
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert "carrier_delay mean 2 2 0 0 0 0 0 0" in lines
    assert "All of 2 vectors are equal at the version they were made of." in lines

    write_deltalake(project.path("gold.carrier_delay"), delays([("AA", 3.5, 3.5, 35.0, 5)]), mode="append")
    answer = command("verify", folder=project.folder)
    assert answer.code == 0
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert "carrier_delay mean 2 2 0 0 0 0 0 1 late data 1" in lines
    assert 'carrier_delay mean {"carrier": "AA"} 2026-01-05 00:00:00 1 31.0 35.0 late data' in lines

    serve(project, "AA", at=START + 5.75 * DAY)
    redefine(project, "timedelta(days=2)", "None")
    answer = command("verify", "--json", folder=project.folder)
    told = json.loads(answer.out)
    assert (answer.code, told["exit_code"], told["equal"]) == (1, 1, False)
    assert (told["vectors"], told["causes"]) == (3, {"TTL": 1, "late data": 2, "publish lag": 1})
    (expired,) = [one for one in told["differences"] if one["cause"] == "TTL"]
    assert (expired["feature"], expired["served"], expired["trained"], expired["newest"]) == ("mean", None, 31.0, False)


def test_what_was_found_is_kept(command, project: Project) -> None:
    serve(project, "AA", "UA")
    write_deltalake(project.path("gold.carrier_delay"), delays([("AA", 3.5, 3.5, 35.0, 5)]), mode="append")
    for _ in range(2):
        assert command("verify", folder=project.folder).code == 0
    features = DeltaTable(project.root / "verified" / "features").to_pyarrow_table().to_pylist()
    assert len(features) == 4 and len({row["made_at"] for row in features}) == 2
    assert {row["feature"]: dict(row["causes"]) for row in features} == {
        "mean": {"late data": 1}, "count": {"late data": 1}
    }  # fmt: skip
    differences = DeltaTable(project.root / "verified" / "differences").to_pyarrow_table().to_pylist()
    assert {(row["keys"], row["feature"], row["served"], row["trained"]) for row in differences} == {
        ('{"carrier": "AA"}', "mean", "31.0", "35.0"), ('{"carrier": "AA"}', "count", "null", "5")
    }  # fmt: skip


def test_just_what_was_answered_in_a_time(command, project: Project) -> None:
    serve(project, "AA", "UA")
    for words, count in (("--until 2026-01-01", 0), ("--since 2026-01-01", 2)):
        answer = command("verify", *words.split(), "--json", folder=project.folder)
        assert (answer.code, json.loads(answer.out)["vectors"]) == (0, count)
    assert "Nothing was logged in that time." in command("verify", "--until", "2026-01-01", folder=project.folder).out


def test_mistakes(command, project: Project) -> None:
    answer = command("verify", folder=project.folder)
    assert answer.code == 1
    assert "is not built" in answer.err and "nothing of the share that is logged was served yet" in answer.err
    answer = command("verify", "--since", "noon", folder=project.folder)
    assert (answer.code, answer.err.splitlines()[0]) == (2, "Error: --since: 'noon' is no time")
    file = project.features / "feature_store.yaml"
    said = file.read_text()
    file.write_text(said.replace("share:", "shrae:"))
    answer = command("verify", folder=project.folder)
    assert answer.code == 2, answer
    assert "shrae" in answer.err and "Did you mean 'share'?" in answer.err
    file.write_text(said.replace("log:", "logs:"))
    answer = command("verify", folder=project.folder)
    assert (answer.code, "does not say that served features are logged" in answer.err) == (2, True)
