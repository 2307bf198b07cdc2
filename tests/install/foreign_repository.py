"""A Feast repository outside of this project, with Delta tables that deltalake wrote, used from first to last.

Usage: foreign_repository.py REPOSITORY…, each of which holds feature_store.yaml and definitions.py; the tables come to
stand beside it. What training and serving must say is worked out here in plain Python, from the rows as they are
written.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
TTL = 24 * HOUR
SAID = "trained, published, corrected and looked up, without Spark"


@dataclass(frozen=True)
class Trip:
    """A row of the table: the key has two parts, and of rows of one time the one that was made later counts."""

    driver: str
    car: int
    at: datetime
    made: datetime
    trips: int | None


ADA, BOB, OLD, SOON = ("ada", 1), ("bob", 11), ("cy", 3), ("dan", 4)
FIRST = [
    Trip(*ADA, NOW - 5 * HOUR, NOW - 5 * HOUR, 1),
    Trip(*ADA, NOW - 2 * HOUR, NOW - 2 * HOUR, 2),
    Trip(*ADA, NOW - 2 * HOUR, NOW - HOUR, 3),
    Trip(*BOB, NOW - 3 * HOUR, NOW - 3 * HOUR, None),
    Trip("bob", 1, NOW - 3 * HOUR, NOW - 3 * HOUR, 77),
    Trip(*OLD, NOW - 2 * TTL, NOW - 2 * TTL, 9),
    Trip(*SOON, NOW - HOUR, NOW - HOUR, 5),
    Trip(*SOON, NOW + 99 * HOUR, NOW - HOUR, 6),
]


def seen(rows: Iterable[Trip], key: tuple[str, int], at: datetime) -> Trip | None:
    """The row that a reader sees at a moment: the newest up to it, unless that is older than the ttl."""
    due = [row for row in rows if (row.driver, row.car) == key and row.at <= at]
    newest = max(due, key=lambda row: (row.at, row.made), default=None)
    return newest if newest is None or newest.at >= at - TTL else None


def main(repository: Path) -> None:
    assert all(map(_refused, ("pyspark", "delta", "py4j"))), "Spark can be imported here: this would prove nothing"
    from deltalake import DeltaTable, write_deltalake
    from feast import FeatureStore

    table = repository.parent / "trips"
    write_deltalake(table, _arrow(FIRST), configuration={"delta.enableChangeDataFeed": "true"})
    feast(repository, "apply")
    store = FeatureStore(repo_path=str(repository))
    check_training(store, FIRST)

    feast(repository, "materialize-incremental", f"{NOW - 50 * TTL:%Y-%m-%dT%H:%M:%S}")  # dates choose nothing
    check_serving(store, FIRST)
    leave_as_if_killed(store)
    check_serving(store, FIRST)

    DeltaTable(table).delete("driver = 'dan'")
    corrected = replace(FIRST[4], made=NOW, trips=78)
    late = Trip(*BOB, NOW - 2 * HOUR, NOW, 7)
    write_deltalake(table, _arrow([corrected, late]), mode="append")
    second = [row for row in FIRST if row.driver != "dan"] + [corrected, late]
    check_training(store, second)
    feast(repository, "materialize", f"{NOW - TTL:%Y-%m-%dT%H:%M:%S}", f"{NOW:%Y-%m-%dT%H:%M:%S}")
    check_serving(store, second)
    assert not {name.partition(".")[0] for name in sys.modules} & {"pyspark", "delta", "py4j"}
    print(SAID)


def leave_as_if_killed(store: Any) -> None:
    """What the registry says of a view while it is published, and after its publisher was killed."""
    from feast.feature_view import FeatureViewState

    view = store.get_feature_view("trips")
    view.state = FeatureViewState.MATERIALIZING
    store.registry.apply_feature_view(view, store.project, commit=True)
    store.refresh_registry()


def check_training(store: Any, rows: list[Trip]) -> None:
    import pandas as pd

    keys = [ADA, BOB, OLD, SOON, ("bob", 1), ("eve", 1), ("ada", 11)]
    asked = [(key, NOW - hours * HOUR) for key in keys for hours in (0, 1, 2, 3, 5, 6, 30, 48, 73)]
    frame = pd.DataFrame({"driver": [key[0] for key, _ in asked], "car": [key[1] for key, _ in asked]})
    frame["event_timestamp"] = [at for _, at in asked]
    given = store.get_historical_features(entity_df=frame, features=["trips:trips"]).to_df()
    assert list(zip(given["driver"], given["car"], strict=True)) == [key for key, _ in asked], given
    wanted = [None if (row := seen(rows, key, at)) is None else row.trips for key, at in asked]
    assert [None if pd.isna(value) else value for value in given["trips"]] == wanted, given
    assert len(set(wanted)) > 3


def check_serving(store: Any, rows: list[Trip]) -> None:
    keys = [ADA, BOB, OLD, SOON, ("bob", 1), ("eve", 1), ("ada", 11)]
    asked = [{"driver": driver, "car": car} for driver, car in keys]
    response = store.get_online_features(features=["trips:trips"], entity_rows=asked)
    wanted = [None if (row := seen(rows, key, NOW)) is None else row.trips for key in keys]
    assert response.to_dict()["trips"] == wanted, (response.to_dict(), wanted)
    statuses = response.proto.results[-1].statuses
    known = {(row.driver, row.car) for row in rows}
    names = ["NOT_FOUND" if key not in known else "PRESENT" if seen(rows, key, NOW) else "TOO_OLD" for key in keys]
    assert [{1: "PRESENT", 3: "NOT_FOUND", 4: "TOO_OLD"}.get(one, one) for one in statuses] == names, statuses


def feast(repository: Path, *words: str) -> None:
    """Feast's own command line, in this process."""
    from click.testing import CliRunner
    from feast.cli.cli import cli

    done = CliRunner().invoke(cli, ["-c", str(repository), *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def _arrow(rows: list[Trip]) -> Any:
    import pyarrow as pa

    time = pa.timestamp("us", "UTC")
    fields = [("driver", pa.string()), ("car", pa.int64()), ("at", time), ("made", time), ("trips", pa.int64())]
    return pa.Table.from_pylist([asdict(row) for row in rows], pa.schema(fields))


def _refused(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False


if __name__ == "__main__":
    for word in sys.argv[1:]:
        main(Path(word))
