"""Fail, kill or delay the system calls that a process makes below a folder, at the k-th call."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

CODE = Path(__file__).with_name("faults.c")
SIZE = 4096
KILL = -1


class Calls:
    """What is shared with the processes that were started with :attr:`env`; may be changed while they run."""

    def __init__(self, folder: Path, below: Path) -> None:
        """``folder`` is for our own files. Skips the test where there is no C compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("faults of system calls need a C compiler (cc), which is not there")
        library, plan = folder / "faults.so", folder / "faults.plan"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, CODE, "-ldl"], check=True)
        plan.write_bytes(bytes(SIZE))
        self.env = {"LD_PRELOAD": str(library), "FAULTS_PLAN": str(plan)}
        with plan.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), SIZE)
        self.below = below

    def plan(self, *, at: int = 0, error: int = 0, delay: float = 0.0) -> None:
        """Count anew. The ``at``-th call fails with the error, or kills; each rename waits ``delay`` seconds."""
        values = struct.pack("4l", 0, at, error, round(delay * 1_000_000))
        self._shared[:] = (values + str(self.below).encode()).ljust(SIZE, b"\0")

    @property
    def made(self) -> int:
        """How many calls were made below the folder since the plan."""
        return int(struct.unpack("l", self._shared[:8])[0])
