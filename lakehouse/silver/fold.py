"""The fold: the rows that a table holds after change events, whatever their order and however they were cut.

Each event has a sequence and is an upsert, a delete or a truncate. What is known of a key is the greatest upsert and
the greatest delete, and, where nulls don't overwrite, for each column the greatest value that is not null; of the table
the greatest truncate. Taking the greater of two such states is commutative, associative and idempotent, and a row is
alive exactly while its upsert is above the deletes: so any permutation and any batching end in the same rows, and who
folds the same events twice changes nothing. (It is a map of last-writer-wins registers: Shapiro et al., "A
comprehensive study of convergent and commutative replicated data types", 2011.)

Everything here is a function of frames: no table is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from lakehouse.delta.commit import quoted
from lakehouse.delta.difference import CHANGE
from lakehouse.delta.reading import EXACT

KIND, SEQUENCE = "lakehouse_kind", "lakehouse_sequence"
UPSERT, DELETE, TRUNCATE = "upsert", "delete", "truncate"
TOUCHED = "lakehouse_touched"
"""Whether there is an event of the key."""
CUT = "lakehouse_cut"
"""The sequence of the greatest truncate: what is not above it is gone."""
DELETED, ORDERS = "lakehouse_deleted", "lakehouse_orders"
"""What has to be remembered of a key: the sequence of its delete, and those of its columns."""
ORDER, ROW, GONE_AT, FIELDS = "lakehouse_order", "lakehouse_row", "lakehouse_gone_at", "lakehouse_fields"
"""What events say of a key: the order of the greatest upsert (sequence ``s``, content ``c``), its row, the sequence of
the greatest delete, and for each column that is decided by itself its order ``o`` and value ``v``."""
MEMORY = "lakehouse_memory"
"""What is remembered of a key: the sequence of its delete, ``d``, and those of its columns, ``f``."""
OLD, LIVE, NEW_DELETE = "lakehouse_old", "lakehouse_live", "lakehouse_new_delete"
_CARRIED = ("bigint", "string", "bigint")
LOWEST = "struct(cast(null AS bigint) AS s0, cast(null AS string) AS s1, cast(null AS bigint) AS s2)"
"""The sequence of what landed before, in the order in which things landed."""
_PLAIN = ("tinyint", "smallint", "int", "bigint", "string", "boolean", "date", "timestamp", "timestamp_ntz", "binary")


@dataclass(frozen=True)
class Fold:
    """How the events of one table fold."""

    key: tuple[str, ...]
    types: dict[str, DataType]
    """The table's columns, the key among them."""
    sequence_by: str | None
    """The column that orders the events of a key; equal ones are decided by content, and a delete is above an upsert.
    None: they are in the order in which they landed, above all that the table has."""
    landed: tuple[str, ...] = ()
    """The columns that say so."""
    ignore_nulls: bool = False
    carried: tuple[str, ...] = ()
    """Columns of the events that go along with a row that is written."""
    scope: tuple[str, ...] = ()
    """Columns of the key within which a truncate counts; none: it empties the table."""

    @property
    def values(self) -> list[str]:
        """The columns beside the key."""
        return [name for name in self.types if name not in self.key]

    @property
    def merged(self) -> list[str]:
        """The columns that are decided one by one."""
        return [name for name in self.values if name != self.sequence_by] if self.ignore_nulls else []

    def sequence(self, side: str = "") -> Column:
        """A row's sequence as a struct, so that one that is null is not none."""
        names = (self.sequence_by,) if self.sequence_by else self.landed
        return F.struct(*(F.col(f"{side}{quoted(name)}").alias(f"s{i}") for i, name in enumerate(names)))

    def content(self, side: str = "") -> Column:
        """What two rows differ in exactly where they differ, as something that can be ordered."""
        return F.struct(*(self.comparable(name, side).alias(f"c{i}") for i, name in enumerate(self.values)))

    def comparable(self, name: str, side: str = "") -> Column:
        """The same of one column."""
        value, kind = F.col(f"{side}{quoted(name)}"), self.types[name].simpleString()
        if kind in _PLAIN or kind.startswith("decimal("):
            return value
        if kind in ("double", "float"):
            return value.cast("string")  # to SQL 0.0 and -0.0 are equal
        return F.to_json(F.struct(value.alias("v")), EXACT)


