"""``gold.windows``: how a project says what its window features are."""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from lakehouse.errors import DefinitionError
from lakehouse.gold.aggregates import Length, Wish
from lakehouse.gold.tiling import Tiling
from lakehouse.kernels.aggregations import (
    COUNT,
    EVENTS,
    HOP,
    START,
    Aggregation,
    Aggregations,
    Measure,
    column_of,
    hop_of,
)
from lakehouse.quality.condition import parse
from lakehouse.tables import LAYERS, By, Table

_LENGTH = re.compile(r"(\d{1,12})\s*([smhdw])")
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SIGNS = {"<>": "ne", "!=": "ne", ">=": "ge", "<=": "le", "==": "eq", ">": "gt", "<": "lt", "=": "eq", "-": "minus"}
DAY_S = 86_400
LONGEST_S = 365_250 * DAY_S
"""1,000 years."""


def windows(
    *,
    of: str,
    entity: str | Sequence[str],
    at: str,
    features: Sequence[Wish],
    hop: Length = "auto",
    where: str = "",
    bucket: str = "",
    name: str | None = None,
    tags: Sequence[str] = (),
    doc: str = "",
) -> Table:
    """Declare window features: what the events of each ``entity`` come to over the time before any moment T.

    ``of`` is the table that has the events, one a row, and ``at`` its column with their time (UTC where naive). A
    window ends before T, exclusively: an event at T is not in it (an as-of join, as Feast's, includes it). It starts at
    T less its length, rounded down to a whole ``hop`` since 1970: by default 5 minutes for windows below 12 hours, an
    hour below 12 days, a day beyond. Events without a whole entity or a time count for nothing, nor do those that don't
    fulfil ``where``. With ``bucket``, a column, each feature is a map with one value for each of its values.

    The table is called as the variable that it is assigned to, or as ``name`` says. Its rows are tiles: partial results
    of each entity and hop. Raises DefinitionError, with all that is wrong.
    """
    frame = sys._getframe(1)
    own = name or _assigned(frame)
    where_said = f"gold.{own}: gold.windows"
    entities = (entity,) if isinstance(entity, str) or not isinstance(entity, Iterable) else tuple(entity)
    _check_words(where_said, of, entities, at, where, bucket)
    layer, _, table = of.partition(".")
    if layer not in LAYERS or layer == "bronze" or not table:
        raise DefinitionError(f"{where_said}: of={of!r} is not the address of a silver or gold table")
    features = [features] if isinstance(features, Wish) or not isinstance(features, Iterable) else features
    measures: dict[tuple[str, bool], Measure] = {}
    found: dict[str, Aggregation] = {}
    for wish in features:
        if not isinstance(wish, Wish):
            raise DefinitionError(
                f"{where_said}: {wish!r} is no feature", hint='Such as gold.mean("amount", over="7d").'
            )
        measure = _measure(where_said, wish, measures)
        for one in _of_wish(where_said, wish, measure, hop):
            if one.name in found:
                raise DefinitionError(
                    f"{where_said}: two features are called '{one.name}'", hint="Give one of them another: name=…"
                )
            found[one.name] = one
    if not found:
        raise DefinitionError(f"{where_said}: features=[…] names none")
    if where:
        _check_condition(where_said, "where", where)
    told = Aggregations(of, entities, at, tuple(measures.values()), tuple(found.values()), where, bucket)
    _check_names(where_said, told)
    return Table(
        layer="gold",
        name=own,
        function=Tiling(told),
        inputs=(of,),
        key=(*told.keys, HOP, START),
        refresh=By(START, days_of=at),
        windows=told,
        tags=tuple(tags),
        doc=doc,
        module=str(frame.f_globals.get("__name__", "")),
        file=Path(frame.f_code.co_filename),
        line=frame.f_lineno,
    )


def _of_wish(where: str, wish: Wish, measure: str, hop: Length) -> list[Aggregation]:
    told = f"last_{wish.most}" if wish.kind == "last_n" else wish.kind
    given = wish.name or (f"{measure}_{told}" if measure else told)
    found = []
    for length in wish.over or (None,):
        over_s = None if length is None else _seconds(where, length)
        hop_s = _hop(where, hop, over_s)
        name = given if over_s is None or (wish.name and len(wish.over) == 1) else f"{given}_{_shown(over_s)}"
        found.append(Aggregation(name, wish.kind, measure, over_s, hop_s, wish.most))
    return found


def _hop(where: str, hop: Length, over_s: int | None) -> int:
    if hop == "auto":
        return DAY_S if over_s is None else int(hop_of(timedelta(seconds=over_s)).total_seconds())
    found = _seconds(where, hop)
    if DAY_S % found:
        raise DefinitionError(f"{where}: a hop of {_shown(found)} does not part a day", hint="Such as 5m, 1h or 1d.")
    return found


def _seconds(where: str, length: Length) -> int:
    if isinstance(length, timedelta):
        seconds = 0 if length % timedelta(seconds=1) else length // timedelta(seconds=1)
    else:
        found = _LENGTH.fullmatch(str(length))
        seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if seconds > LONGEST_S:
        hint = "Of all that went before are first and last without over."
        raise DefinitionError(f"{where}: {length!r} is longer than 1,000 years", hint=hint)
    if seconds > 0:
        return seconds
    hint = 'Such as "30m", "12h", "7d" or timedelta(days=7).'
    raise DefinitionError(f"{where}: {length!r} is no length of time", hint=hint)


