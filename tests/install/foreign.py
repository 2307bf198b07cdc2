"""A Feast repository of somebody who takes nothing from us but the plug-in, used from first to last.

Usage: foreign.py REPOSITORY. It holds feature_store.yaml and definitions.py; the Delta table stands beside it.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

warnings.simplefilter("ignore")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def refused(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False


def write_table(folder: Path) -> None:
    import pyarrow as pa
    from deltalake import DeltaTable, write_deltalake

    rows = {
        "driver": ["ada", "ada", "bob", "cy"],
        "at": pa.array([NOON, NOON + HOUR, NOON, NOON], pa.timestamp("us", "UTC")),
        "trips": pa.array([1, 2, 7, 9], pa.int64()),
    }
    write_deltalake(folder, pa.table(rows))
    DeltaTable(folder).delete("driver = 'cy'")


def main(repository: Path) -> None:
    assert all(map(refused, ("pyspark", "delta", "py4j"))), "Spark can be imported here: this would prove nothing"
    import pandas as pd
    from feast import FeatureStore
    from feast.repo_operations import apply_total

    write_table(repository.parent / "trips")
    sys.path.insert(0, str(repository))  # as Feast's own command line does
    store = FeatureStore(repo_path=str(repository))
    apply_total(store.config, repository, skip_source_validation=False)
    store = FeatureStore(repo_path=str(repository))
    store.materialize(NOON - HOUR, NOON + 2 * HOUR)
    asked = [{"driver": name} for name in ("ada", "bob", "cy", "eve")]
    online = store.get_online_features(features=["trips:trips"], entity_rows=asked).to_dict()
    assert online["trips"] == [2, 7, None, None], online  # a deleted row is not served

    times = [NOON + HOUR / 2, NOON + HOUR, NOON - HOUR, NOON + 25 * HOUR]
    entities = pd.DataFrame({"driver": ["ada", "ada", "bob", "bob"], "event_timestamp": times})
    training = store.get_historical_features(entity_df=entities, features=["trips:trips"]).to_df()
    assert training["driver"].tolist() == ["ada", "ada", "bob", "bob"], training
    assert [None if pd.isna(trips) else trips for trips in training["trips"]] == [1, 2, None, None], training
    assert not {name.partition(".")[0] for name in sys.modules} & {"pyspark", "delta", "py4j"}
    print("looked up online and joined in time, without Spark")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
