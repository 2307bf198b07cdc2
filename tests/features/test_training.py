"""Training sets: what is in them, how a label is known, and that a manifest makes the same rows again."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, WriterProperties
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.config import Project
from lakehouse.delta.cleaning import find_litter, remove
from lakehouse.delta.state import read_state
from lakehouse.errors import DefinitionError, StorageError, UsageError, VersionGoneError
from lakehouse.features.keeping import rebuild, verify
from lakehouse.features.manifest import MANIFEST, ROWS, folder_of, forget, names, read_manifest, trained
from lakehouse.features.repository import apply
from lakehouse.features.training import training_set
from tests.features.conftest import DAY, DEFINITIONS, DELAYS, LOADS, START, day, delays, write

FEATURES = ["carrier_delay", "route_load:flights"]
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def _applied(project: Project) -> None:
    apply(project)


@pytest.fixture(autouse=True)
def _tables(project: Project) -> None:
    write(project, "gold.carrier_delay", DELAYS)
    write(project, "gold.route_load", LOADS)
    for name in names(project):
        forget(project, name)


def ask(days: list[float | None], carrier: str = "AA") -> pd.DataFrame:
    times = pd.to_datetime(pd.Series([day(number) for number in days], dtype=object), utc=True)
    one = {"carrier": carrier, "origin": 1, "event_timestamp": times, "late": range(len(days)), "minutes": 1.0}
    return pd.DataFrame(one)


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


def test_the_rows_are_what_feast_gives_and_the_frame_stays(project: Project) -> None:
    frame = ask([3, None, 1]).astype({"carrier": "category"})
    before = frame.copy(deep=True)
    made = training_set(frame, [*FEATURES, "over_mean:over"], project=project)
    pd.testing.assert_frame_equal(frame, before)
    got = made.to_pandas()
    pd.testing.assert_frame_equal(got[frame.columns.tolist()], frame)
    assert [None if pd.isna(value) else value for value in got["mean"]] == [31.0, None, 10.0]
    assert [None if pd.isna(value) else value for value in got["over"]] == [-30.0, None, -9.0]
    assert (made.manifest.asked, made.manifest.rows, made.manifest.left_out) == (3, 3, {})
    assert names(project) == []


def test_a_service_is_asked_for_by_its_name(project: Project) -> None:
    made = training_set(ask([3]), "everything", project=project, full_feature_names=True)
    assert made.rows.column_names[-3:] == ["carrier_delay__mean", "carrier_delay__count", "route_load__flights"]
    assert made.rows.column("route_load__flights").to_pylist() == [5]
    assert made.manifest.features == ("everything",)


def test_a_label_of_the_entity_rows_is_known_when_its_horizon_has_passed(project: Project) -> None:
    frame = ask([1, 2, 2 + 1 / 86_400_000_000, 3, None])
    made = training_set(frame, FEATURES, label="late", horizon=2 * DAY, now=day(4), project=project)
    assert made.rows.column("late").to_pylist() == [0, 1]
    assert made.manifest.left_out == {"label not known yet": 2, "no time": 1}
    assert (made.manifest.asked, made.manifest.rows) == (5, 2)
    assert made.manifest.label is not None
    assert made.manifest.label.known_because == "the clock"
    at_once = training_set(frame, FEATURES, label="late", horizon=timedelta(0), now=day(2), project=project)
    assert at_once.rows.column("late").to_pylist() == [0, 1]


carriers = st.sampled_from(["AA", "UA", None])
rows = st.tuples(carriers, st.one_of(st.none(), st.integers(0, 8)), st.sampled_from([1.0, 2.0, None]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(rows, min_size=1, max_size=10),
    st.lists(st.tuples(carriers, st.integers(0, 8)), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(0, 9),
)
def test_a_label_of_a_table_is_its_newest_value_at_the_horizon(
    project: Project, table: list[Any], asked: list[Any], horizon: int, now: int
) -> None:
    write(project, "gold.carrier_delay", delays([(key, at, at, mean, 1) for key, at, mean in table]))
    frame = pa.table(
        {
            "carrier": pa.array([key for key, _ in asked], pa.string()),
            "origin": pa.array([1] * len(asked), pa.int64()),
            "event_timestamp": pa.array([day(at) for _, at in asked], pa.timestamp("us", "UTC")),
        }
    )
    label = "gold.carrier_delay.mean"
    made = training_set(
        frame, ["route_load:flights"], label=label, horizon=horizon * DAY, now=day(now), project=project
    )
    newest = max((at for _, at, _ in table if at is not None), default=-999)
    known = [(key, at + horizon) for key, at in asked if at + horizon <= min(now, newest)]

    def seen(key: str | None, end: int) -> float | None:
        fits = [row for row in table if None not in (key, row[1]) and row[0] == key and row[1] <= end]
        best = max(fits, key=lambda row: (row[1], row[2] is not None, row[2] or 0), default=None)
        return None if best is None else best[2]

    assert made.rows.column("mean").to_pylist() == [seen(*one) for one in known]
    assert sum(made.manifest.left_out.values()) == len(asked) - len(known)
    assert made.manifest.label is not None
    assert made.manifest.label.missing == sum(seen(*one) is None for one in known)


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


def test_a_table_that_moves_while_it_is_read_does_not_matter(project: Project) -> None:
    wanted = training_set(ask([3, 1]), FEATURES, project=project).rows
    versions = []

    def move(stage: str) -> None:
        write(project, "gold.carrier_delay", delays([]))
        versions.append(DeltaTable(str(project.path("gold.carrier_delay"))).version())

    made = training_set(ask([3, 1]), FEATURES, project=project, listen=move)
    assert made.rows.equals(wanted)
    assert {table.version for table in made.manifest.tables if table.table == "gold.carrier_delay"} == {versions[0] - 1}


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


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"features": "carier_delay"}, UsageError, "no view or service 'carier_delay'\n.*'carrier_delay'"),
        ({"features": ["carrier_delay:maen"]}, UsageError, "'carrier_delay' has no feature 'maen'\n.*'mean'"),
        ({"features": []}, UsageError, "no features were asked for"),
        ({"label": "late"}, UsageError, "a label needs a horizon"),
        ({"horizon": DAY}, UsageError, "a label needs a horizon"),
        ({"label": "laet", "horizon": DAY}, UsageError, "'laet' is no column.*\n.*'late'"),
        ({"label": "late", "horizon": -DAY}, UsageError, "can't be known before"),
        ({"label": "gold.carier_delay.mean", "horizon": DAY}, UsageError, "no table 'gold.carier_delay'"),
        ({"label": "gold.carrier_delay.men", "horizon": DAY}, DefinitionError, "no column 'men'.*\n.*'mean'"),
        ({"label": "late", "horizon": DAY, "label_at": "x"}, UsageError, "so it has no 'x'"),
        ({"entities": None}, UsageError, "a start is needed"),
        ({"start": START}, UsageError, "can't both be given"),
        ({"entities": 3}, DefinitionError, "can't be of type int"),
        ({"features": "over_mean", "entities": ask([3]).drop(columns="minutes")}, UsageError, "can't be computed"),
    ],
)
def test_mistakes_are_errors_in_words(
    project: Project, words: dict[str, Any], error: type[Exception], message: str
) -> None:
    asked: dict[str, Any] = {"entities": ask([3]), "features": FEATURES, **words}
    with pytest.raises(error, match=message):
        training_set(asked.pop("entities"), asked.pop("features"), **asked, project=project)


def test_names_and_sets_that_are_not_there(project: Project) -> None:
    made = training_set(ask([3]), FEATURES, project=project)
    with pytest.raises(UsageError, match="can't be the name"):
        made.keep("../elsewhere")
    made.keep("kept")
    with pytest.raises(UsageError, match="no training set 'kpet'\n.*'kept'"):
        verify(project, "kpet")
    with pytest.raises(UsageError, match="no training set 'kpet'\n.*'kept'"):
        forget(project, "kpet")
