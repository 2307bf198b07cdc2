"""Topics of a test, and projects that read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from tests.sources.kafka.broker import Broker
from tests.sources.kafka.producing import Topics


@pytest.fixture
def topic(topics: Topics, tmp_path: Path) -> str:
    """A topic of one partition for one test."""
    return topics.make(tmp_path.name)


@pytest.fixture
def reading(make_project: Callable[..., Project], broker: Broker, topic: str) -> Callable[..., Project]:
    """A project whose source ``events`` reads the test's topic; settings of the source by name."""

    def made(**settings: Any) -> Project:
        given = {"type": "kafka", "servers": broker.servers, "topic": topic, "value": "json", **settings}
        listed = "".join(f"\n    {name}: {value}" for name, value in given.items())
        return make_project(f"  events:{listed}")

    return made
