"""A class archive (class data sharing) cuts a short local run's start by a third: made once, by running one.

Source: JEP 350. It is kept for each Java and set of jars; a Java that does not like it ignores it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

from lakehouse.errors import SetupError
from lakehouse.spark.cache import cache_folder
from lakehouse.spark.jars import fetch_jars, jars_folder
from lakehouse.spark.java import find_java

TRAINING = Path(__file__).with_name("training.py")


def archive_file() -> Path:
    """Where the archive for this Java, Spark, these jars and this training is, or would be."""
    java = find_java()
    parts = [str(java.home), java.version, importlib.metadata.version("pyspark"), jars_folder().name]
    mark = hashlib.sha256("\n".join([*parts, TRAINING.read_text()]).encode()).hexdigest()[:12]
    return cache_folder() / f"classes-{mark}.jsa"


def make_archive() -> Path:
    """Make the archive where there is none; takes some 30 seconds and 200 MB. Raises SetupError when Java can't."""
    archive = archive_file()
    if archive.exists():
        return archive
    fetch_jars()
    with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
        draft = Path(name) / "classes.jsa"
        command = [sys.executable, str(TRAINING), str(Path(name) / "lake"), str(draft)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if not draft.exists():
            raise SetupError(
                f"Java wrote no class archive: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}",
                hint="Runs work without it, some five seconds slower at each start.",
            )
        draft.replace(archive)
    return archive
