"""What a run of pytest said, and why a test failed or did not run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from xml.etree import ElementTree

from ruamel.yaml import YAML

Result = Literal["passed", "failed", "not run"]
Kind = Literal["on purpose", "not yet", "a defect", "a service", "another store"]
KINDS: tuple[str, ...] = get_args(Kind)
_PARAMETER = re.compile(r"ParameterSet\(values=\((.*?),\), marks=\[.*?\], id=None\)")


@dataclass(frozen=True)
class Outcome:
    """One test with its parameters."""

    file: str
    """Below tests/integration, without its suffix; with the class, where the test is in one."""
    test: str
    given: str
    """The stores and parameters, as pytest names them."""
    result: Result
    said: str
    """The first line of the failure, or why pytest skipped it."""


@dataclass(frozen=True)
class Reason:
    """Why a test fails or does not run: written by hand, in reasons.yaml."""

    test: str
    kind: Kind
    why: str
    given: str = ""
    """A part of the parameters; empty: with any."""
    said: str = ""
    """A part of what pytest said, so that another failure of the test is not taken for this one; empty: any."""

    def explains(self, outcome: Outcome) -> bool:
        named = self.test in (outcome.file, f"{outcome.file}::{outcome.test}")
        return named and outcome.result != "passed" and self.given in outcome.given and self.said in outcome.said


def outcomes(junit: Path) -> list[Outcome]:
    """The outcomes in pytest's JUnit file, by file, test and parameters."""
    found = []
    for case in ElementTree.parse(junit).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        result: Result = "passed" if bad is None else "not run" if bad.tag == "skipped" else "failed"
        test, _, given = _PARAMETER.sub(r"\1", case.get("name", "")).partition("[")
        place = case.get("classname", "")
        if not place:  # a file that could not be imported stands in a test's place
            place, test = test, ""
        file = "/".join(part for part in place.split(".") if part not in ("tests", "integration"))
        said = (bad.get("message") or "").partition("\n")[0] if bad is not None else ""
        found.append(Outcome(file, test, given.removesuffix("]"), result, said))
    return sorted(found, key=lambda one: (one.file, one.test, one.given))


def online_stores(found: Iterable[Outcome]) -> list[str]:
    """The classes of the online stores that tests were run with."""
    named = (re.search(r"LOCAL:\w+:([\w.]+):python_fs", one.given) for one in found)
    return sorted({one[1].rpartition(".")[2].removesuffix("Creator") for one in named if one})


def reasons(path: Path) -> list[Reason]:
    """Each test that a reason of the file names, with it."""
    found = YAML(typ="safe").load(path)["tests"]
    return [Reason(test, **{key: one[key] for key in one if key != "of"}) for one in found for test in one["of"]]


def ignored(path: Path) -> dict[str, str]:
    """The files, below tests/integration, that pytest shall not even import, and why."""
    return dict(YAML(typ="safe").load(path)["files"])


def unexplained(found: Iterable[Outcome], known: Sequence[Reason]) -> list[Outcome]:
    return [one for one in found if one.result != "passed" and not any(reason.explains(one) for reason in known)]


def idle(found: Sequence[Outcome], known: Iterable[Reason]) -> list[Reason]:
    """The reasons that explain nothing any more."""
    return [reason for reason in known if not any(reason.explains(one) for one in found)]
