"""One environment's settings: the layers of conf/ laid over each other, and ``${env:NAME}`` put in."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lakehouse.config.document import Node, Problem

_PLACE = re.compile(r"\$\{([^}]*)\}")
_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


def lay_over(lower: Node, upper: Node, path: tuple[str, ...] = ()) -> Node:
    """``upper`` over ``lower``: mappings merge key by key, all else is replaced; a source is replaced whole."""
    if len(path) == 2 and path[0] == "sources":
        return upper
    if not isinstance(lower.value, dict) or not isinstance(upper.value, dict):
        return upper
    merged = dict(lower.value)
    for key, node in upper.value.items():
        merged[key] = lay_over(merged[key], node, (*path, key)) if key in merged else node
    return Node(merged, upper.file, upper.line)


def put_in_variables(node: Node, variables: Mapping[str, str], problems: list[Problem], path: str = "") -> Node:
    """Replace each ``${env:NAME}`` in texts; a variable that is not set is a problem. What it puts in stays secret."""
    if isinstance(node.value, dict):
        done = {
            key: put_in_variables(child, variables, problems, f"{path}.{key}" if path else key)
            for key, child in node.value.items()
        }
        return Node(done, node.file, node.line)
    if isinstance(node.value, list):
        items = [put_in_variables(child, variables, problems, f"{path}.{i}") for i, child in enumerate(node.value)]
        return Node(items, node.file, node.line)
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    secrets: list[str] = []

    def replace(match: re.Match[str]) -> str:
        variable = _VARIABLE.fullmatch(match[1].strip())
        if variable is None:
            text = f"'{match[0]}' is not known; write ${{env:NAME}} for an environment variable"
        elif variable[1] in variables:
            secrets.append(variables[variable[1]])
            return secrets[-1]
        else:
            text = f"the environment variable {variable[1]} is not set"
        problems.append(Problem(node.file, node.line, path, text))
        return match[0]

    text = _PLACE.sub(replace, node.value)
    return Node(text, node.file, node.line, tuple(secrets))
