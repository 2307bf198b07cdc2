"""One hash for all that decides what a table holds: when it changes, the table is rebuilt.

It covers the table's function and every function, class and constant of the project that it reaches, as syntax:
a comment, a docstring or formatting changes nothing, a helper or a constant does. It does not see data that a
module reads when it is imported, environment variables, what ``getattr``, ``globals()`` or ``importlib`` find by a
name made at run time, nor the versions of installed libraries: after a change of those, rebuild by hand.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from lakehouse.tables.definition import Table
from lakehouse.tables.syntax import (
    Import,
    Module,
    Modules,
    attribute_chains,
    canonical,
    imports_in,
    names_used,
)

TABLE_FORMAT = 2
"""How the engine writes silver and gold tables; a release that changes that adds one, and every table is rebuilt."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(table: Table, folder: Path) -> str:
    """The table's fingerprint, 64 hex digits. ``folder`` is the project's: code outside it is not looked at.

    Reads source files and runs nothing. Two checkouts of one project have the same fingerprints.
    """
    return fingerprints([table], folder)[table.address]


def fingerprints(tables: Iterable[Table], folder: Path) -> dict[str, str]:
    """Those of many tables by address; each module is read once."""
    folder, known = folder.resolve(), dict[tuple[Path, ...], Modules]()
    found = {}
    for table in tables:
        bases = _bases(table, folder)
        modules = known.setdefault(tuple(bases), Modules(folder, bases))
        found[table.address] = _fingerprint(table, _Reached(modules))
    return found


