"""One environment's settings: the layers of conf/ laid over each other, and secrets put in from where they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse.config.document import Node, Problem

_PLACE = re.compile(r"\$\{([^}]*)\}")
_VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_FILE = re.compile(r"file:(.+)")
LONGEST = 64 * 1024
"""Bytes of a secret's file; a longer one is a mistake."""


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


@dataclass(frozen=True)
class Secrets:
    """Where ``${env:NAME}`` and ``${file:PATH}`` look; a relative path begins in the project's folder."""

    variables: Mapping[str, str]
    folder: Path

    def value(self, place: str) -> tuple[str, str]:
        """The value of a place, or an empty one and what is wrong with it."""
        if variable := _VARIABLE.fullmatch(place):
            found = self.variables.get(variable[1])
            return (found, "") if found is not None else ("", f"the environment variable {variable[1]} is not set")
        if file := _FILE.fullmatch(place):
            try:
                return self._read(self.folder / Path(file[1]).expanduser())
            except RuntimeError:  # so Python says that ~ names nobody
                return "", f"the file {file[1]} can't be read: there is no such user"
        return (
            "",
            f"'${{{place}}}' is not known; write ${{env:NAME}} for an environment variable, ${{file:PATH}} for a file",
        )

    def _read(self, path: Path) -> tuple[str, str]:
        try:
            if path.stat().st_size > LONGEST:
                return "", f"the file {path} is too long for a secret"
            return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r"), ""
        except (OSError, UnicodeDecodeError, ValueError) as error:
            return "", f"the file {path} can't be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"


def put_in(node: Node) -> Iterator[str]:
    """What ``${…}`` put into a value and all below it."""
    yield from node.secrets
    below = node.value.values() if isinstance(node.value, dict) else node.value if isinstance(node.value, list) else ()
    for child in below:
        yield from put_in(child)


def put_in_secrets(node: Node, secrets: Secrets, problems: list[Problem], path: str = "") -> Node:
    """Replace each ``${env:NAME}`` and ``${file:PATH}`` in texts; one that is not there is a problem.

    What it puts in stays secret.
    """
    if isinstance(node.value, dict):
        done = {
            key: put_in_secrets(child, secrets, problems, f"{path}.{key}" if path else key)
            for key, child in node.value.items()
        }
        return Node(done, node.file, node.line)
    if isinstance(node.value, list):
        items = [put_in_secrets(child, secrets, problems, f"{path}.{i}") for i, child in enumerate(node.value)]
        return Node(items, node.file, node.line)
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    known: list[str] = []

    def replace(match: re.Match[str]) -> str:
        value, wrong = secrets.value(match[1].strip())
        if wrong:
            problems.append(Problem(node.file, node.line, path, wrong))
            return match[0]
        known.append(value)
        return value

    text = _PLACE.sub(replace, node.value)
    return Node(text, node.file, node.line, tuple(known))