def _shown(seconds: int) -> str:
    unit = next(unit for unit in ("d", "h", "m", "s") if not seconds % _SECONDS[unit])
    return f"{seconds // _SECONDS[unit]}{unit}"


def _measure(where: str, wish: Wish, measures: dict[tuple[str, bool], Measure]) -> str:
    """The name of the measure that a feature is made of; it is taken in where it is new."""
    if wish.kind == "count" and not wish.value:
        return EVENTS
    condition = wish.kind == "rate"
    if not isinstance(wish.value, str) or not wish.value.strip():
        raise DefinitionError(f"{where}: {wish.kind}({wish.value!r}) names no {'condition' if condition else 'column'}")
    known = measures.get((wish.value, condition))
    if known is None:
        if condition:
            _check_condition(where, "rate", wish.value)
        name = _slug(wish.value) if condition else wish.value
        if name in {one.name for one in measures.values()}:
            hint = "Make one of them a column of the table."
            raise DefinitionError(f"{where}: '{wish.value}' and another measure are both called '{name}'", hint=hint)
        known = measures[wish.value, condition] = Measure(name, wish.value, condition)
    return known.name


def _slug(condition: str) -> str:
    """A condition as a name: "arr_delay > 15" is arr_delay_gt_15."""
    text = condition.lower()
    for sign, word in _SIGNS.items():
        text = text.replace(sign, f" {word} ")
    name = "_".join(re.findall(r"[a-z0-9]+", text)) or "condition"
    return f"{name}_true" if name == condition else name  # else it would be called as its column


def _check_condition(where: str, word: str, condition: str) -> None:
    try:
        parse(condition)
    except DefinitionError as error:
        raise DefinitionError(f"{where}: {word}: {error.message}", hint=error.hint) from error


def _check_words(where: str, of: Any, entities: tuple[Any, ...], at: Any, condition: Any, bucket: Any) -> None:
    """Of what is text, or of texts, whether it is."""
    if not isinstance(of, str):
        hint = f"Say its address: of={of.address!r}." if isinstance(of, Table) else 'Such as of="silver.events".'
        raise DefinitionError(f"{where}: of={str(of)[:60]} is not the address of a silver or gold table", hint=hint)
    for column in entities:
        if not isinstance(column, str):
            raise DefinitionError(f"{where}: entity={column!r} is not the name of a column")
    if not isinstance(at, str) or not at.strip():
        raise DefinitionError(f"{where}: at={at!r} is not the name of a column")
    if not isinstance(bucket, str):
        raise DefinitionError(f"{where}: bucket={bucket!r} is not the name of a column", hint="One column, or none.")
    if not isinstance(condition, str):
        raise DefinitionError(f"{where}: where={condition!r} is not a condition", hint="One text: join them by AND.")


def _check_names(where: str, told: Aggregations) -> None:
    if not told.entity or len({*told.keys}) != len(told.keys):
        named = f"entity={list(told.entity)!r} and bucket={told.bucket!r}"
        raise DefinitionError(f"{where}: {named} must be different columns")
    taken = (HOP, START, COUNT)
    for name in (*told.keys, *(one.name for one in told.features)):
        if not isinstance(name, str) or not name.strip() or name in taken or name.startswith("_"):
            hint = f"{', '.join(taken)} are columns of tiles, and what begins with _ is bookkeeping."
            raise DefinitionError(f"{where}: neither a key nor a feature can be called {name!r}", hint=hint)
    for name in (one.name for one in told.features):
        if ":" in name:
            hint = "Give the feature another name: name=…. Feast's references part a view from its feature by ':'."
            raise DefinitionError(f"{where}: a feature can't be called '{name}', which has a ':'", hint=hint)
    for name in {one.name for one in told.features} & {*told.keys}:
        raise DefinitionError(f"{where}: '{name}' is a key and a feature", hint="Give the feature another name: name=…")
    conditions = {one.name: f"rate({one.sql!r})" for one in told.measures if one.condition}
    tiles = {column_of(one, part): f"{part} of {one}" for one, parts in told.parts().items() for part in parts}
    for name, known in (*((key, conditions | tiles) for key in told.keys), (told.at, conditions)):
        if name in known:
            hint = "Rename the column in the events' table."
            raise DefinitionError(f"{where}: '{name}' would also be the column of {known[name]}", hint=hint)


def _assigned(frame: FrameType) -> str:
    """The variable that the call's result is assigned to, as its line of code says."""
    try:
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals)))
    except SyntaxError:
        tree = ast.Module([], [])
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        here = node.lineno <= frame.f_lineno <= (node.end_lineno or 0)
        if here and isinstance(target, ast.Name) and _NAME.fullmatch(target.id):
            return target.id
    raise DefinitionError(
        "gold.windows: its result must be assigned to a variable, which names the table",
        hint="Write carrier_delay = gold.windows(…), in small letters, or say name=….",
    )