def folded(fold: Fold, events: DataFrame, by: Iterable[str] = (), *, single: bool = False) -> DataFrame:
    """What upserts and deletes say of each key (and of each value of ``by``).

    ``events`` has the table's columns, KIND and SEQUENCE. Returns the key with ORDER, ROW, GONE_AT and, where columns
    are decided one by one, FIELDS. ``single``: no key is there twice.
    """
    upsert = F.col(KIND) == UPSERT
    order = F.when(upsert, F.struct(F.col(SEQUENCE).alias("s"), fold.content().alias("c")))
    row = F.struct(*(F.col(quoted(name)) for name in (*fold.types, *fold.carried)))
    deleted = F.when(F.col(KIND) == DELETE, F.col(SEQUENCE))
    greatest = (lambda order: order) if single else F.max
    beside = (lambda value, order: F.when(order.isNotNull(), value)) if single else F.max_by
    found = [greatest(order).alias(ORDER), beside(row, order).alias(ROW), greatest(deleted).alias(GONE_AT)]
    fields = []
    for name in fold.merged:
        own = F.when(upsert, _field(fold, name, F.col(SEQUENCE)))
        parts = F.struct(greatest(own).alias("o"), beside(F.col(quoted(name)), own).alias("v"))
        fields.append(parts.alias(name))
    found += [F.struct(*fields).alias(FIELDS)] * bool(fields)
    names = [quoted(name) for name in dict.fromkeys([*fold.key, *by])]
    return events.select(*names, *found) if single else events.groupBy(*names).agg(*found)


def outcomes(
    fold: Fold,
    new: DataFrame,
    known: DataFrame,
    remembered: DataFrame | None = None,
    cut: DataFrame | None = None,
    *,
    everywhere: bool = False,
) -> DataFrame:
    """What the folded events ``new`` change in the rows ``known`` of the same keys.

    ``remembered`` has MEMORY for a key; ``cut`` is one row (for each value of the scope) with CUT. ``everywhere``: rows
    of other keys are looked at too, as a truncate needs. Returns the table's columns with CHANGE (inserted, updated,
    deleted or null), DELETED and ORDERS (what has to be remembered, or null) and TOUCHED; just keys with one of these.
    """
    keys = list(fold.key)
    whole = F.struct(*(F.col(quoted(name)) for name in fold.types)).alias(OLD)
    both = new.join(known.select(*map(quoted, keys), whole), keys, "full" if everywhere else "left")
    if remembered is not None:
        both = both.join(remembered, keys, "left")
    if cut is not None:
        both = both.join(F.broadcast(cut), list(fold.scope), "left") if fold.scope else both.crossJoin(F.broadcast(cut))
    touched = F.col(ORDER).isNotNull() | F.col(GONE_AT).isNotNull()
    both = both.withColumns({TOUCHED: touched, NEW_DELETE: F.col(GONE_AT), **_greater(fold, set(both.columns))})
    state = living(fold, both)
    there = F.col(OLD).isNotNull()
    change = (
        F.when(~there & F.col(LIVE), "inserted")
        .when(there & ~F.col(LIVE), "deleted")
        .when(there & F.col(LIVE) & ~fold.content().eqNullSafe(fold.content(f"{OLD}.")), "updated")
    )
    state = state.withColumns({CHANGE: change, **_to_remember(fold, remembered is not None)})
    told = reduce(Column.__or__, [F.col(name).isNotNull() for name in (CHANGE, DELETED, ORDERS)])
    columns = [*map(quoted, (*fold.types, *fold.carried)), CHANGE, DELETED, ORDERS, TOUCHED]
    return state.where(told).select(*columns)


def living(fold: Fold, state: DataFrame, also: Iterable[str] = ()) -> DataFrame:
    """The row that a state stands for: the table's columns, what is carried along, and LIVE, whether there is a row.

    ``state`` has the key, ORDER, ROW, GONE_AT (with truncates) and FIELDS. Other columns of ours stay, and ``also``.
    """
    live = F.col(f"{ORDER}.s").isNotNull() & _above(F.col(f"{ORDER}.s"))
    values = {name: F.col(f"{ROW}.{quoted(name)}") for name in (*fold.values, *fold.carried)}
    for name in fold.merged:
        own = f"{FIELDS}.{quoted(name)}"
        values[name] = F.when(_above(F.col(f"{own}.o.s")), F.col(f"{own}.v"))
    kept = [name for name in state.columns if name.startswith("lakehouse_") and name not in (ROW, *fold.carried)]
    return state.select(
        *(F.col(quoted(name)) for name in fold.key),
        *(value.alias(name) for name, value in values.items()),
        *(F.col(name) for name in (*kept, *also)),
        live.alias(LIVE),
    )


