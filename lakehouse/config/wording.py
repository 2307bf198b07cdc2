"""What pydantic found, said in words: which file and line, what is wrong, and the nearest name that is right."""

from __future__ import annotations

from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lakehouse.config.contract import COLUMN_TYPE
from lakehouse.config.document import Node, Problem
from lakehouse.config.expectations import ADDRESS, AGE
from lakehouse.config.models import PROPERTY_NAME, PROPERTY_VALUE
from lakehouse.config.redaction import without
from lakehouse.config.sources import KINDS, MARKER, SPAN
from lakehouse.errors import did_you_mean

_WORDS = {
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of settings to values",
    "model_attributes_type": "must be a mapping of settings to values",
    "string_too_short": "must not be empty",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
}
_PATTERNS = {
    r"^[a-z][a-z0-9_]*$": "must be a name: small letters, digits and _, beginning with a letter",
    COLUMN_TYPE: "must be a type, such as string, bigint, double, timestamp or decimal(18,2) with 38 digits at most",
    r"^[1-9][0-9]*[mg]$": "must be an amount of memory, such as 2g or 512m",
    PROPERTY_NAME: "must be the name of a Spark property, such as spark.sql.shuffle.partitions",
    PROPERTY_VALUE: "must stand on one line, without a backslash",
    ADDRESS: "must be the address of a table, such as silver.flights",
    AGE: "must be a time, such as 30s, 5m, 2h or 7d",
    SPAN: "must be a time, such as 30s, 5m or 1h",
    MARKER: "must be the name of a file beside the others, such as _SUCCESS or {name}.done",
    r"^[^\"\r\n]$": "must be one character, and neither a quote nor a line's end",
    r"^[^\s,:/]+:[0-9]{1,5}(,[^\s,:/]+:[0-9]{1,5})*$": "must be host:port, or several with commas between them",
    r"^[a-zA-Z0-9._-]{1,249}$": "must be a topic's name: letters, digits, '.', '_' and '-'",
    r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$": "must be a Python module, such as jobs.flights",
}


def problems_of(error: ValidationError, top: Node, model: type[BaseModel]) -> list[Problem]:
    """One :class:`Problem` for each thing that is wrong with the settings in ``top``."""
    return [_problem(details, top, model) for details in error.errors(include_url=False, include_context=True)]


def _problem(details: ErrorDetails, top: Node, model: type[BaseModel]) -> Problem:
    node, path = _find(top, details["loc"])
    kind = details["type"]
    if kind == "missing":
        text = "is needed"
    elif kind == "extra_forbidden":
        text = f"not known. {did_you_mean(path[-1], _settings(model, path[:-1]))}"
    elif kind in ("literal_error", "union_tag_invalid"):
        text = _not_among(details, node)
    elif kind == "union_tag_not_found":
        text = "needs a 'type'"
    elif kind == "string_pattern_mismatch":
        pattern = str(details["ctx"]["pattern"])
        text = _PATTERNS.get(pattern, f"must match {pattern}")
    elif kind == "value_error":
        text = _without_secrets(str(details["ctx"]["error"]), node)
    else:
        text = _WORDS.get(kind) or _without_secrets(details["msg"], node)
    return Problem(node.file, node.line, ".".join(path), text)


def _find(top: Node, place: tuple[int | str, ...]) -> tuple[Node, list[str]]:
    """The node of a pydantic place, or the nearest above it, and the place in words without pydantic's own marks."""
    node, path = top, []
    for index, part in enumerate(place):
        child = None
        if isinstance(node.value, dict):
            child = node.value.get(str(part))
        elif isinstance(node.value, list) and isinstance(part, int):
            child = node.value[part]
        if child is not None:
            node = child
            path.append(str(part))
        elif index == len(place) - 1 and part not in ("[key]", *KINDS):
            path.append(str(part))
    return node, path


def _settings(model: type[BaseModel], path: list[str]) -> list[str]:
    """The names that are known at a place of the configuration."""
    kind: Any = model
    for part in path:
        fields = getattr(kind, "model_fields", None)
        if fields and part in fields:
            kind = fields[part].annotation
        elif get_origin(kind) in (dict, list):  # dict[Name, Source]: any key leads to the value's type
            kind = get_args(kind)[-1]
    models = _models(kind)
    return sorted({field.alias or name for one in models for name, field in one.model_fields.items()})


def _models(kind: Any) -> list[Any]:
    """The models that a value may be of: the kind itself, or those of a union, annotated or not."""
    if hasattr(kind, "model_fields"):
        return [kind]
    return [model for part in get_args(kind) for model in _models(part)]


def _not_among(details: ErrorDetails, node: Node) -> str:
    words = str(details["ctx"].get("expected") or details["ctx"].get("expected_tags") or "")
    known = [word.strip().strip("'") for part in words.split(" or ") for word in part.split(",")]
    known = ["a class of yours (jobs.sources.Api)" if word == "own" else word for word in known]
    text = f"must be one of {', '.join(known)}" if len(known) > 1 else f"must be {known[0]}"
    given = node.value
    if isinstance(given, str) and not node.secrets:
        near = did_you_mean(given, known)
        return f"'{given}' is not known. {near}" if near.startswith("Did") else f"'{given}' is not known; {text}"
    return text


def _without_secrets(text: str, node: Node) -> str:
    children = node.value.values() if isinstance(node.value, dict) else ()
    for child in children:
        text = _without_secrets(text, child)
    return without(text, node.secrets)
