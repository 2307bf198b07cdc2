"""What a table is: a frozen value that knows its inputs, key and rules, and can still be called with frames."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lakehouse.errors import DefinitionError
from lakehouse.quality import Expectation, expression
from lakehouse.quality.condition import parse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakehouse.kernels.aggregations import Aggregations

Lateness: TypeAlias = "timedelta | int | float"
"""How far behind a sequence may be: of a time or a date a timedelta, of a number a number."""
Beside = Literal["fold", "versions", "receipts"]
Layer = Literal["bronze", "silver", "gold"]
LAYERS: tuple[Layer, ...] = ("bronze", "silver", "gold")
MOST_CLUSTERED = 4
"""By so many columns Delta clusters at most."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Capture:
    """How change events make the rows of a silver table. The words are those of Lakeflow's AUTO CDC."""

    apply_as_deletes: str = ""
    """A SQL condition: the event deletes the row of its key."""
    apply_as_truncates: str = ""
    """A SQL condition: the event deletes every row."""
    ignore_null_updates: bool = False
    """A null leaves the value that was there."""
    except_column_list: tuple[str, ...] = ()
    """Columns of the events that the table does not have."""
    late_by: Lateness | None = None
    """An event this far behind the newest of the batches before it is quarantined; None: never."""
    keep_versions: bool = False
    """Rows that were replaced or deleted are kept, with the time from which and until which they were known."""

    @property
    def conditions(self) -> tuple[Expectation, ...]:
        """What is asked of an event, as rules over its columns."""
        return tuple(expression(sql) for sql in (self.apply_as_deletes, self.apply_as_truncates) if sql)


@dataclass(frozen=True)
class By:
    """A refresh by the values of a column: just those that changed in an input are computed again."""

    column: str
    """The table has it, and so have its inputs, under the same name and with the same type."""
    days_of: str = ""
    """Where it is named, the inputs have this column instead, a time; what counts are days in UTC, and a row of the
    table has a time of the day that it depends on."""

    @property
    def asked(self) -> str:
        """The column of the inputs."""
        return self.days_of or self.column


@dataclass(frozen=True)
class Table:
    """A declared silver or gold table. Nothing is read or written by declaring it.

    Calling it calls the function that it was made of, so a test of a table is a function call:
    ``silver.flights(bronze_rows)`` returns the frame that the function returns.
    """

    layer: Layer
    name: str
    """The function's name; with the layer it is the address, such as ``silver.flights``."""
    function: Callable[..., DataFrame]
    inputs: tuple[str, ...]
    """Addresses of the tables that the function receives, in the order of its parameters."""
    key: tuple[str, ...]
    expect: tuple[Expectation, ...] = ()
    sequence_by: str | None = None
    """Silver: the column that orders two rows of one key. None: the order in which they landed."""
    capture: Capture = Capture()
    at: str | None = None
    """Gold: the column that holds a row's event time (when its values were known), in UTC."""
    refresh: Literal["all"] | By = "all"
    """Gold: what is computed again when an input changed."""
    lookback: timedelta | None = None
    """Gold, with ``By``: how far back of its own value of the column a row depends on its inputs."""
    windows: Aggregations | None = None
    """Gold, of ``gold.windows``: the features that its rows, tiles, are for."""
    cluster_by: tuple[str, ...] = ()
    """Columns by whose values maintenance puts the rows of a large table together; none: by its key."""
    tags: tuple[str, ...] = ()
    doc: str = ""
    module: str = ""
    file: Path = field(default=Path(), compare=False)
    line: int = field(default=0, compare=False)

    @property
    def address(self) -> str:
        return f"{self.layer}.{self.name}"

    @property
    def beside(self) -> tuple[Beside, ...]:
        """What a silver table keeps beside its rows and can't be right without."""
        capture = self.capture
        forgets = capture.apply_as_deletes or capture.apply_as_truncates or capture.ignore_null_updates
        needed: dict[Beside, bool] = {
            "fold": bool(self.sequence_by and forgets),
            "versions": capture.keep_versions,
            "receipts": capture.late_by is not None,
        }
        return tuple(what for what, wanted in needed.items() if wanted)

    @property
    def ordering(self) -> dict[str, str]:
        """How events make a silver table's rows, in words: just the settings that were given."""
        given = {"sequence_by": self.sequence_by} if self.sequence_by else {}
        for part in fields(self.capture):
            value = getattr(self.capture, part.name)
            if value != part.default:
                given[part.name] = ", ".join(value) if isinstance(value, tuple) else str(value)
        return given

    def __call__(self, *frames: DataFrame, **named: DataFrame) -> DataFrame:
        return self.function(*frames, **named)


