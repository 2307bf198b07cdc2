"""Poisoned input: quarantined byte for byte or landed exactly, beside good neighbours; mended, it lands once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from lakehouse.cli import run as command
from lakehouse.config import Project, load_project
from lakehouse.pipeline import ingest
from lakehouse.pipeline.quarantine import quarantines
from lakehouse.pipeline.resolving import replay
from tests.bronze.landed import OURS, Landed
from tests.laws.shop import rows_of
from tests.poison.csv import CSV
from tests.poison.jsonl import JSON
from tests.poison.kinds import Kind, Record, named
from tests.poison.packed import PACKED
from tests.poison.parquet import PARQUET
from tests.poison.places import BINARY, PLACES, TEXT

CATALOGUE: dict[str, Sequence[Kind]] = {
    "csv": CSV,
    "json": JSON,
    "parquet": PARQUET,
    "text": TEXT,
    "binary": BINARY,
    "packed": PACKED,
    "places": PLACES,
}
FORMATS = {"packed": "csv", "places": "csv"}
FIXED = [(source, kind) for source, kinds in CATALOGUE.items() for kind in kinds if kind.fixed]
QUICK = {"ragged-short", "nanoseconds", "gz-torn", "depth-5000"}


def place(source: str, kind: Kind) -> str:
    return f"data/raw/{source}/{kind.path or f'{kind.name}.{FORMATS.get(source, source)}'}"


@pytest.fixture(scope="module")
def poisoned(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a source for each part of the catalogue, after one run over all of it."""
    folder = tmp_path_factory.mktemp("poisoned")
    (folder / "conf").mkdir()
    lines = ["name: poisoned", "root: data/lake", "tables: jobs.poisoned", "sources:"]
    for source, kinds in CATALOGUE.items():
        lines.append(
            f"  {source}: {{type: files, format: {FORMATS.get(source, source)}, path: 'data/raw/{source}/**/*'}}"
        )
        for kind in kinds:
            file = folder / place(source, kind)
            file.parent.mkdir(parents=True, exist_ok=True)
            assert not file.exists(), f"two kinds are called {kind.name}"
            file.write_bytes(kind.content)
    (folder / "conf" / "base.yaml").write_text("\n".join(lines) + "\n")
    (folder / "jobs" / "poisoned").mkdir(parents=True)
    for module in ("jobs", "jobs/poisoned"):
        (folder / module / "__init__.py").touch()
    project = load_project(folder)
    assert {result.address: str(result.error) for result in ingest(project).results if result.error} == {}
    return project


def plain(value: Any) -> str:
    """A value as text that tells -0.0 from 0.0 and finds a NaN equal to another."""
    if isinstance(value, datetime):
        value = value.replace(tzinfo=None)
    return repr(Decimal(value)) if isinstance(value, int) else repr(value)


def landed(records: Sequence[Record]) -> Counter[tuple[tuple[str, str], ...]]:
    return Counter(tuple(sorted((name, plain(value)) for name, value in named(one).items())) for one in records)


def values(row: dict[str, Any]) -> Record:
    return {name: value for name, value in row.items() if name not in OURS | {"modified_at"}}


@pytest.mark.parametrize("source", CATALOGUE)
def test_each_lands_exactly_or_is_quarantined_byte_for_byte(poisoned: Project, source: str) -> None:
    found = Landed(poisoned, source)
    wrong = {}
    for kind in CATALOGUE[source]:
        file = place(source, kind)
        records = [values(row) for row in found.kinds["record"] if row["_file"] == file and row["_batch"] == 0]
        rejects = [(row["_raw"], row["_reason"]) for row in found.kinds["reject"] if row["_file"] == file]
        if landed(records) != landed(kind.records):
            wrong[kind.name, "records"] = (
                landed(records) - landed(kind.records),
                landed(kind.records) - landed(records),
            )
        if Counter(raw for raw, _ in rejects) != Counter(raw for raw, _ in kind.rejects):
            wrong[kind.name, "rejects"] = rejects
        said = dict(rejects)
        reasons = [(said[raw], want) for raw, want in kind.rejects if raw in said and want not in said[raw]]
        if reasons:
            wrong[kind.name, "reasons"] = reasons
    assert wrong == {}
    known = {place(source, kind) for kind in CATALOGUE[source]}
    assert {row["_file"] for kind in ("record", "reject") for row in found.kinds[kind]} <= known


def test_no_command_breaks_on_it(
    poisoned: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(poisoned.folder)
    words = [["check"], ["plan"], ["ingest"], ["quarantine", "list"], ["show", "runs"]]
    for source in CATALOGUE:
        words += [["show", "source", source], ["quarantine", "show", f"bronze.{source}", "--limit", "1000"]]
        words += [["show", f"bronze.{source}"], ["show", "source", source, "--schema"]]
    for one in words:
        assert command(one) == 0, one
        said = capsys.readouterr()
        shown = said.out + said.err
        assert "Traceback" not in shown
        assert "\x1b]" not in shown and "\x1b[31mred" not in shown and "\u202e" not in shown, one
        assert not any(line.lstrip().startswith(("ERROR forged", "2026-01-01 ERROR")) for line in shown.splitlines()), (
            one
        )


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        pytest.param(
            source, kind, id=f"{source}-{kind.name}", marks=[] if kind.name in QUICK else [pytest.mark.torture]
        )
        for source, kind in FIXED
    ],
)
def test_after_a_fix_it_lands_once(poisoned: Project, source: str, kind: Kind) -> None:
    assert kind.fixed is not None
    given, record = kind.fixed
    address, file = f"bronze.{source}", place(source, kind)
    (held,) = quarantines(poisoned, [address])
    first = min((row for row in held.open if row.place.file == file), key=lambda row: row.place)
    assert replay(poisoned, address, ids=[first.place.id]).done == 0  # as it is it is no record still
    assert [replay(poisoned, address, ids=[first.place.id], given=given).done for _ in "ab"] == [1, 0]
    rows = rows_of(poisoned.path(address), "_kind = 'record' AND _batch > 0")
    mended = [row for row in rows if row["_file"] == file]
    assert landed([values(row) for row in mended]) == landed([record])
    (held,) = quarantines(poisoned, [address])
    assert first.place not in {row.place for row in held.open}
    (again,) = ingest(poisoned, select=[address]).results
    assert (again.status, again.error) == ("unchanged", None)
