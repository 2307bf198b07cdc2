"""Live schema drift: each way to drift × each setting of the contract has the outcome that docs/bronze.md gives it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from lakehouse.config import Project, load_project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from tests.bronze.drifts import DRIFTS, Drift
from tests.bronze.landed import OURS, Landed

SHOWN = (
    *("add-csv-new_columns: reject", "rename-json-new_columns: rescue, lost_columns: 'null'"),
    *("widen-parquet-changed_types: rescue", "nested field added-parquet-changed_types: rescue"),
    *("declared-csv-schema: declared, columns: {id: string, n: bigint}, changed_types: reject",),
)
"""The slice that always runs."""
NAMES = [f"{drift.name}-{drift.format}-{drift.settings}" for drift in DRIFTS]
CASES = [
    pytest.param(number, id=name, marks=[] if name in SHOWN else [pytest.mark.torture])
    for number, name in enumerate(NAMES)
]
Live = tuple[Project, dict[int, Any], dict[int, Any]]


@pytest.fixture(scope="module")
def live(spark: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Live:
    """One project with a source for each drift; the results of the drifted batch, and of the one after it."""
    everything = request.config.option.markexpr != "not torture"
    some = [number for number, name in enumerate(NAMES) if everything or name in SHOWN]
    folder = tmp_path_factory.mktemp("drift")
    for below in ("conf", "jobs/drift"):
        (folder / below).mkdir(parents=True)
    lines = ["name: drift", "root: lake", "tables: jobs.drift", "sources:"]
    for number in some:
        (folder / f"raw/{number}").mkdir(parents=True)
        said = DRIFTS[number].settings
        lines.append(f"  s{number}: {{type: files, format: {DRIFTS[number].format}, path: raw/{number}/*, {said}}}")
    (folder / "conf" / "base.yaml").write_text("\n".join(lines) + "\n")
    project = load_project(folder)

    def send(name: str, which: str) -> dict[int, Any]:
        for number in some:
            table = getattr(DRIFTS[number], which)
            (folder / f"raw/{number}/{name}").write_bytes(DRIFTS[number].content(table))
        return {int(result.address.removeprefix("bronze.s")): result for result in ingest(project).results}

    assert {number: str(result.error) for number, result in send("1", "first").items() if result.error} == {}
    drifted = send("2", "second")
    for number, result in drifted.items():
        if result.error is not None:
            (folder / f"raw/{number}/2").unlink()
    return project, drifted, send("3", "first")


def values(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in OURS and value is not None}
    return kept | ({"_rescued": json.loads(kept["_rescued"])} if "_rescued" in kept else {})


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in rows)


@pytest.mark.parametrize("number", CASES)
def test_a_drift_has_the_outcome_that_is_documented(live: Live, number: int) -> None:
    project, drifted, after = live
    drift: Drift = DRIFTS[number]
    result = drifted[number]
    landed = Landed(project, f"s{number}")
    if drift.refused:
        assert isinstance(result.error, ContractError) and drift.refused in result.error.message, result.error
        assert landed.files == [f"raw/{number}/1", f"raw/{number}/3"]
    else:
        assert result.error is None
        rows = [values(row) for row in landed.kinds["record"] if row["_file"] == f"raw/{number}/2"]
        assert counted(rows) == counted(drift.rows)
        assert len(landed.kinds["reject"]) == drift.quarantined
        (receipt,) = [one for one in landed.receipts.values() if one["cursor"]["files"][0]["path"].endswith("/2")]
        assert receipt.get("changes", {}) == drift.changes
    assert (after[number].error, after[number].landed) == (None, 1)  # the old shape goes on
