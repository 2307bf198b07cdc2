"""The project installs behind any mirror and on any machine: no file says where packages or this checkout are."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.architecture.files import REPOSITORY, shown, text_of, tracked

LOCKS = sorted(path.name for path in REPOSITORY.glob("requirements*.lock"))
FORBIDDEN = {
    "a package index": r"https?://[^\s\"'<>]*/simple\b",
    "a registry": r"https?://(?:[\w-]+\.)*(?:pypi|pythonhosted|crates|npmjs|debian)\.(?:org|io)\b",
    "an option that names an index": r"--(?:(?:extra-)?index-url|find-links|trusted-host)\b",
    "a repository of jars": r"\brepo1?[.]maven\b",
    "a folder of somebody's machine": r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{shown(path)}:{number}: {line.strip()[:120]}"
        for path in tracked()
        if (text := text_of(path)) is not None
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a package index", "--extra x https://mirror.example/pypi" + "/simple/"),
        ("a registry", "(https://py" + "pi.org/project/x/)"),
        ("an option that names an index", "--index" + "-url x"),
        ("a repository of jars", "https://repo1" + ".maven" + ".org/"),
        ("a folder of somebody's machine", "see /work" + "/main/x"),
        ("a folder of somebody's machine", '"/home' + '/ada/x"'),
    ],
)
def test_it_would_be_found(what: str, line: str) -> None:
    assert re.search(FORBIDDEN[what], line)


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_its_hashes(name: str) -> None:
    lines = (REPOSITORY / name).read_text().splitlines()
    pins = [number for number, line in enumerate(lines) if line and not line.startswith((" ", "#"))]
    assert pins
    for start, end in zip(pins, [*pins[1:], len(lines)], strict=True):
        assert re.match(r"[A-Za-z0-9._-]+(\[[^\]]*\])?==[^ ;]+", lines[start]), lines[start]
        hashes = [line for line in lines[start + 1 : end] if line.strip()]
        assert hashes, f"{lines[start]} has no hash"
        assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), lines[start]


def test_these_are_the_lock_files() -> None:
    assert LOCKS == ["requirements-java.lock", "requirements-uv.lock", "requirements.lock"]


def test_what_records_addresses_is_ignored() -> None:
    done = subprocess.run(["git", "check-ignore", "uv.lock"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.strip() == "uv.lock"
    assert not [path for path in tracked() if path.name in ("uv.lock", "package-lock.json", "poetry.lock")]
