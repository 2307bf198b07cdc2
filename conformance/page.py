"""docs/feast-conformance.md, out of what a run said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from conformance.results import Outcome, Reason

ABOUT = """\
# Feast's own tests

Feast has a suite of integration tests that any store can be put through. This page is what they said of
`DeltaOfflineStore` (with sources by `path=` and by `table=`), `DeltaEngine` and the online stores named below.
`make feast-conformance FEAST=path` runs the tests of a checkout of Feast, none of which is in this repository, and
writes this page. Why a test fails or does not run is written by hand in `conformance/reasons.yaml`; a run that meets
an outcome without a reason, or a reason without an outcome, ends with exit code 1.
"""


def page(
    found: Sequence[Outcome],
    known: Sequence[Reason],
    files: Mapping[str, str],
    facts: Mapping[str, str],
) -> str:
    lines = [ABOUT, "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items()]
    lines += ["", "## Outcomes", "", "| outcome | tests |", "|---|---|"]
    lines += [f"| {name} | {number} |" for name, number in totals(found, known)]
    lines += ["", "## Each test", "", "Tests are counted with each of their parameters and stores.", ""]
    lines += ["| test | passed | failed | not run | why |", "|---|---|---|---|---|"]
    for (file, test), group in groupby(found, key=lambda one: (one.file, one.test)):
        lines.append(_row(file, test, list(group), known))
    lines += ["", "## Files that were not opened", "", "| file | why |", "|---|---|"]
    lines += [f"| `{name}` | {why} |" for name, why in files.items()]
    return "\n".join(lines) + "\n"


def totals(found: Sequence[Outcome], known: Sequence[Reason]) -> list[tuple[str, int]]:
    """How many tests had each outcome, by the kind of their reason."""
    counts = Counter(_named(one, known) for one in found)
    return sorted(counts.items(), key=lambda pair: (pair[0] != "passed", pair[0]))


def _named(one: Outcome, known: Sequence[Reason]) -> str:
    if one.result == "passed":
        return "passed"
    kinds = [reason.kind for reason in known if reason.explains(one)]
    return f"{one.result}: {kinds[0] if kinds else 'not explained'}"


def _row(file: str, test: str, group: Sequence[Outcome], known: Sequence[Reason]) -> str:
    counts = Counter(one.result for one in group)
    cells = [str(counts[result] or "") for result in ("passed", "failed", "not run")]
    why = []
    for one in group:
        if one.result != "passed":
            said = [f"{reason.kind}: {reason.why}" for reason in known if reason.explains(one)]
            why += said or [f"**not explained**: {one.said}"]
    text = " ".join(dict.fromkeys(why)).replace("|", "\\|").replace("\n", " ")
    return f"| `{file}`<br>`{test}` | {' | '.join(cells)} | {text} |"
