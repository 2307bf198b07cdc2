"""Find the tables that a project declares, by importing its modules and looking at their values."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from lakehouse.errors import DefinitionError, LakehouseError, did_you_mean
from lakehouse.tables.definition import LAYERS, Table
from lakehouse.tables.syntax import parsed


def tables_in(module: str, folder: Path | None = None) -> tuple[Table, ...]:
    """The tables of a module, or of a package and all its submodules; silver first, then gold, each by name.

    ``folder`` is the project's: it goes first on ``sys.path``, and the module must live below it. A package of
    the same name that was imported from elsewhere is forgotten, so that it can't be taken for the project's.
    Submodules called ``__main__`` are not imported: they are programs.

    Raises DefinitionError with every module that can't be imported (file, line and reason), and for two tables
    of one address.
    """
    folder = folder.resolve() if folder is not None else None
    _check_name(module)
    if folder is not None:
        _put_first(folder)
        _forget_strangers(module.partition(".")[0], folder)
    importlib.invalidate_caches()
    if folder is not None:
        _prefer(module.partition(".")[0], folder)
    failures: dict[str, str] = {}
    modules = list(_walk(module, folder, failures))
    if failures:
        hint = next(iter(failures.values())) if len(failures) == 1 else ""
        shown = [f"{text}\n  {tip}" if tip and not hint else text for text, tip in failures.items()]
        raise DefinitionError("\n".join(shown), hint=hint)
    tables = {id(value): value for found in modules for value in vars(found).values() if isinstance(value, Table)}
    _check_addresses([*tables.values()], modules, folder)
    return tuple(sorted(tables.values(), key=lambda table: (LAYERS.index(table.layer), table.name)))


def place(table: Table, folder: Path | None = None) -> str:
    """Where a table is declared, ``file:line``; relative to the folder, or to the current one, when below it."""
    return _shown(table.file, table.line, folder)


def _shown(file: Path | str, line: int | None, folder: Path | None) -> str:
    path, base = Path(file), (folder or Path.cwd()).resolve()
    if path.is_absolute() and path.is_relative_to(base):
        path = path.relative_to(base)
    return f"{path}:{line}" if line else str(path)


def _check_name(module: str) -> None:
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        raise DefinitionError(f"tables: '{module}' is not the name of a Python module", hint="Such as 'jobs.flights'.")
    if parts[0] in sys.stdlib_module_names or parts[0] == "lakehouse":
        owner = "the engine" if parts[0] == "lakehouse" else "Python's own library"
        raise DefinitionError(f"tables: '{parts[0]}' belongs to {owner}", hint="Give the package another name.")


def _put_first(folder: Path) -> None:
    # It stays there: a table's function may import when it is called, long after this.
    entry = str(folder)
    sys.path[:] = [entry, *(other for other in sys.path if other != entry)]


def _forget_strangers(package: str, folder: Path) -> None:
    """Take modules of this package out of ``sys.modules`` when one of them was loaded from outside the folder."""
    loaded = [name for name in sys.modules if name == package or name.startswith(f"{package}.")]
    if any(not _below(sys.modules[name], folder) for name in loaded):
        for name in loaded:
            del sys.modules[name]


def _prefer(package: str, folder: Path) -> None:
    """Import a folder without __init__.py as the package, though another on ``sys.path`` has one and would win."""
    spec = PathFinder.find_spec(package, [str(folder)])
    if package not in sys.modules and spec is not None and spec.origin is None:
        sys.modules[package] = importlib.util.module_from_spec(spec)


def _below(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    # A folder without __init__.py has a list of places instead of a file; the first one is searched first.
    places = [file] if file else list(getattr(module, "__path__", []))
    return bool(places) and Path(places[0]).resolve().is_relative_to(folder)


def _walk(module: str, folder: Path | None, failures: dict[str, str]) -> Iterator[ModuleType]:
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        text, hint = _reason(error, module, folder)
        failures[text] = hint
        return
    if folder is not None and not _below(found, folder):
        failures[f"tables: '{module}' was found in {_location(found)}, not below {folder}"] = (
            f"Declare the tables in {folder / Path(*module.split('.'))}, or correct `tables:` in conf/base.yaml."
        )
        return
    yield found
    for name in sorted(_submodules(found)):
        yield from _walk(f"{module}.{name}", folder, failures)


def _location(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ["?"]))))


def _submodules(package: ModuleType) -> set[str]:
    paths = list(getattr(package, "__path__", []))
    names = {found.name for found in pkgutil.iter_modules(paths)}
    for path in map(Path, paths):
        # pkgutil skips a folder without __init__.py, though Python imports it: its tables would be missed in silence.
        if path.is_dir():
            names |= {entry.name for entry in path.iterdir() if entry.name.isidentifier() and any(entry.glob("*.py"))}
    return names - {"__main__", "__pycache__"}


def _reason(error: BaseException, module: str, folder: Path | None) -> tuple[str, str]:
    """What went wrong in the project's code, at its file and line, and a hint."""
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        return f"tables: there is no module '{error.name}'", _nearest_module(error.name, folder)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename, error.lineno, folder)}: {error.msg}", ""
    where = module
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    engine = str(Path(__file__).parents[1])
    own = [frame for frame in frames if frame.filename != __file__ and _is_project(frame.filename, folder, engine)]
    if own:
        where = _shown(own[-1].filename, own[-1].lineno, folder)
    if isinstance(error, LakehouseError):
        return f"{where}: {error.message}", error.hint
    if isinstance(error, ModuleNotFoundError):
        return f"{where}: {error}", "Install it, or correct its name."
    if isinstance(error, SystemExit):
        return f"{where}: the module ends the program when it is imported", ""
    text = str(error).strip()
    return f"{where}: {type(error).__name__}{f': {text}' if text else ''}", ""


