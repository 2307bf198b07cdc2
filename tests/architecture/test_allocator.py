"""What delta-rs is told about memory before it is loaded: it must still be what this delta-rs understands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SAY = "import lakehouse, os; from deltalake import DeltaTable; print(os.environ['_RJEM_MALLOC_CONF'])"


def loaded(**given: str) -> tuple[str, str]:
    """What a process that loads it prints and complains of."""
    kept = {name: value for name, value in os.environ.items() if name != "_RJEM_MALLOC_CONF"}
    done = subprocess.run([sys.executable, "-c", SAY], env=kept | given, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("given", "told", "complaint"),
    [
        ({}, f"narenas:{1 + (os.cpu_count() or 1) // 16},dirty_decay_ms:1000", ""),
        ({"_RJEM_MALLOC_CONF": "narenas:3"}, "narenas:3", ""),
        ({"_RJEM_MALLOC_CONF": "arenas:3"}, "arenas:3", "<jemalloc>: Invalid conf pair: arenas:3\n"),
    ],
)
def test_the_allocator_takes_it(given: dict[str, str], told: str, complaint: str) -> None:
    """The last case shows that it is read at all."""
    assert loaded(**given) == (told, complaint)
