"""Which tables a command is about, in dbt's grammar.

flights           the tables of that name in every layer      silver.flights    one table
silver.*          a pattern: * ? [ab]                         tag:daily         the tables with that tag
+x   2+x          x and all that it needs, or two steps back  x+   x+1          x and all that read it
a b               both (union)                                a,b               what is in both (intersection)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lakehouse.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from lakehouse.tables.graph import Graph

_TERM = re.compile(r"(?:(?P<back>\d*)(?P<up>\+))?(?P<word>[^+]+?)(?:(?P<down>\+)(?P<ahead>\d*))?")


def select(graph: Graph, expressions: Iterable[str]) -> tuple[str, ...]:
    """The addresses that one of the expressions selects, in the order of the graph; all of them for no expression.

    Raises UsageError for a name, pattern or tag that matches nothing, and for an intersection that is empty.
    """
    order = graph.order()
    words = [word for expression in expressions for word in expression.split()]
    if not words:
        return order
    chosen: set[str] = set()
    for word in words:
        found = set.intersection(*(_term(graph, order, term) for term in word.split(",")))
        if not found:
            raise UsageError(f"--select: '{word}' selects nothing: no table is in all of its parts")
        chosen |= found
    return tuple(address for address in order if address in chosen)


def _term(graph: Graph, order: tuple[str, ...], term: str) -> set[str]:
    parsed = _TERM.fullmatch(term)
    if parsed is None:
        raise UsageError(
            f"--select: '{term}' can't be read",
            hint="Such as silver.flights, +gold.routes, 'silver.*', tag:daily, x+1.",
        )
    found = _named(graph, order, parsed["word"])
    chosen = set(found)
    if parsed["up"]:
        chosen |= _steps(found, graph.needs, parsed["back"])
    if parsed["down"]:
        chosen |= _steps(found, graph.readers, parsed["ahead"])
    return chosen


def _steps(start: set[str], following: Callable[[str], tuple[str, ...]], limit: str) -> set[str]:
    seen, edge, left = set(start), set(start), int(limit) if limit else -1
    while edge and left:
        edge = {address for near in edge for address in following(near)} - seen
        seen |= edge
        left -= 1
    return seen


def _named(graph: Graph, order: tuple[str, ...], word: str) -> set[str]:
    method, colon, value = word.partition(":")
    if colon and method != "tag":
        raise UsageError(f"--select: the method '{method}:' is not known", hint="There is one: tag:NAME.")
    if colon:
        tags = {table.address: table.tags for table in graph.tables}
        found = {address for address, own in tags.items() if any(fnmatchcase(tag, value) for tag in own)}
    else:
        found = {address for address in order if fnmatchcase(address if "." in word else address.split(".")[1], word)}
    if not found:
        raise _unknown(order, word, value, {tag for table in graph.tables for tag in table.tags} if colon else None)
    return found


def _unknown(order: tuple[str, ...], word: str, tag: str, tags: set[str] | None) -> UsageError:
    """What is said of a word that names nothing; ``tags`` are the known ones where it is about a tag."""
    if tags is not None:
        return UsageError(f"--select: no table has the tag '{tag}'", hint=did_you_mean(tag, tags))
    layers = {address.split(".")[0] for address in order}
    bare = {address.split(".")[1] for address in order}
    # Names with their layer first: a nearest name must be one that can be typed as it is.
    near = did_you_mean(word, order if "." in word else bare)
    hint = f"For the whole layer: '{word}.*'." if word in layers else near
    return UsageError(f"--select: there is no table '{word}'", hint=hint)
