"""YAML that is not plain data is refused, with its line, whatever it tries."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.config.document import read_document

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "conf.yaml:3: a: stands twice, first in line 1"),
        ("a:\n  b: {c: 1, c: 2}\n", "conf.yaml:2: a.b.c: stands twice, first in line 2"),
        ("a: !!python/object/apply:os.system [ls]\n", "has a tag"),
        ("a: !!str 1\n", "conf.yaml:1: has a tag"),
        (BOMB, "has aliases that unfold to more than 20,000 values"),
        ("a: &a [*a]\n", "has aliases that unfold"),
        ("a: " + "[" * 3000 + "]" * 3000, "is nested deeper than 30 levels"),
        ("a: [1\nb: 2\n", "is not YAML"),
        ("a: b: c\n", "conf.yaml:1: is not YAML"),
        ("a: *b\n", "is not YAML"),
        ("\tname: x\n", "is not YAML"),
        ("- a\n", "conf.yaml:1: must be a mapping"),
        ("just text", "must be a mapping"),
        ("a: 1\n---\nb: 2\n", "holds more than one document"),
        ("1: x\n", "conf.yaml:1: has a key that is not text: '1'. Put it in quotes"),
        ("? [a]\n: x\n", "has a key that is not text"),
        ("a: \x00\n", "is not YAML"),
        ("x" * 1_000_001, "is larger than 1 MB"),
    ],
)
def test_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "conf.yaml"
    file.write_text(text, encoding="utf-8")
    node, problems = read_document(file, "conf.yaml")
    assert node is None
    assert said in "\n".join(map(str, problems))


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "conf.yaml"
    file.write_bytes(b"a: 1\nb: \xff\xfe\n")
    node, problems = read_document(file, "conf.yaml")
    assert node is None
    assert [str(problem) for problem in problems] == ["conf.yaml:2: is not UTF-8 text"]


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    node, problems = read_document(tmp_path, "conf.yaml")
    assert node is None
    assert str(problems[0]).startswith("conf.yaml: can't be read")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: yes\nb: on\nc: true\nd: ~\n", {"a": "yes", "b": "on", "c": True, "d": None}),
        ("a: 0x10\nb: 1_000\nc: 1.5\nd: '1'\n", {"a": 16, "b": 1000, "c": 1.5, "d": "1"}),
        ("a: 2026-01-01\n", {"a": "2026-01-01"}),
        ("a: &x {b: [1, two]}\nc: *x\n", {"a": {"b": [1, "two"]}, "c": {"b": [1, "two"]}}),
        ("a: |\n  line\n  line\n", {"a": "line\nline\n"}),
    ],
)
def test_read(tmp_path: Path, text: str, value: object) -> None:
    file = tmp_path / "conf.yaml"
    file.write_text(text, encoding="utf-8")
    node, problems = read_document(file, "conf.yaml")
    assert problems == []
    assert node is not None
    assert node.plain() == value