def state_of(fold: Fold, remembered: bool, side: str = f"{OLD}.") -> dict[str, Column]:
    """ORDER, ROW and FIELDS of the row that the table has in OLD."""
    there, sequence = F.col(OLD).isNotNull(), _known(fold)
    order = F.when(there, F.struct(sequence.alias("s"), fold.content(side).alias("c")))
    row = [F.col(f"{side}{quoted(name)}").alias(name) for name in fold.types]
    row += [F.lit(None).cast(_CARRIED[i]).alias(name) for i, name in enumerate(fold.carried)]
    found = {ORDER: order, ROW: F.when(there, F.struct(*row))}
    if not fold.merged:
        return found
    fields = []
    for name in fold.merged:
        own = F.coalesce(F.col(f"{MEMORY}.f.{quoted(name)}"), sequence) if remembered else sequence
        held = F.when(there, _field(fold, name, own, side))
        fields.append(F.struct(held.alias("o"), F.col(f"{side}{quoted(name)}").alias("v")).alias(name))
    return found | {FIELDS: F.struct(*fields)}


def _greater(fold: Fold, names: set[str]) -> dict[str, Column]:
    """The greater of what events say and what the table and its memory say, part by part."""
    old = state_of(fold, MEMORY in names)
    newer = F.col(ORDER).isNotNull() & (old[ORDER].isNull() | (F.col(ORDER) > old[ORDER]))
    gone = [F.col(name) for name in (GONE_AT, f"{MEMORY}.d", CUT) if name.partition(".")[0] in names]
    found = {
        ORDER: F.when(newer, F.col(ORDER)).otherwise(old[ORDER]),
        ROW: F.when(newer, F.col(ROW)).otherwise(old[ROW]),
        GONE_AT: F.greatest(*gone) if len(gone) > 1 else gone[0],
    }
    if not fold.merged:
        return found
    fields = []
    for name in fold.merged:
        own, known = F.col(f"{FIELDS}.{quoted(name)}"), old[FIELDS].getField(name)
        ahead = own.getField("o").isNotNull() & (
            known.getField("o").isNull() | (own.getField("o") > known.getField("o"))
        )
        fields.append(F.when(ahead, own).otherwise(known).alias(name))
    return found | {FIELDS: F.struct(*fields)}


def _known(fold: Fold) -> Column:
    """The sequence of a row that the table has; where events are in the order in which they landed it is below all."""
    return fold.sequence(f"{OLD}.") if fold.sequence_by else F.expr(LOWEST)


def _above(sequence: Column) -> Column:
    return F.col(GONE_AT).isNull() | (sequence > F.col(GONE_AT))


def _field(fold: Fold, name: str, sequence: Column, side: str = "") -> Column:
    """The order of one column's value: its sequence, then the value; none where it is null."""
    order = F.struct(sequence.alias("s"), fold.comparable(name, side).alias("c"))
    return F.when(F.col(f"{side}{quoted(name)}").isNotNull(), order)


def _to_remember(fold: Fold, remembered: bool) -> dict[str, Column]:
    """A delete that may meet an older upsert; sequences of columns that are not their row's."""
    if not fold.sequence_by:
        return {DELETED: F.lit(None), ORDERS: F.lit(None)}  # whatever comes later is above it
    deleted = F.col(NEW_DELETE)
    news = deleted.isNotNull() & (deleted >= F.col(GONE_AT))
    if remembered:
        news = news & (F.col(f"{MEMORY}.d").isNull() | (deleted > F.col(f"{MEMORY}.d")))
    if not fold.merged:
        return {DELETED: F.when(news & ~F.col(LIVE), deleted), ORDERS: F.lit(None)}
    own = {name: F.col(f"{FIELDS}.{quoted(name)}.o.s") for name in fold.merged}
    living = {name: F.when(_above(sequence), sequence) for name, sequence in own.items()}
    orders = F.struct(*(sequence.alias(name) for name, sequence in living.items()))
    older = [F.coalesce(sequence < F.col(f"{ORDER}.s"), F.lit(False)) for sequence in living.values()]
    differ = reduce(Column.__or__, older)
    if remembered:
        known = {name: F.col(f"{MEMORY}.f.{quoted(name)}") for name in fold.merged}
        later = [one.isNotNull() & (known[name].isNull() | (one > known[name])) for name, one in living.items()]
        differ = (differ | F.col(f"{MEMORY}.f").isNotNull()) & reduce(Column.__or__, later)
    return {DELETED: F.when(news, deleted), ORDERS: F.when(F.col(LIVE) & differ, orders)}
