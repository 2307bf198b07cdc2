"""A RESTORE by hand is noticed whatever maintenance did after it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from lakehouse.delta import TableState, read_state

OURS = CommitProperties(custom_metadata={"userMetadata": "lakehouse batch 1"})
UPKEEP = CommitProperties(custom_metadata={"userMetadata": "lakehouse maintenance: 2 small files"})


def state(path: Path) -> TableState:
    found = read_state(path)
    assert found is not None
    return found


def test_what_is_compacted_after_a_restore_is_restored(tmp_path: Path) -> None:
    for number in range(3):
        write_deltalake(tmp_path, pa.table({"n": [number]}), mode="append", commit_properties=OURS)
    assert not state(tmp_path).restored
    DeltaTable(tmp_path).restore(1)
    assert state(tmp_path).restored
    DeltaTable(tmp_path).optimize.compact(commit_properties=UPKEEP)
    assert state(tmp_path).version == 4 and state(tmp_path).restored
    write_deltalake(tmp_path, pa.table({"n": [9]}), mode="append", commit_properties=OURS)
    assert not state(tmp_path).restored, "a commit of ours came after it"
