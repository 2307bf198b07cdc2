"""A YAML file as data that knows where each value stands. Nothing is executed: no tags, no doubled keys, no bombs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_VALUES = 20_000
"""How many values a file may have once its aliases are followed."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it stands and what it is. Never holds a value that came from the environment."""

    file: str
    line: int
    """Counted from 1; 0 when the file as a whole is meant."""
    path: str
    """Which setting: sources.flights.path; empty when the file as a whole is meant."""
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.text}" if self.path else f"{place}: {self.text}"


@dataclass(frozen=True)
class Node:
    """A value of a YAML file and its place: a mapping of nodes, a list of nodes, or a scalar."""

    value: dict[str, Node] | list[Node] | str | int | float | bool | None
    file: str
    line: int
    secrets: tuple[str, ...] = ()
    """What environment variables put into it: parts that must not be shown."""

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_document(path: Path, name: str) -> tuple[Node | None, list[Problem]]:
    """Read a YAML file whose top is a mapping; ``name`` is what problems call it. None when it can't be used."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        return None, [Problem(name, 0, "", f"can't be read: {error.strerror or error}")]
    if len(content) > MAX_BYTES:
        return None, [Problem(name, 0, "", f"is larger than {MAX_BYTES // 1_000_000} MB")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return None, [Problem(name, line, "", "is not UTF-8 text")]
    return _Reader(name).read(text)


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.values = 0

    def read(self, text: str) -> tuple[Node | None, list[Problem]]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            # Events come from a flat loop: the limits are checked before anything recursive sees them.
            events = list(self._allowed(YAML(typ="safe", pure=True).parse(text)))
            if self.problems:
                return None, self.problems
            yaml = YAML(typ="safe", pure=True)
            yaml.Parser = lambda **_: _Parsed(events)
            top = yaml.compose("")
            node = Node({}, self.name, 1) if top is None else self._node(top, (), 0)
        except _RefusedError as stop:
            return None, [Problem(self.name, stop.line, "", stop.text)]
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 0
            return None, [Problem(self.name, line, "", f"is not YAML: {error.problem or error.context}")]
        except (YAMLError, ValueError) as error:
            words = str(error).split("\n")[0]
            return None, [Problem(self.name, getattr(error, "line", -1) + 1, "", f"is not YAML: {words}")]
        if node.value is None:  # a file with comments only
            node = Node({}, self.name, 1)
        if not isinstance(node.value, dict):
            self._problem(node.line, (), "must be a mapping, such as 'name: flights'")
        return (None if self.problems else node), self.problems

    def _allowed(self, events: Iterator[Any]) -> Iterator[Any]:
        depth = 0
        documents = 0
        scalars = 0
        for event in events:
            kind = type(event).__name__
            line = event.start_mark.line + 1
            scalars += kind == "ScalarEvent"
            if scalars > 2 * MAX_VALUES:  # a key and a value each
                raise _RefusedError(line, f"has more than {MAX_VALUES:,} values")
            if kind.endswith("StartEvent") and kind != "StreamStartEvent":
                depth += 1
            elif kind.endswith("EndEvent"):
                depth -= 1
            documents += kind == "DocumentStartEvent"
            if documents > 1:
                raise _RefusedError(line, "holds more than one document (a line '---' starts another)")
            if depth > MAX_DEPTH:
                raise _RefusedError(line, f"is nested deeper than {MAX_DEPTH} levels")
            tag = getattr(event, "tag", None)
            if tag is not None and str(tag) != "!":
                self._problem(line, (), f"has a tag ({str(tag)[:40]}); configuration is plain data")
            yield event

    def _node(self, node: Any, path: tuple[str, ...], depth: int) -> Node:
        line = node.start_mark.line + 1
        self.values += 1
        if self.values > MAX_VALUES or depth > MAX_DEPTH:
            raise _RefusedError(
                line, f"has aliases that unfold to more than {MAX_VALUES:,} values or {MAX_DEPTH} levels"
            )
        if node.id == "mapping":
            return Node(self._mapping(node, path, depth), self.name, line)
        if node.id == "sequence":
            items = [self._node(item, (*path, str(place)), depth + 1) for place, item in enumerate(node.value)]
            return Node(items, self.name, line)
        return Node(_scalar(node), self.name, line)

    def _mapping(self, node: Any, path: tuple[str, ...], depth: int) -> dict[str, Node]:
        result: dict[str, Node] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _scalar(key_node) if key_node.id == "scalar" else None
            if not isinstance(key, str):
                self._problem(line, path, f"has a key that is not text: {str(key_node.value)[:40]!r}. Put it in quotes")
                continue
            if key in result:
                self._problem(line, (*path, key), f"stands twice, first in line {first[key]}")
                continue
            first[key] = line
            value = self._node(value_node, (*path, key), depth + 1)
            # A setting is where its key stands: that is the line to correct.
            result[key] = Node(value.value, value.file, line)
        return result

    def _problem(self, line: int, path: tuple[str, ...], text: str) -> None:
        self.problems.append(Problem(self.name, line, ".".join(path), text))


class _Parsed:
    """A parser whose events are there already: to parse takes far longer than all that is done with them."""

    def __init__(self, events: list[Any]) -> None:
        self._events, self._next = events, 0

    def check_event(self, *kinds: type) -> bool:
        return isinstance(self._events[self._next], kinds)

    def peek_event(self) -> Any:
        return self._events[self._next]

    def get_event(self) -> Any:
        self._next += 1
        return self._events[self._next - 1]

    def dispose(self) -> None:
        """There is nothing to let go."""


class _RefusedError(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line, self.text = line, text


def _scalar(node: Any) -> str | int | float | bool | None:
    """What a scalar says by the rules of YAML 1.2; a date stays text."""
    kind, text = str(node.tag).rpartition(":")[2], str(node.value)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        digits = text.replace("_", "")
        return int(digits, 0 if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else 10)
    if kind == "float":
        return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    return text