def declare(
    layer: Layer,
    function: Callable[..., Any],
    *,
    key: Sequence[str],
    expect: Sequence[Expectation] = (),
    sequence_by: str | None = None,
    capture: Capture | None = None,
    at: str | None = None,
    refresh: Literal["all"] | By = "all",
    lookback: timedelta | None = None,
    cluster_by: str | Sequence[str] = (),
    tags: Sequence[str] = (),
) -> Table:
    """Make a :class:`Table` of a function; each parameter's name is the address of a table it receives.

    Raises DefinitionError for a name or a parameter that is no address, and for a key that is empty or doubled.
    """
    name = getattr(function, "__name__", "")
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{layer}.table: '{name or function}' can't name a table",
            hint="Decorate a function whose name is lower-case letters, digits and _, such as 'flights'.",
        )
    where = f"{layer}.{name}"
    keys = (key,) if isinstance(key, str) else tuple(key)
    if not keys or len(set(keys)) != len(keys):
        raise DefinitionError(f"{where}: key={list(keys)!r} must name one or more different columns")
    if isinstance(expect, Expectation) or isinstance(tags, str):
        word = "expect" if isinstance(expect, Expectation) else "tags"
        raise DefinitionError(f"{where}: {word}= takes a list", hint=f"Write {word}=[…].")
    clustered = (cluster_by,) if isinstance(cluster_by, str) else tuple(cluster_by)
    if len(clustered) > MOST_CLUSTERED or len(set(clustered)) != len(clustered) or "" in clustered:
        raise DefinitionError(
            f"{where}: cluster_by={list(clustered)!r} must name up to {MOST_CLUSTERED} different columns"
        )
    innermost = inspect.unwrap(function)
    while isinstance(innermost, partial):
        innermost = innermost.func
    code = innermost.__code__
    return Table(
        layer=layer,
        name=name,
        function=function,
        inputs=tuple(_address(where, name) for name in inspect.signature(function).parameters),
        key=keys,
        expect=tuple(expect),
        sequence_by=sequence_by,
        capture=_checked(where, capture or Capture(), sequence_by, keys),
        at=at,
        refresh=refresh,
        lookback=lookback,
        cluster_by=clustered,
        tags=tuple(tags),
        doc=inspect.getdoc(function) or "",
        module=function.__module__,
        file=Path(code.co_filename),
        line=code.co_firstlineno,
    )


def _checked(where: str, capture: Capture, sequence_by: str | None, key: Sequence[str]) -> Capture:
    """Raises DefinitionError for a condition that can't be read, and for settings that don't go together."""
    for word in ("apply_as_deletes", "apply_as_truncates"):
        condition = getattr(capture, word)
        if not isinstance(condition, str):
            raise DefinitionError(f"{where}: {word}= takes a SQL condition", hint=f"Such as {word}=\"op = 'D'\".")
        if condition:
            try:
                parse(condition)
            except DefinitionError as error:
                raise DefinitionError(f"{where}: {word}: {error.message}", hint=error.hint) from error
    if isinstance(capture.except_column_list, str):  # type: ignore[unreachable]
        raise DefinitionError(f"{where}: except_column_list= takes a list", hint="Write except_column_list=[…].")
    for name in capture.except_column_list:
        if name in key or name == sequence_by:
            what = "its key" if name in key else "sequence_by"
            raise DefinitionError(f"{where}: except_column_list has '{name}', which is {what}: the table needs it")
    late_by = capture.late_by
    if late_by is not None:
        if isinstance(late_by, bool) or not isinstance(late_by, timedelta | int | float) or _negative(late_by):
            raise DefinitionError(
                f"{where}: late_by={late_by!r} is no length of time and no number",
                hint="Write late_by=timedelta(days=3), or a number where sequence_by is a number.",
            )
        if sequence_by is None:
            raise DefinitionError(
                f"{where}: late_by needs sequence_by", hint="Without it the later landed wins: nothing is late."
            )
    return capture


def _negative(late_by: Lateness) -> bool:
    return late_by < timedelta(0) if isinstance(late_by, timedelta) else not late_by >= 0  # NaN is neither


def _address(where: str, parameter: str) -> str:
    layer, _, name = parameter.partition("_")
    if layer not in LAYERS or not name:
        raise DefinitionError(
            f"{where}: its parameter '{parameter}' is not the address of a table",
            hint="Name it after the table that it receives: 'bronze_flights' is bronze.flights.",
        )
    return f"{layer}.{name}"
