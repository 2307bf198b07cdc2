"""Records that are far too large: quarantined byte for byte, or refused by name; memory and neighbours hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed

MIB = 2**20
LARGE: dict[str, tuple[str, bytes, bytes, bytes]] = {
    "csv": ("csv", b"id,name\n1,a\n", b"2," + b"x" * 17 * MIB + b"\n", b"3,c\n"),
    "json": ("json", b'{"id":1}\n', b'{"id":"' + b"x" * 17 * MIB + b'"}\n', b'{"id":3}\n'),
    "text": ("text", b"1\n", b"x" * 17 * MIB + b"\n", b"3\n"),
    "csv, 60 MiB": ("csv", b"id,name\n1,a\n", b"2," + b"x" * 60 * MIB + b"\n", b"3,c\n"),
}


def made(make_project: Callable[..., Project], kind: str, content: bytes) -> Project:
    project = make_project(f"  s: {{type: files, format: {kind}, path: data/raw/*}}")
    (project.folder / "data" / "raw" / "large").write_bytes(content)
    return project


@pytest.mark.torture
@pytest.mark.parametrize("name", LARGE)
def test_a_record_of_many_mib_is_a_reject(spark: Any, make_project: Callable[..., Project], name: str) -> None:
    kind, before, raw, after = LARGE[name]
    project = made(make_project, kind, before + raw + after)
    (result,) = ingest(project).results
    assert (result.error, result.landed, result.quarantined) == (None, 2, 1)
    (reject,) = Landed(project, "s").kinds["reject"]
    assert reject["_raw"] == raw
    assert "longer than 16,777,216 bytes" in reject["_reason"]


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_field_of_100_mib_is_refused_by_name(make_project: Callable[..., Project], kind: str) -> None:
    field = b"x" * 100 * MIB
    content = b"id,name\n1," + field + b"\n" if kind == "csv" else b'{"id":"' + field + b'"}\n'
    project = made(make_project, kind, content)
    from lakehouse.sources import open_source

    session: Any = None
    with pytest.raises(ContractError, match="data/raw/large: line [12]: .*longer than 16,777,216 bytes"):
        open_source(project, "s").plan(session, [])
