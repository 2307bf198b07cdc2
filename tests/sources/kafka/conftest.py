"""One broker for all tests of Kafka, and projects that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from tests.sources.kafka.broker import Broker
from tests.sources.kafka.producing import Topics


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def topics(spark: Any, broker: Broker) -> Iterator[Topics]:
    topics = Topics(spark, broker.servers)
    yield topics
    topics.close()


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
