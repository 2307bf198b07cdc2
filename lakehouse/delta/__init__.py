"""Write Delta tables: create, append, merge by key, write as a difference; idempotency, and the lock of a table."""

from lakehouse.delta.commit import (
    Commit,
    append,
    ask_for_rebuild,
    begin_epoch,
    create,
    in_ranges,
    overwrite,
    set_properties,
)
from lakehouse.delta.difference import apply_changes, replace_by_difference
from lakehouse.delta.draft import Draft
from lakehouse.delta.lock import locked
from lakehouse.delta.reading import doubles, has_columns_of, held, is_plain, read_table
from lakehouse.delta.remembering import remember, remember_notes, remember_stop
from lakehouse.delta.state import Look, TableState, read_state

__all__ = [
    "Commit",
    "Draft",
    "Look",
    "TableState",
    "append",
    "apply_changes",
    "ask_for_rebuild",
    "begin_epoch",
    "create",
    "doubles",
    "has_columns_of",
    "held",
    "in_ranges",
    "is_plain",
    "locked",
    "overwrite",
    "read_state",
    "read_table",
    "remember",
    "remember_notes",
    "remember_stop",
    "replace_by_difference",
    "set_properties",
]
