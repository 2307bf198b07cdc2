"""Every error that the engine raises on purpose, and the exit code of each.

LakehouseError                      1  failed
├── ConfigError                     2  conf/ has a mistake
├── DefinitionError                 2  a table, an expectation or a feature view has a mistake
├── UsageError                      2  a command was called with words that it does not know
├── SetupError                      2  the machine lacks something: Java, the jars, an extra
├── GateError                       3  an expectation with on_fail="fail" stopped a table
├── PartialError                    4  some tables done, some not
├── SourceUnavailableError          5  a source does not answer or is not there; try again
├── OnlineStoreError                5  the online store does not answer, or refuses; try again
├── LockedError                     6  another run holds the lock
├── SourceChangedError              1  what landed once has changed at the source
├── ContractError                   1  a source's columns are not those that bronze has
├── ConservationError               1  a count of law 1 does not add up: nothing was committed
├── NotBuiltError                   1  a table is read before it was built
└── StorageError                    1  a folder or table can't be read or written
    ├── ConflictError               1  somebody else wrote to the table meanwhile: run again
    └── VersionGoneError            1  a version of a table that is needed can't be read any more
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

FULL_DISK = "No space left on device"
"""What the system says of it, whoever repeats it."""
WHERE = "Run it again with --debug to see where it happened."
"""The hint of an error that nobody expected; left out where --debug was said."""


class LakehouseError(Exception):
    """What happened and where; ``hint`` says what to do next. A user sees both, never a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


def java_was_killed(where: str = "") -> LakehouseError:
    """What is said of a JVM that ended under a run."""
    return LakehouseError(
        f"{where}: Spark's JVM was killed" if where else "Spark's JVM was killed",
        hint="Was the machine short of memory? See 'lakehouse doctor', and spark.memory in conf/; then run again: "
        "nothing was lost.",
    )


class ConfigError(LakehouseError):
    exit_code = 2


class DefinitionError(LakehouseError):
    exit_code = 2


class UsageError(LakehouseError):
    exit_code = 2


class SetupError(LakehouseError):
    exit_code = 2


class GateError(LakehouseError):
    exit_code = 3


class PartialError(LakehouseError):
    exit_code = 4


class SourceUnavailableError(LakehouseError):
    exit_code = 5


class OnlineStoreError(LakehouseError):
    exit_code = 5


class LockedError(LakehouseError):
    exit_code = 6


class SourceChangedError(LakehouseError):
    pass


class ContractError(LakehouseError):
    pass


class ConservationError(LakehouseError):
    pass


class NotBuiltError(LakehouseError):
    pass


class StorageError(LakehouseError):
    pass


class ConflictError(StorageError):
    pass


class VersionGoneError(StorageError):
    pass


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint that offers the nearest known name, or lists all of them when none is near.

    >>> did_you_mean("bronze.flihgts", ["bronze.flights", "bronze.planes"])
    "Did you mean 'bronze.flights'?"
    """
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Known: {', '.join(names)}." if names else "There are none yet."
