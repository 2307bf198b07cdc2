"""Which machine and which versions a figure is true of."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]

PACKAGES = ("lakehouse", "pyspark", "delta-spark", "feast", "deltalake", "duckdb", "polars", "pyarrow")
REPOSITORY = Path(__file__).resolve().parents[1]


def pin_cores(cores: int) -> None:
    """Let this process and all that it starts use so many cores only; where the system can't, the machine's count."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


@cache
def machine(folder: Path) -> str:
    """Processor, cores, memory, system and the kind of file system that ``folder`` is on."""
    there = psutil.cpu_count() or 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}"
    return f"{_processor()}, {usable} of {there} cores, {memory:.0f} GiB, {system}, {_file_system(folder)}"


@cache
def versions() -> dict[str, str]:
    """Of what a figure depends on; a commit with + had changes that were not committed."""
    from lakehouse.spark import find_java

    found = {name: version(name) for name in PACKAGES}
    found |= {"Python": platform.python_version(), "Java": find_java().version}
    return found | ({"commit": commit} if (commit := _commit()) else {})


def load() -> float | None:
    """The load average of the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _commit() -> str:
    def git(*words: str) -> str:
        command = ["git", "-C", str(REPOSITORY), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "lakehouse", "jobs", "features", "conf", "benchmarks/*.py")
        return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    mounts = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else "an unknown file system"
