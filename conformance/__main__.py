"""``python -m conformance FEAST``: run the tests of a checkout of Feast, print and write docs/feast-conformance.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from conformance.environment import CACHE, REPOSITORY, ConformanceError, commit, environment, stage, versions
from conformance.page import page, totals
from conformance.results import idle, ignored, online_stores, outcomes, reasons, unexplained

PAGE = REPOSITORY / "docs" / "feast-conformance.md"
REASONS = Path(__file__).with_name("reasons.yaml")


def main(words: Sequence[str]) -> int:
    """Returns 0; 1 when an outcome has no reason or a reason no outcome; 2 when the tests could not be run."""
    if len(words) != 1 or not words[0]:
        print("Which checkout of Feast? make feast-conformance FEAST=path", file=sys.stderr)
        return 2
    feast, started = Path(words[0]).expanduser().resolve(), datetime.now(UTC)
    try:
        folder, python = stage(feast), environment()
        said, junit = _run(python, folder, ignored(REASONS))
        installed = versions(python)
    except ConformanceError as error:
        print(error, file=sys.stderr)
        return 2
    found, known = outcomes(junit), reasons(REASONS)
    facts = {
        "run on": f"{started:%Y-%m-%d}, {(datetime.now(UTC) - started).total_seconds():.0f} s",
        "tests of": f"Feast at {commit(feast)}",
        "against": ", ".join(f"{name} {version}" for name, version in installed.items()),
        "online stores": ", ".join(online_stores(found)),
        "pytest said": said,
    }
    PAGE.write_text(page(found, known, ignored(REASONS), facts), encoding="utf-8")
    for name, number in totals(found, known):
        print(f"{number:5}  {name}")
    lost, spare = unexplained(found, known), idle(found, known)
    for one in lost:
        print(f"not explained: {one.file}::{one.test}[{one.given}] {one.result}: {one.said}")
    for reason in spare:
        print(f"explains nothing: {reason.test} {reason.given}")
    print(f"Written to {PAGE.relative_to(REPOSITORY)}; the log is in {CACHE.relative_to(REPOSITORY)}/pytest.log")
    return 1 if lost or spare else 0


def _run(python: Path, folder: Path, left_out: Sequence[str] | dict[str, str]) -> tuple[str, Path]:
    """Run pytest in the staged folder. Gives its last line and its JUnit file."""
    junit, log = CACHE / "junit.xml", CACHE / "pytest.log"
    junit.unlink(missing_ok=True)
    command = [str(python), "-m", "pytest", "-q", "-p", "conformance.plugin", "-p", "no:cacheprovider"]
    command += ["-n", "2", "--integration", "--continue-on-collection-errors", f"--junitxml={junit}"]
    command += [f"--ignore=tests/integration/{name}" for name in left_out] + ["tests/integration"]
    ours = ("LAKEHOUSE_", "PYTHON", "PYTEST", "FEAST")
    there = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    there |= {"PYTHONPATH": str(folder), "FULL_REPO_CONFIGS_MODULE": "conformance.stores"}
    there["PATH"] = f"{python.parent}{os.pathsep}{there.get('PATH', '')}"  # some tests call the command feast
    print("Running Feast's tests: some minutes", flush=True)
    with log.open("w") as into:
        subprocess.run(command, cwd=folder, env=there, stdout=into, stderr=into, check=False)
    if not junit.exists():
        raise ConformanceError(f"pytest did not come to an end; its log is {log}")
    last = [line for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("=")][-1]
    return last.strip("= "), junit


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
