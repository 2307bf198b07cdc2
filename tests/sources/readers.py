"""How often Spark is asked to open files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakehouse.sources.files import reading


def counted_readers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each reader is given, as readers are opened."""
    opened: list[int] = []
    real = reading._opened

    def counted(session: Any, source: Any, columns: tuple[str, ...], paths: list[Path]) -> Any:
        opened.append(len(paths))
        return real(session, source, columns, paths)

    monkeypatch.setattr(reading, "_opened", counted)
    return opened