def _fingerprint(table: Table, reached: _Reached) -> str:
    declared = {
        "format": TABLE_FORMAT,
        "address": table.address,
        "inputs": table.inputs,
        "key": table.key,
        "sequence_by": table.sequence_by,
        "capture": table.capture,
        "at": table.at,
        "refresh": table.refresh,
        "lookback": table.lookback,
        "expect": sorted(repr(rule) for rule in table.expect),
    }
    lines = [f"{name}={value!r}" for name, value in declared.items()]
    lines.append(f"function={reached.value(table.function)}")
    lines += [f"{name}: {text}" for name, text in sorted(reached.texts.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _bases(table: Table, folder: Path) -> list[Path]:
    """Where the names of the project's modules start: its folder, and where the table's own module was found."""
    file = getattr(sys.modules.get(table.module), "__file__", None)
    if file is None:
        return [folder]
    path = Path(file).resolve()
    depth = table.module.count(".") + (1 if path.name == "__init__.py" else 0)
    return list(dict.fromkeys([folder, *path.parents[depth : depth + 1]]))


class _Reached:
    """All that a function reaches, by name: ``module.name`` → its canonical syntax."""

    def __init__(self, modules: Modules) -> None:
        self.modules = modules
        self.texts: dict[str, str] = {}
        self._open: dict[int, int] = {}

    def value(self, value: Any) -> str:
        """The canonical text of a live value: what a closure, a default or a partial holds."""
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return f"{type(value).__name__}:{value!r}"
        if id(value) in self._open:
            return f"again:{self._open[id(value)]}"
        self._open[id(value)] = len(self._open)
        try:
            return self._structure(value)
        finally:
            del self._open[id(value)]

    def _structure(self, value: Any) -> str:
        kind = type(value).__qualname__
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, functools.partial):
            return f"partial({self.value(value.func)},{self.value(value.args)},{self.value(value.keywords)})"
        if isinstance(value, MethodType):
            return f"method({self.value(value.__func__)},{self.value(value.__self__)})"
        if isinstance(value, Table):
            return f"table({value.address},{self.value(value.function)})"
        if isinstance(value, type):
            self.name(value.__module__, value.__qualname__.split(".")[0])
            return f"class({value.__module__}.{value.__qualname__})"
        if isinstance(value, ModuleType):
            self.module(value.__name__)
            return f"module({value.__name__})"
        if isinstance(value, Mapping):
            return f"{kind}{{{','.join(f'{self.value(key)}:{self.value(item)}' for key, item in value.items())}}}"
        if isinstance(value, AbstractSet):
            return f"{kind}{{{','.join(sorted(map(self.value, value)))}}}"
        if isinstance(value, Sequence):
            return f"{kind}[{','.join(map(self.value, value))}]"
        wrapped = getattr(value, "__wrapped__", None)
        if isinstance(wrapped, FunctionType):  # such as functools.cache, or a Spark udf
            return f"{kind}({self.value(wrapped)})"
        return self._object(value)

    def _object(self, value: Any) -> str:
        self.value(type(value))
        if is_dataclass(value) and not isinstance(value, type):
            held: Mapping[str, Any] = {part.name: getattr(value, part.name, None) for part in fields(value)}
        elif not any("__repr__" in vars(kind) for kind in type(value).__mro__[:-1]):
            held = getattr(value, "__dict__", {})  # object's own repr says nothing of what it holds
        else:
            return f"{type(value).__module__}.{type(value).__qualname__}:{_ADDRESS.sub('', repr(value))}"
        return f"{type(value).__module__}.{type(value).__qualname__}{self.value(dict(held))}"

    def _function(self, function: FunctionType) -> str:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        held = {
            **{name: _content(cell) for name, cell in cells},
            "defaults": function.__defaults__,
            "kwdefaults": function.__kwdefaults__,
        }
        name = f"{function.__module__}.{function.__qualname__}"
        if not self.modules.owns(Path(function.__code__.co_filename)):
            module = self.modules.get(function.__module__)
            if module is None and Path(function.__code__.co_filename).is_file():
                return f"{name}({self.value(held)})"  # a library's: its name, and what of the project's it holds
        module = self.modules.get(function.__module__)
        nodes = module.defined(function.__code__) if module else []
        if not module or not nodes:
            return f"{name}({_bytecode(function.__code__)},{self.value(held)})"
        texts = []
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node = _without_declaration(node, function.__globals__)
            texts.append(canonical(node))
            self._uses(node, module)
        return f"{'|'.join(texts)}({self.value(held)})"

    def name(self, module: str, name: str) -> None:
        """Take in a global of a module, and what it reaches. A name outside the project is noted as what it is."""
        key = f"{module}.{name}"
        if key in self.texts:
            return
        parsed = self.modules.get(module)
        if parsed is None:
            return
        statements = parsed.bindings.get(name, [])
        targets = parsed.imports.get(name, [])
        if not statements and not targets:
            self._elsewhere(parsed, name)
            return
        parts = [canonical(statement) for statement in statements]
        self.texts[key] = ";".join([*parts, *(f"import {target.module}.{target.attribute}" for target in targets)])
        for statement in statements:
            self._uses(statement, parsed)
        for target in targets:
            self._import(target, [])

    def _elsewhere(self, parsed: Module, name: str) -> None:
        if self.modules.get(f"{parsed.name}.{name}") is not None and parsed.is_package:
            self.module(f"{parsed.name}.{name}")
        for star in parsed.stars:
            self.name(star, name)

    def module(self, name: str) -> None:
        """Take in a module whole: it is used as a value, so any part of it may be reached."""
        parsed = self.modules.get(name)
        if parsed is None or name in self.texts:
            return
        self.texts[name] = canonical(parsed.tree)
        for bound in (*parsed.bindings, *parsed.imports):
            self.name(name, bound)

    def _uses(self, node: ast.AST, module: Module) -> None:
        local = dict(imports_in(node, module)) if not isinstance(node, ast.Import | ast.ImportFrom) else {}
        used = names_used(node)
        for name, attributes in attribute_chains(node):
            for target in local.get(name, []):
                self._import(target, attributes)
            if name not in used:
                continue
            for target in module.imports.get(name, []):
                self._import(target, attributes)
            self._global(module, name)

    def _global(self, module: Module, name: str) -> None:
        targets = module.imports.get(name, [])
        if targets and not module.bindings.get(name):
            # The chain says which part of the module is meant: only the import itself is noted here.
            self.texts[f"{module.name}.{name}"] = ";".join(f"import {it.module}.{it.attribute}" for it in targets)
            return
        self.name(module.name, name)

    def _import(self, target: Import, attributes: list[str]) -> None:
        """Follow ``target.a.b`` through the project's modules to the name that is meant."""
        module, chain = target.module, [*([target.attribute] if target.attribute else []), *attributes]
        while chain and self.modules.get(f"{module}.{chain[0]}") is not None and not self._binds(module, chain[0]):
            module = f"{module}.{chain.pop(0)}"
        if chain:
            self.name(module, chain[0])
        else:
            self.module(module)

    def _binds(self, module: str, name: str) -> bool:
        """Whether the module gives the name another meaning than that of its submodule."""
        parsed = self.modules.get(module)
        if parsed is None:
            return False
        return name in parsed.bindings or any(it != Import(module, name) for it in parsed.imports.get(name, []))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _without_declaration(
    node: ast.FunctionDef | ast.AsyncFunctionDef, names: Mapping[str, Any]
) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """The function without ``@silver.table(…)``: what that says is in the table's own fields."""
    kept = [decorator for decorator in node.decorator_list if not _declares(decorator, names)]
    return type(node)(**{**dict(ast.iter_fields(node)), "decorator_list": kept})


def _declares(decorator: ast.expr, names: Mapping[str, Any]) -> bool:
    if not isinstance(decorator, ast.Call):
        return False
    chains = list(attribute_chains(decorator.func))
    if len(chains) != 1:
        return False
    value = names.get(chains[0][0])
    for attribute in chains[0][1]:
        value = getattr(value, attribute, None)
    return str(getattr(value, "__module__", "")).partition(".")[0] == "lakehouse"


def _bytecode(code: CodeType) -> str:
    """For code without a file (a notebook, a shell): what it does and names. It differs from Python to Python."""
    constants: Iterable[object] = (_bytecode(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return f"{code.co_code.hex()},{code.co_names!r},{list(constants)!r}"
