"""The syntax of a project's modules: what binds each name, and a text of a tree that formatting does not change."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from types import CodeType

TRIES = 20
PARSING = Lock()
_FOREIGN = {"site-packages", "dist-packages"}
_SKIPPED = {"ctx", "kind", "type_comment", "type_ignores"}
_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True)
class Import:
    """A name bound to a module, or to an attribute of one."""

    module: str
    attribute: str = ""


@dataclass(frozen=True)
class Module:
    """A module of the project, parsed. Nothing of it is run."""

    name: str
    tree: ast.Module
    is_package: bool = False

    @cached_property
    def bindings(self) -> dict[str, list[ast.stmt]]:
        """For each global name the top-level statements that bind it or change what it holds, in order.

        A statement inside ``if`` or ``try`` counts as the whole of it: its condition decides what the name is.
        """
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in dict.fromkeys(_bound(statement)):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def imports(self) -> dict[str, list[Import]]:
        """For each name what its import statements bind it to, wherever in the module's top level they stand."""
        return dict(imports_in(self.tree, self))

    @cached_property
    def stars(self) -> list[str]:
        """The modules of ``from x import *``."""
        found = [node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)]
        return [self.absolute(node) for node in found if node.names[0].name == "*"]

    def defined(self, code: CodeType) -> list[ast.AST]:
        """The definition of a function; of several lambdas on one line all, since nothing tells them apart for sure."""
        return self._definitions.get((code.co_name, code.co_firstlineno), [])

    @cached_property
    def _definitions(self) -> dict[tuple[str, int], list[ast.AST]]:
        found: dict[tuple[str, int], list[ast.AST]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                found.setdefault((node.name, first), []).append(node)
            elif isinstance(node, ast.Lambda):
                found.setdefault(("<lambda>", node.lineno), []).append(node)
        return found

    def absolute(self, node: ast.ImportFrom) -> str:
        """The full name of the module that a ``from`` statement reads."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + (1 if self.is_package else 0)]
        return ".".join([*parts, *([node.module] if node.module else [])])


@dataclass
class Modules:
    """The project's modules by name, each read once. What lies elsewhere, or is the engine's, is not the project's."""

    folder: Path
    bases: list[Path]
    """Where dotted names start: the folder, and what else the tables were imported from."""
    _read: dict[str, Module | None] = field(default_factory=dict)

    def get(self, name: str) -> Module | None:
        if name not in self._read:
            self._read[name] = self._parse(name)
        return self._read[name]

    def _parse(self, name: str) -> Module | None:
        path = self._path(name)
        if path is None:
            return None
        if path.is_dir():
            return Module(name, ast.Module(body=[], type_ignores=[]), is_package=True)
        source = importlib.util.decode_source(path.read_bytes())
        return Module(name, parsed(source, str(path)), path.name == "__init__.py")

    def _path(self, name: str) -> Path | None:
        if not name or name.partition(".")[0] == "lakehouse":
            return None
        loaded = getattr(sys.modules.get(name), "__file__", None)
        below = [base / Path(*name.split(".")) for base in self.bases]
        files = [path for start in below for path in (start / "__init__.py", start.with_suffix(".py"))]
        for path in [*([Path(loaded)] if loaded else []), *files]:
            if path.suffix == ".py" and self.owns(path) and path.is_file():
                return path
        folders = [start for start in below if self.owns(start) and start.is_dir() and any(start.glob("*.py"))]
        return folders[0] if folders else None

    def owns(self, path: Path) -> bool:
        """Whether a file is the project's; what is installed in an environment below its folder is not."""
        path = path.resolve()
        return path.is_relative_to(self.folder) and not _FOREIGN & {*path.relative_to(self.folder).parts}


def parsed(source: str, file: str = "<unknown>") -> ast.Module:
    """The syntax of a module. Raises SyntaxError.

    Python 3.11 counts how deep it is for all threads at once: where two parse at a time, it may take that for a mistake
    of its own (SystemError).
    """
    for _ in range(TRIES):
        with suppress(SystemError), PARSING:
            return ast.parse(source, file)
    return ast.parse(source, file)


def imports_in(tree: ast.AST, module: Module) -> Iterator[tuple[str, list[Import]]]:
    """The names that import statements in a tree bind, with what each may be.

    Of a module just its top level; of anything else all of it, functions included.
    """
    found: dict[str, list[Import]] = {}
    for node in ast.walk(tree) if not isinstance(tree, ast.Module) else _outside_functions(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` binds a; `import a.b as c` binds c to a.b.
                name, target = (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0],) * 2
                found.setdefault(name, []).append(Import(target))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name != "*":
                    found.setdefault(alias.asname or alias.name, []).append(Import(module.absolute(node), alias.name))
    yield from found.items()


def canonical(node: object) -> str:
    """The tree as text: without places, comments, docstrings, ``pass`` and empty fields; the same in every Python.

    Numbers keep their type, so that 1 and 1.0 differ.
    """
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!r}"
    if isinstance(node, list):
        return "[" + ",".join(canonical(item) for item in node if not _without_effect(item)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [
        (name, value) for name, value in ast.iter_fields(node) if name not in _SKIPPED and value not in (None, [])
    ]
    shown = [f"{name}={canonical(value)}" for name, value in fields]
    return f"{type(node).__name__}({','.join(text for text in shown if not text.endswith('=[]'))})"


def names_used(node: ast.AST) -> set[str]:
    """The names that a tree reads and does not bind itself as a parameter or local of its outermost function."""
    read = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    return read - _locals(node)


def attribute_chains(node: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """``a.b.c`` as ("a", ["b", "c"]), the longest chains, and each other name as ("a", [])."""
    if isinstance(node, ast.Name):
        yield node.id, []
    elif isinstance(node, ast.Attribute):
        attributes: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            attributes.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield inner.id, attributes
        else:
            yield from attribute_chains(inner)
    else:
        for child in ast.iter_child_nodes(node):
            yield from attribute_chains(child)


def _without_effect(node: object) -> bool:
    """A docstring, another string that stands alone, or ``pass``."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return text or isinstance(node, ast.Pass)


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _OWN_SCOPE):
            yield from _outside_functions(child)


def _bound(statement: ast.stmt) -> Iterator[str]:
    for node in (statement, *([] if isinstance(statement, _OWN_SCOPE) else _outside_functions(statement))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield from _root(node)  # LIMITS["x"] = 1
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from _root(node.value.func)  # LIMITS.update(x=1)
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom) and node is not statement and not _for_types(statement):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)


def _for_types(statement: ast.stmt) -> bool:
    """``if TYPE_CHECKING:``, whose imports no run sees."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING")


def _root(node: ast.expr) -> Iterator[str]:
    attribute = isinstance(node, ast.Attribute | ast.Subscript)
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if attribute and isinstance(node, ast.Name):
        yield node.id


def _locals(node: ast.AST) -> set[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return set()
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    # A default is read outside the function, where the parameter's name means something else.
    outside = [*arguments.defaults, *filter(None, arguments.kw_defaults), *getattr(node, "decorator_list", [])]
    elsewhere = {name.id for tree in outside for name in ast.walk(tree) if isinstance(name, ast.Name)}
    bound = {argument.arg for argument in every if argument is not None}
    declared_global: set[str] = set()
    if not isinstance(node, ast.Lambda):
        for inner in (part for statement in node.body for part in (statement, *_plain(statement))):
            if isinstance(inner, ast.Global):
                declared_global.update(inner.names)
            elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                bound.add(inner.id)
    return bound - declared_global - elsewhere


def _plain(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's own scope: a comprehension's variable is not the function's."""
    if isinstance(node, (*_OWN_SCOPE, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    for child in ast.iter_child_nodes(node):
        yield child
        yield from _plain(child)
