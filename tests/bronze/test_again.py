"""Which rejects may land together: all that a replay accepts fit the contract as one batch, each at its own place."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.bronze.again import DOUBLED, refused
from lakehouse.bronze.contract import check_columns
from lakehouse.bronze.receipts import Receipts
from lakehouse.config import FilesSource
from lakehouse.tables.batch import Batch, Part, Reject
from lakehouse.tables.quarantine import Again

NONE = Receipts(None, {})
COLUMNS = st.lists(st.sampled_from("abcdA"), unique_by=str.casefold, max_size=4)
ONES = st.tuples(st.sampled_from("fg"), st.integers(0, 3), st.booleans(), COLUMNS)


def source(**said: Any) -> FilesSource:
    return FilesSource(type="files", format="json", path="*", **said)


def judged(files: FilesSource, rejects: list[tuple[str, int, bool, Any]], *, parts: bool = True) -> list[str]:
    sound = [
        Again(Reject(file, 0 if whole and parts else at, 0 if whole else 1 + at, b"", ""), ())
        for file, at, whole, _ in rejects
    ]
    told = tuple(Part(file, tuple(columns)) for file, _, _, columns in rejects) if parts else ()
    batch = Batch(cursor={}, took="", read=lambda _: None, records=len(sound), parts=told)  # type: ignore[arg-type,return-value]
    return refused("s", files, NONE, batch, sound)


@given(
    rejects=st.lists(ONES, max_size=8),
    new=st.sampled_from(["evolve", "rescue", "reject"]),
    lost=st.sampled_from(["null", "reject"]),
    declared=st.booleans(),
)
def test_what_is_accepted_lands_together(
    rejects: list[tuple[str, int, bool, Any]], new: str, lost: str, declared: bool
) -> None:
    files = source(new_columns=new, lost_columns=lost, columns={"a": "int"} if declared else {})
    reasons = judged(files, rejects)
    accepted = [one for one, why in zip(rejects, reasons, strict=True) if not why]
    check_columns("s", files, NONE, [Part(file, tuple(columns)) for file, _, _, columns in accepted])
    for file in "fg":
        stand = [-1 if whole else at for name, at, whole, _ in accepted if name == file]
        assert len(stand) == len(set(stand))
        assert -1 not in stand or len(stand) == 1
    # Nothing is left open without need: the first that may land by itself does.
    alone = [not judged(files, [one])[0] for one in rejects]
    assert any(alone) == bool(accepted)


def test_rejects_of_no_file_are_told_apart_by_their_place() -> None:
    topic = [("t/0", 4, True, ()), ("t/0", 5, True, ()), ("t/0", 4, True, ())]
    assert judged(source(), topic, parts=False) == ["", "", DOUBLED]
    whole = [("f", 0, True, ("a",)), ("f", 7, False, ("a",)), ("g", 7, False, ("a",))]
    assert judged(source(), whole) == ["", DOUBLED, ""]
