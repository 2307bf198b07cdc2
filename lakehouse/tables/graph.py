"""Who reads whom: the tables and sources of a project as a graph, and every mistake that it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from lakehouse.config.expectations import Rule
from lakehouse.errors import DefinitionError, UsageError, did_you_mean
from lakehouse.quality import Expectation
from lakehouse.tables.definition import LAYERS, By, Table
from lakehouse.tables.discovery import place
from lakehouse.tables.expecting import with_rules
from lakehouse.tables.selection import select


@dataclass(frozen=True)
class Graph:
    """Addresses and what each reads. A source ``flights`` is the address ``bronze.flights``, which reads nothing.

    Build it with :meth:`of`, which refuses tables with mistakes.
    """

    tables: tuple[Table, ...]
    sources: tuple[str, ...]
    """The names of the sources, without a layer."""

    @classmethod
    def of(
        cls, tables: Iterable[Table], sources: Iterable[str], expect: Mapping[str, Sequence[Rule]] | None = None
    ) -> Graph:
        """The tables, with what conf/ expects of them. Raises DefinitionError that lists all problems, one a line."""
        joined, wrong = with_rules(tables, expect or {})
        graph = cls(joined, tuple(sources))
        found = [*problems(graph.tables, graph.sources), *wrong]
        if found:
            count = "a mistake" if len(found) == 1 else f"{len(found)} mistakes"
            raise DefinitionError("\n".join([f"The tables have {count}:", *(f"  {line}" for line in found)]))
        return graph

    def table(self, address: str) -> Table:
        """The declaration of a silver or gold table. Raises UsageError with the nearest name."""
        if address not in self._tables:
            raise UsageError(f"there is no table '{address}'", hint=did_you_mean(address, self._tables))
        return self._tables[address]

    def order(self) -> tuple[str, ...]:
        """Every address after all that it reads: bronze first, then by layer and name."""
        return self._order

    def inputs(self, address: str) -> tuple[str, ...]:
        """What a table reads directly, in the order of its parameters; nothing for bronze."""
        return self._inputs[self._known(address)]

    def needs(self, address: str) -> tuple[str, ...]:
        """What must be built before a table: what it reads, and then what its rules compare it with."""
        return self._needs[self._known(address)]

    def readers(self, address: str) -> tuple[str, ...]:
        """The tables that read this one directly, in order."""
        return self._readers[self._known(address)]

    def upstream(self, address: str) -> tuple[str, ...]:
        """All that a table needs, directly or not, in order; without itself."""
        return self._without(address, select(self, [f"+{self._known(address)}"]))

    def downstream(self, address: str) -> tuple[str, ...]:
        """All that read a table, directly or not, in order; without itself."""
        return self._without(address, select(self, [f"{self._known(address)}+"]))

    def select(self, expressions: Iterable[str] = ()) -> tuple[str, ...]:
        """The addresses that ``--select`` names, in order; all for none. See :mod:`lakehouse.tables.selection`."""
        return select(self, expressions)

    @cached_property
    def _tables(self) -> dict[str, Table]:
        return {table.address: table for table in self.tables}

    @cached_property
    def _inputs(self) -> dict[str, tuple[str, ...]]:
        bronze: dict[str, tuple[str, ...]] = {f"bronze.{source}": () for source in self.sources}
        return bronze | {table.address: table.inputs for table in self.tables}

    @cached_property
    def _needs(self) -> dict[str, tuple[str, ...]]:
        compared = {table.address: _compared(table) for table in self.tables}
        return {
            address: tuple(dict.fromkeys((*inputs, *compared.get(address, ()))))
            for address, inputs in self._inputs.items()
        }

    @cached_property
    def _order(self) -> tuple[str, ...]:
        sorter = TopologicalSorter(self._needs)
        try:
            sorter.prepare()
        except CycleError as error:
            raise DefinitionError(
                f"tables read each other in a circle: {_circle(error.args[1], self._tables)}"
            ) from None
        order: list[str] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready(), key=_rank)
            order += ready
            sorter.done(*ready)
        return tuple(order)

    @cached_property
    def _readers(self) -> dict[str, tuple[str, ...]]:
        return {read: tuple(other for other in self._order if read in self._inputs[other]) for read in self._order}

    def _known(self, address: str) -> str:
        if address not in self._inputs:
            raise UsageError(f"there is no table '{address}'", hint=did_you_mean(address, self._inputs))
        return address

    def _without(self, address: str, selected: Sequence[str]) -> tuple[str, ...]:
        return tuple(other for other in selected if other != address)


def problems(tables: Iterable[Table], sources: Iterable[str]) -> list[str]:
    """Every mistake that can be seen without running, each on one line with its file and line; none: an empty list."""
    tables = sorted(tables, key=lambda table: _rank(table.address))
    known = {f"bronze.{source}" for source in sources} | {table.address for table in tables}
    found: list[str] = []
    first: dict[str, Table] = {}
    for table in tables:
        if table.address in first:
            found.append(f"{table.address} is declared twice: {place(first[table.address])} and {place(table)}")
        first.setdefault(table.address, table)
        for mistake in (*_reading(table, known), *_rules(table), *_refresh(table)):
            found.append(f"{place(table)}: {table.address} {mistake}")
        for rule in _expected(table):
            for mistake in _rule(table, rule, known):
                found.append(f"{rule.place or place(table)}: {table.address} has {mistake}")
    try:
        needs = {table.address: [*table.inputs, *_compared(table)] for table in tables}
        TopologicalSorter(
            {address: [read for read in reads if read in known] for address, reads in needs.items()}
        ).prepare()
    except CycleError as error:
        circle = error.args[1]
        found.append(f"{place(first[circle[0]])}: tables read each other in a circle: {_circle(circle, first)}")
    return found


def _reading(table: Table, known: set[str]) -> Iterator[str]:
    for read in table.inputs:
        layer = read.split(".")[0]
        parameter = read.replace(".", "_", 1)
        if table.layer == "gold" and layer == "bronze":
            yield f"reads {read}: a gold table reads silver and gold only. Declare a silver table over {read} first."
        elif table.layer == "silver" and layer != "bronze":
            yield f"reads {read}: a silver table reads one bronze table. What needs {layer} rows belongs in gold."
        elif read not in known:
            near = did_you_mean(read, (other for other in known if other.split(".")[0] == layer))
            yield f"reads {read} (its parameter '{parameter}'), which is not there. {near}"
    if not table.inputs:
        yield "reads nothing: name its parameter after the table that it receives, such as 'bronze_flights'."
    elif table.layer == "silver" and len(table.inputs) > 1:
        names = ", ".join(table.inputs)
        yield f"reads {len(table.inputs)} tables ({names}): a silver table has one input. Join in gold."


def _expected(table: Table) -> list[Expectation]:
    declared: tuple[object, ...] = table.expect  # a user may have listed anything
    return [rule for rule in declared if isinstance(rule, Expectation)]


def _compared(table: Table) -> tuple[str, ...]:
    """The tables that rules read beside their own."""
    return tuple(rule.reads for rule in _expected(table) if rule.reads and rule.reads != table.address)


def _rule(table: Table, rule: Expectation, known: set[str]) -> Iterator[str]:
    """What is wrong with a rule, and with the table that it compares with; a circle is found with those of tables."""
    before = _expected(table)[: next(i for i, other in enumerate(_expected(table)) if other is rule)]
    if any(other.name == rule.name for other in before):
        yield f"the expectation {rule.name} twice."
    if table.layer == "gold" and rule.on_fail == "quarantine":
        yield f"{rule.name} with on_fail='quarantine', which gold has not: use 'warn' or 'fail'."
    if rule.kind == "sum_matches" and rule.reads not in table.inputs:
        yield f"{rule.name}: {rule.reads} is none of its inputs. {did_you_mean(rule.reads, table.inputs)}"
    elif rule.kind == "references" and rule.reads == table.address:
        yield f"{rule.name}: it compares the table with itself, of which an older version would be read."
    elif rule.kind == "references" and rule.reads.startswith("bronze."):
        yield f"{rule.name}: compare with a silver or gold table, whose columns have types."
    elif rule.reads and rule.reads not in known:
        near = did_you_mean(rule.reads, (other for other in known if not other.startswith("bronze.")))
        yield f"{rule.name}: {rule.reads} is not there. {near}"


def _rules(table: Table) -> Iterator[str]:
    named = {"key": table.key, "sequence_by": (table.sequence_by,), "at": (table.at,)}
    for setting, columns in named.items():
        for column in columns:
            if column is not None and (not isinstance(column, str) or not column.strip()):
                yield f"has {setting}={column!r}: the name of a column is needed."
    if table.sequence_by is not None and table.sequence_by in table.key:
        yield f"has sequence_by='{table.sequence_by}' in its key: rows of one key would never differ in it."
    declared: tuple[object, ...] = table.expect  # a user may have listed anything
    for rule in declared:
        if not isinstance(rule, Expectation):
            yield f"has {rule!r} in expect: an expectation is needed, such as not_null('origin')."


def _refresh(table: Table) -> Iterator[str]:
    refresh: object = table.refresh  # a user may have written anything
    lookback: object = table.lookback
    if isinstance(refresh, By):
        column: object = refresh.column
        if not isinstance(column, str) or not column.strip():
            yield f"has refresh=by({column!r}): the name of a column is needed."
    elif refresh != "all":
        yield f"has refresh={refresh!r}: write refresh='all', or refresh=by('day')."
    elif lookback is not None:
        yield "has lookback= without refresh=by(…): a whole table looks back by itself."
    if lookback is not None and (not isinstance(lookback, timedelta) or lookback <= timedelta(0)):
        yield f"has lookback={lookback!r}: a time above zero is needed, such as timedelta(days=2)."


def _circle(addresses: Sequence[str], tables: Mapping[str, Table]) -> str:
    # graphlib gives the circle from read to reader, from wherever it fell in; people follow it from reader to read.
    ring = list(reversed(addresses))[1:]
    start = ring.index(min(ring))
    ring = [*ring[start:], *ring[: start + 1]]
    said = ring[0]
    for reader, read in pairwise(ring):
        said += f" {'reads' if read in tables[reader].inputs else 'is compared with'} {read}"
    return said


def _rank(address: str) -> tuple[int, str]:
    layer, _, name = address.partition(".")
    return (LAYERS.index(layer) if layer in LAYERS else len(LAYERS), name)
