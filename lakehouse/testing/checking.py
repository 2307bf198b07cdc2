"""Whether a definition's window features are the same wherever they are computed, on hostile streams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lakehouse.errors import DefinitionError

if TYPE_CHECKING:
    from lakehouse.tables import Table
    from lakehouse.testing.columns import Columns


def check_windows(definition: Table, *, schema: Columns, seeds: Iterable[int] = range(3)) -> None:
    """Raise AssertionError where training, tiles, the online store and plain Python differ about a feature.

    ``definition`` is a table of ``gold.windows``; ``schema`` says the types of its events' columns: by name ("string",
    "double", "timestamp", a type of Arrow), as a schema, as rows (whose values are tried too) or as the folder of a
    Delta table. For each seed a stream of events is made, the same each time. The message names the seed, the key,
    the moment and the feature, what each side gave, and the fewest events that were found to show it.

    Raises DefinitionError for another kind of table and for columns that the definition can't be computed of.
    """
    told = getattr(definition, "windows", None)
    if told is None:
        named = getattr(definition, "address", repr(definition))
        hint = "Pass the variable that gold.windows(…) is assigned to."
        raise DefinitionError(f"{named} is no table of window features", hint=hint)
    from lakehouse.testing.columns import columns_of
    from lakehouse.testing.differences import first_difference, message
    from lakehouse.testing.streams import hostile_stream

    known = columns_of(told, schema)
    for seed in seeds:
        stream = hostile_stream(told, known, seed)
        found = first_difference(told, stream)
        if found is not None:
            raise AssertionError(message(f"{definition.address}, seed {seed}", told, stream, found))
