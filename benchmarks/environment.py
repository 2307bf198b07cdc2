"""A Python of its own for what is measured beside the engine and asks for other versions than it has."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.machine import REPOSITORY
from benchmarks.measure import BenchmarkError, run


def environment(name: str, lock: Path) -> str:
    """The Python of ``.cache/NAME``, which has what the lock names and nothing else; installed once."""
    folder, bin_ = REPOSITORY / ".cache" / name, Path(sys.executable).parent
    python = folder / "bin" / "python"
    uv = shutil.which("uv", path=str(bin_)) or shutil.which("uv")
    if uv is None:
        raise BenchmarkError("uv is not there; make setup installs it")
    if not python.exists():
        run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], REPOSITORY)
    run([uv, "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(lock)], REPOSITORY)
    return str(python)
