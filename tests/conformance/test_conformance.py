"""What a run of Feast's own tests is made into. The run itself needs a checkout of Feast: make feast-conformance."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.__main__ import PAGE, REASONS, main
from conformance.environment import LOCK, REPOSITORY, ConformanceError, stage
from conformance.page import page
from conformance.results import KINDS, Outcome, Reason, idle, ignored, online_stores, outcomes, reasons, unexplained

PLACE = "tests.integration.online_store.test_online"
STORES = "ParameterSet(values=(LOCAL:DeltaPathSourceCreator:sqlite:python_fs:False,), marks=[], id=None)"
JUNIT = f"""<testsuites><testsuite>
<testcase classname="{PLACE}" name="test_b[{STORES}-True]">
<failure message="wrong: 5&#10;not 4">text</failure>
</testcase>
<testcase classname="{PLACE}" name="test_a[{STORES}]" />
<testcase classname="{PLACE}" name="test_c[environment0]"><skipped message="empty" /></testcase>
<testcase classname="" name="tests.integration.test_lost"><error message="collection failure">text</error></testcase>
</testsuite></testsuites>"""
ONLINE = "online_store/test_online"
GIVEN = "LOCAL:DeltaPathSourceCreator:sqlite:python_fs:False"
OUTCOMES = [
    Outcome(ONLINE, "test_a", GIVEN, "passed", ""),
    Outcome(ONLINE, "test_b", f"{GIVEN}-True", "failed", "wrong: 5"),
    Outcome(ONLINE, "test_c", "environment0", "not run", "empty"),
    Outcome("test_lost", "", "", "failed", "collection failure"),
]


def test_outcomes_are_read_from_what_pytest_writes(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(JUNIT)
    assert outcomes(tmp_path / "junit.xml") == OUTCOMES
    assert online_stores(OUTCOMES) == ["sqlite"]


@pytest.mark.parametrize(
    ("reason", "explained"),
    [
        (Reason(ONLINE, "not yet", "why"), {"test_b", "test_c"}),
        (Reason(f"{ONLINE}::test_b", "not yet", "why"), {"test_b"}),
        (Reason(f"{ONLINE}::test_a", "not yet", "why"), set()),
        (Reason(ONLINE, "not yet", "why", given="sqlite"), {"test_b"}),
        (Reason(ONLINE, "not yet", "why", given="Redis"), set()),
        (Reason(ONLINE, "not yet", "why", said="wrong"), {"test_b"}),
        (Reason("online_store/test_onl", "not yet", "why"), set()),
    ],
)
def test_a_reason_explains_what_it_names_and_no_more(reason: Reason, explained: set[str]) -> None:
    assert {one.test for one in OUTCOMES if reason.explains(one)} == explained
    left = {one.test for one in unexplained(OUTCOMES, [reason])}
    assert left == {"test_b", "test_c", ""} - explained
    assert idle(OUTCOMES, [reason]) == ([] if explained else [reason])


def test_the_page_has_a_row_for_each_test_and_says_what_is_not_explained() -> None:
    known = [Reason(f"{ONLINE}::test_b", "on purpose", "Two | three.")]
    text = page(OUTCOMES, known, {"dbt": "needs dbt"}, {"run on": "a day"})
    assert "| passed | 1 |" in text
    assert "| failed: on purpose | 1 |" in text
    assert "| failed: not explained | 1 |" in text
    assert f"| `{ONLINE}`<br>`test_a` | 1 |  |  |  |" in text
    assert f"| `{ONLINE}`<br>`test_b` |  | 1 |  | on purpose: Two \\| three. |" in text
    assert f"| `{ONLINE}`<br>`test_c` |  |  | 1 | **not explained**: empty |" in text
    assert "| `dbt` | needs dbt |" in text


def test_the_reasons_are_of_a_known_kind_and_say_why() -> None:
    assert {one.kind for one in reasons(REASONS)} <= set(KINDS)
    assert all(one.why.strip() for one in reasons(REASONS))
    assert all(ignored(REASONS).values())


def test_the_page_that_is_committed_leaves_nothing_unexplained() -> None:
    text = PAGE.read_text()
    assert "not explained" not in text
    assert re.search(r"^\| passed \| [1-9]", text, re.MULTILINE)
    assert all(f"`{name}`" in text for name in ignored(REASONS))


def test_what_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConformanceError, match="is no checkout of Feast"):
        stage(tmp_path)
    assert main([""]) == 2
    assert "make feast-conformance FEAST=path" in capsys.readouterr().err


def test_the_lock_has_hashes_and_the_versions_of_the_project() -> None:
    """What Feast's tests say would otherwise be of other libraries than users get."""
    lines = LOCK.read_text().splitlines()
    pins = [number for number, line in enumerate(lines) if line and not line.startswith(" ")]
    for start, end in zip(pins, [*pins[1:], len(lines)], strict=True):
        assert lines[start + 1 : end], lines[start]
        assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines[start + 1 : end])
    ours, theirs = (_versions(file.read_text()) for file in (REPOSITORY / "requirements.lock", LOCK))
    for name in ("deltalake", "duckdb", "feast", "numpy", "pandas", "polars", "pyarrow", "pydantic"):
        assert ours[name] == theirs[name]


def _versions(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==(\S+)", text, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found