def _is_project(file: str, folder: Path | None, engine: str) -> bool:
    path = Path(file)
    if path.is_relative_to(engine) or {"site-packages", "dist-packages"} & {*path.parts}:
        return False
    return path.resolve().is_relative_to(folder) if folder is not None else "importlib" not in path.parts


def _nearest_module(name: str, folder: Path | None) -> str:
    parent, _, last = name.rpartition(".")
    if parent and parent in sys.modules:
        prefix, known = f"{parent}.", _submodules(sys.modules[parent])
    elif not parent and folder is not None:
        prefix = ""
        known = {entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or any(entry.glob("*.py"))}
    else:
        return ""
    return did_you_mean(f"{prefix}{last}", [f"{prefix}{other}" for other in known])


def _check_addresses(tables: list[Table], modules: list[ModuleType], folder: Path | None) -> None:
    problems = []
    first: dict[str, Table] = {}
    for table in sorted(tables, key=lambda table: (str(table.file), table.line)):
        if table.address in first:
            places = f"{place(first[table.address], folder)} and {place(table, folder)}"
            problems.append(f"{table.address} is declared twice: {places}")
        first.setdefault(table.address, table)
    for module in modules:
        problems += _shadowed(module, folder)
    if problems:
        raise DefinitionError(
            "\n".join(problems), hint="Rename one of the two functions, or move it to another module."
        )


def _shadowed(module: ModuleType, folder: Path | None) -> Iterator[str]:
    """A module has one value for a name: of two decorated functions of that name, the first is lost in silence."""
    file = getattr(module, "__file__", None)
    if file is None or not any(isinstance(value, Table) for value in vars(module).values()):
        return
    source = getattr(module.__loader__, "get_source", lambda name: None)(module.__name__)
    lines: dict[str, int] = {}
    for node in parsed(source or "").body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            line = node.decorator_list[0].lineno
            if node.name in lines and isinstance(vars(module).get(node.name), Table):
                first, second = _shown(file, lines[node.name], folder), _shown(file, line, folder)
                problem = (
                    f"'{node.name}' is declared twice in one module: {first} and {second}; the first would be lost"
                )
                yield problem
            lines[node.name] = line
