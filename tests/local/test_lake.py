"""Reading tables without a JVM."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.errors import NotBuiltError, StorageError, UsageError
from lakehouse.local import Lake, open_lake


def test_what_is_built_is_listed_with_its_facts(lake: Lake) -> None:
    assert lake.addresses() == ["bronze.delays", "gold.carriers"]
    bronze, gold = lake.tables()
    assert (bronze.rows, bronze.version) == (2, 0)
    assert list(bronze.columns) == ["carrier", "delay", "_file", "_row", "_batch", "_ingested_at"]
    assert (gold.rows, gold.version) == (1, 1)
    assert gold.columns == {"carrier": "string", "n": "long", "seen": "timestamp"}
    assert gold.bytes > 0
    assert gold.changed.tzinfo is UTC
    assert gold.changed <= datetime.now(UTC)


def test_bronze_shows_records_only(lake: Lake, landed: datetime) -> None:
    rows = lake.arrow("bronze.delays").to_pylist()
    assert rows == [
        {"carrier": "AA", "delay": "12", "_file": "delays.csv", "_row": 1, "_batch": 0, "_ingested_at": landed},
        {"carrier": "UA", "delay": "NA", "_file": "delays.csv", "_row": 2, "_batch": 0, "_ingested_at": landed},
    ]


def test_columns_and_versions_are_chosen(lake: Lake) -> None:
    assert lake.arrow("gold.carriers", columns=["n"]).to_pydict() == {"n": [1]}
    assert lake.arrow("gold.carriers", columns=["n"], version=0).to_pydict() == {"n": [1, 2]}
    assert lake.arrow("gold.carriers", columns=[]).num_rows == 1


def test_wrong_columns_and_versions_say_what_there_is(lake: Lake) -> None:
    with pytest.raises(UsageError, match="no column 'carier'") as caught:
        lake.arrow("gold.carriers", columns=["carier"])
    assert caught.value.hint == "Did you mean 'carrier'?"
    with pytest.raises(UsageError, match="no column '_kind'"):
        lake.arrow("bronze.delays", columns=["_kind"])
    with pytest.raises(UsageError, match="no version 7") as caught:
        lake.arrow("gold.carriers", version=7)
    assert caught.value.hint == "Its newest version is 1."


def test_a_table_that_is_not_built_names_the_command(lake: Lake) -> None:
    with pytest.raises(NotBuiltError) as caught:
        lake.arrow("bronze.planes")
    assert caught.value.hint == "Run: lakehouse ingest --select bronze.planes"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bronze.delay", "Did you mean 'bronze.delays'?"),
        ("gold.cariers", "Did you mean 'gold.carriers'?"),
        ("carriers", "Did you mean 'gold.carriers'?"),
        ("gold./etc", "Known: bronze.delays, bronze.planes, gold.carriers."),
    ],
)
def test_an_unknown_name_offers_the_nearest(lake: Lake, name: str, hint: str) -> None:
    with pytest.raises(UsageError, match="there is no table") as caught:
        lake.arrow(name)
    assert caught.value.hint == hint


def test_a_log_that_is_torn_is_a_storage_error(project: Path, lake: Lake) -> None:
    log = project / "lake" / "gold" / "carriers" / "_delta_log"
    for entry in log.glob("*.json"):
        entry.write_text('{"add": ')
    with pytest.raises(StorageError, match=r"gold\.carriers can't be read"):
        lake.arrow("gold.carriers")


def test_pandas(lake: Lake, landed: datetime) -> None:
    frame = lake.pandas("gold.carriers")
    assert frame.to_dict("records") == [{"carrier": "AA", "n": 1, "seen": landed}]
    assert str(frame["seen"].dt.tz) == "UTC"


def test_receipts_are_read_in_order(
    project: Path, lake: Lake, landed: datetime, write_bronze: Callable[[Path, int], None]
) -> None:
    write_bronze(project, 1)
    first, second = lake.receipts("bronze.delays")
    assert (first["batch"], first["at"], first["read"], first["landed"]) == (0, landed, 3, 2)
    assert second["batch"] == 1
    assert lake.receipts("bronze.planes") == []


def test_rows_are_counted_where_files_have_no_statistics(project: Path, lake: Lake) -> None:
    log = project / "lake" / "gold" / "carriers" / "_delta_log"
    for entry in log.glob("*.json"):
        entry.write_text(entry.read_text().replace('"stats":', '"nothing":'))
    assert lake.snapshot("gold.carriers").rows == 1


def test_an_empty_project_has_no_tables(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yaml").write_text("{name: a, root: r, tables: tables, sources: {}}")
    assert open_lake(tmp_path).tables() == []


def test_arrow_types_are_plain(lake: Lake) -> None:
    schema = lake.arrow("bronze.delays").schema
    assert schema.field("carrier").type == pa.string()
    assert schema.field("_ingested_at").type == pa.timestamp("us", "UTC")
