"""The rules of conf/ join those that stand with a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lakehouse import quality
from lakehouse.config.expectations import Rule
from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.quality import Expectation
from lakehouse.tables.definition import Table


def with_rules(tables: Iterable[Table], expect: Mapping[str, Sequence[Rule]]) -> tuple[tuple[Table, ...], list[str]]:
    """The tables with the rules of conf/ after their own, and what is wrong with those, a line with its place each."""
    tables = tuple(tables)
    known = [table.address for table in tables]
    joined: dict[str, list[Expectation]] = {}
    problems: list[str] = []
    for address, rules in expect.items():
        if rules and address not in known:
            here = f"expect: there is no table '{address}'"
            why = "bronze takes what comes; expect it of silver." if address.startswith("bronze.") else ""
            problems.append(f"{rules[0].place}: {here}. {why or did_you_mean(address, known)}")
            continue
        for rule in rules:
            try:
                joined.setdefault(address, []).append(replace(expectation(rule), place=rule.place))
            except DefinitionError as error:
                said = ". ".join(filter(None, [error.message.rstrip("."), error.hint]))
                problems.append(f"{rule.place}: expect: {address}: {said}")
    return tuple(
        replace(table, expect=(*table.expect, *joined[table.address])) if table.address in joined else table
        for table in tables
    ), problems


def expectation(rule: Rule) -> Expectation:
    """The rule as a table has it. Raises DefinitionError as :mod:`lakehouse.quality` does."""
    named: dict[str, Any] = {"on_fail": rule.on_fail} if rule.on_fail is not None else {}
    if isinstance(rule.said, list):
        made = getattr(quality, rule.kind)(*rule.said, **named)
    elif isinstance(rule.said, str):
        made = getattr(quality, rule.kind)(rule.said, **named)
    else:
        takes = {name: getattr(rule.said, name) for name in type(rule.said).model_fields}
        values = takes.pop("values", ())
        made = (
            quality.one_of(takes["column"], *values, **named)
            if values
            else getattr(quality, rule.kind)(**takes, **named)
        )
    assert isinstance(made, Expectation)
    return made
