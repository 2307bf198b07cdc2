"""Training sets that are kept: the same rows again, what they pin, and every planted difference."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, WriterProperties

from lakehouse.config import Project
from lakehouse.delta.cleaning import find_litter, remove
from lakehouse.delta.state import read_state
from lakehouse.errors import StorageError, UsageError, VersionGoneError
from lakehouse.features import keeping
from lakehouse.features.keeping import rebuild, verify
from lakehouse.features.manifest import MANIFEST, ROWS, folder_of, forget, names, read_manifest, trained
from lakehouse.features.repository import apply
from lakehouse.features.training import Built, build, training_set
from tests.features.conftest import DAY, DEFINITIONS, DELAYS, LOADS, START, day, delays, write
from tests.features.sets import FEATURES, ask, begin_again

LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _applied(project: Project) -> None:
    apply(project)


@pytest.fixture(autouse=True)
def _tables(project: Project) -> None:
    begin_again(project)


def move_on(project: Project) -> None:
    """Everything that can be another way, is: rows, columns, the order of files."""
    write(project, "gold.carrier_delay", delays([("AA", 1, 1, -1.0, -1)]))
    write(project, "gold.route_load", LOADS.drop_columns(["flights"]), schema_mode="overwrite")
    write(project, "gold.carrier_delay", delays([]))


def clean(project: Project, address: str) -> None:
    """As maintenance does it, when nothing is young any more."""
    state = read_state(project.path(address))
    assert state is not None
    remove(find_litter(state, LATER, trained(project)))


def test_a_set_is_made_again_byte_for_byte_after_all_has_moved_on(project: Project) -> None:
    sets = {
        "frame": training_set(ask([3, 1, 2]), FEATURES, project=project),
        "service": training_set(ask([3, 1, 2]), "everything", project=project, full_feature_names=True),
        "demand": training_set(ask([3]), ["over_mean"], label="late", horizon=DAY, now=day(4), project=project),
        "sql": training_set(
            "select carrier, 1::bigint as origin, known_at as event_timestamp from gold.carrier_delay order by all",
            FEATURES,
            project=project,
        ),
        "table": training_set(ask([1, 2]), "route_load", label="gold.carrier_delay.mean", horizon=DAY, project=project),
        "range": training_set(None, "carrier_delay", start=START, end=START + 9 * DAY, project=project),
    }
    for name, made in sets.items():
        assert made.rows.num_rows
        made.keep(name)
    move_on(project)
    definitions = project.features / "definitions.py"
    definitions.write_text(
        DEFINITIONS.replace("timedelta(days=2)", "timedelta(days=1)")
        .replace("features=[delay, load]", "features=[delay]")
        .replace(', features=["flights"]', ', features=["secret"]')
    )
    try:
        apply(project)
        for name, made in sets.items():
            assert rebuild(project, name).rows.equals(made.rows)
            assert verify(project, name).equal
    finally:
        definitions.write_text(DEFINITIONS)
        write(project, "gold.route_load", LOADS, schema_mode="overwrite")
        apply(project)


def test_maintenance_spares_what_a_set_needs_until_it_is_forgotten(project: Project) -> None:
    made = training_set(ask([3, 1]), FEATURES, project=project).keep("kept")
    file = folder_of(project, "kept") / MANIFEST
    text = file.read_text()
    move_on(project)
    for address in ("gold.carrier_delay", "gold.route_load"):
        clean(project, address)
    assert rebuild(project, "kept").rows.equals(made.rows)
    forget(project, "kept")
    assert (names(project), trained(project)) == ([], [])
    clean(project, "gold.carrier_delay")
    made_from = made.places["gold.carrier_delay"]
    with pytest.raises(VersionGoneError, match="gold.carrier_delay: version .* gone already"):
        made.keep("again")
    assert not folder_of(project, "again").exists()
    assert Path(made_from) == project.path("gold.carrier_delay")
    write(project, "gold.route_load", LOADS, schema_mode="overwrite")
    training_set(ask([3]), ["route_load:flights"], project=project).keep("again")
    (folder_of(project, "again") / MANIFEST).write_text(text.replace('"kept"', '"again"'))
    pq.write_table(made.entities, folder_of(project, "again") / "entities.parquet")
    with pytest.raises(
        VersionGoneError, match=r"version \d+ are gone\n.*rows as they were are in data/lake/training/again"
    ):
        verify(project, "again")


def test_a_table_that_was_made_anew_is_another(project: Project) -> None:
    training_set(ask([3]), FEATURES, project=project).keep("kept")
    folder = project.path("gold.carrier_delay")
    away = folder.rename(folder.with_name("away"))
    try:
        write(project, "gold.carrier_delay", DELAYS)
        for _ in range(DeltaTable(str(away)).version()):
            write(project, "gold.carrier_delay", DELAYS)
        with pytest.raises(VersionGoneError, match=r"gold.carrier_delay was made anew since(?s:.)*--forget"):
            verify(project, "kept")
    finally:
        folder.rename(folder.with_name("other"))
        away.rename(folder)


def test_a_planted_difference_is_found(project: Project) -> None:
    plain = WriterProperties(compression="UNCOMPRESSED")
    write(project, "gold.carrier_delay", DELAYS, writer_properties=plain)
    training_set(ask([3, 1, 3.5]), FEATURES, project=project).keep("kept")
    training_set(ask([3, 1, 3.5]), FEATURES, project=project).keep("bare", rows=False)
    assert not (folder_of(project, "bare") / ROWS).exists()
    one = verify(project, "kept")
    assert (one.equal, one.rebuilt, one.kept, one.differences) == (True, True, True, ())
    for uri in DeltaTable(str(project.path("gold.carrier_delay"))).file_uris():
        data = Path(uri).read_bytes()
        assert struct.pack("<d", 31.0) in data
        Path(uri).write_bytes(data.replace(struct.pack("<d", 31.0), struct.pack("<d", 32.0)))
    # The same length, so that nothing but the value differs.
    found = verify(project, "kept")
    assert (found.equal, found.rebuilt, found.kept) == (False, False, True)
    ((column, rows, examples),) = [(one.column, one.rows, one.examples) for one in found.differences]
    assert (column, rows) == ("mean", 2)
    assert list(examples) == [{"row": 0, "was": 31.0, "is_now": 32.0}, {"row": 2, "was": 31.0, "is_now": 32.0}]
    bare = verify(project, "bare")
    assert (bare.equal, bare.kept) == (False, None)
    assert [(one.column, one.rows) for one in bare.differences] == [("mean", None)]


def test_kept_rows_that_were_changed_are_found(project: Project) -> None:
    training_set(ask([3, 1]), FEATURES, project=project).keep("kept")
    file = folder_of(project, "kept") / ROWS
    rows = pq.read_table(file)
    place = rows.column_names.index("flights")
    pq.write_table(rows.set_column(place, "flights", pa.array([5, 6], pa.int32())), file)
    found = verify(project, "kept")
    assert (found.equal, found.rebuilt, found.kept) == (False, True, False)
    assert [(one.column, one.rows) for one in found.differences] == [("flights", 1)]
    entities = folder_of(project, "kept") / "entities.parquet"
    pq.write_table(pq.read_table(entities).slice(1), entities)
    with pytest.raises(StorageError, match="entities.parquet is not what was kept"):
        verify(project, "kept")


def test_a_manifest_is_plain_and_nothing_of_the_machine_is_in_it(project: Project) -> None:
    training_set(ask([3]), "everything", project=project).keep("kept")
    text = (folder_of(project, "kept") / MANIFEST).read_text()
    data = json.loads(text)
    assert text == json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert "class" not in text
    assert str(project.folder) not in text and str(Path.home()) not in text
    assert {table["table"]: table["used_by"] for table in data["tables"]} == {
        "gold.carrier_delay": ["carrier_delay"],
        "gold.route_load": ["route_load"],
    }
    assert {pin.by for pin in trained(project)} == {"training set kept"}
    assert sorted(file.name for file in folder_of(project, "kept").iterdir()) == [
        "entities.parquet", "manifest.json", "rows.parquet",
    ]  # fmt: skip
    assert sorted(file.name for file in folder_of(project, "kept").parent.iterdir()) == ["kept"]


def test_a_manifest_that_can_not_be_read_stops_who_would_remove_files(project: Project) -> None:
    training_set(ask([3]), FEATURES, project=project).keep("kept")
    (folder_of(project, "kept") / MANIFEST).write_text("{}")
    with pytest.raises(StorageError, match=r"manifest.json is no manifest(?s:.)*--forget"):
        trained(project)


def test_a_name_is_taken_once_and_may_be_replaced(project: Project) -> None:
    training_set(ask([3]), FEATURES, project=project).keep("kept")
    other = training_set(ask([1]), FEATURES, project=project)
    with pytest.raises(UsageError, match="there is a training set 'kept' already"):
        other.keep("kept")
    assert read_manifest(project, "kept").sha256 != other.manifest.sha256
    other.keep("kept", replace=True)
    assert read_manifest(project, "kept").sha256 == other.manifest.sha256
    assert verify(project, "kept").equal


def test_names_and_sets_that_are_not_there(project: Project) -> None:
    made = training_set(ask([3]), FEATURES, project=project)
    with pytest.raises(UsageError, match="can't be the name"):
        made.keep("../elsewhere")
    made.keep("kept")
    with pytest.raises(UsageError, match="no training set 'kpet'\n.*'kept'"):
        verify(project, "kpet")
    with pytest.raises(UsageError, match="no training set 'kpet'\n.*'kept'"):
        forget(project, "kpet")


def test_the_columns_come_back_as_they_stood(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an on-demand view is made of comes in another order in another process."""
    made = training_set(ask([3]), ["over_mean", "route_load:flights"], project=project).keep("ordered")

    def otherwise(*given: Any, **named: Any) -> Built:
        built = build(*given, **named)
        return replace(built, rows=built.rows.select(built.rows.column_names[::-1]))

    monkeypatch.setattr(keeping, "build", otherwise)
    assert rebuild(project, "ordered").rows.equals(made.rows)
    assert verify(project, "ordered").equal


def test_an_on_demand_view_that_changed_is_named_and_its_code_is_kept(project: Project) -> None:
    training_set(ask([3]), ["over_mean:over"], project=project).keep("over")
    assert "pyspark" in read_manifest(project, "over").versions
    definitions = project.features / "definitions.py"
    definitions.write_text(DEFINITIONS.replace('rows["minutes"] - rows["mean"]', 'rows["minutes"] + rows["mean"]'))
    try:
        apply(project)
        found = verify(project, "over")
    finally:
        definitions.write_text(DEFINITIONS)
        apply(project)
    assert [difference.column for difference in found.differences] == ["over"]
    assert [reason for reason in found.reasons if "on-demand view 'over_mean' is another" in reason]
    assert 'rows["minutes"] - rows["mean"]' in found.manifest.definitions["code"]["over_mean"]
    assert verify(project, "over").equal
