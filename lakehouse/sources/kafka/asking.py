"""Ask a broker what a topic holds now: its identity, its partitions, their first offsets and ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import KafkaSource
from lakehouse.errors import SourceUnavailableError
from lakehouse.sources.kafka.client import FETCH_BYTES, PATIENCE_MS, client_settings
from lakehouse.sources.kafka.witness import Gap

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Topic:
    """A topic at one moment; offsets by partition."""

    name: str
    id: str
    """Of the topic itself: one that is deleted and made again under its name has another."""
    first: dict[int, int]
    """The oldest offset that is still kept."""
    end: dict[int, int]
    """The last stable offset: what is below is committed or aborted, and stays as it is."""
    since: dict[int, int]
    """Where a first batch begins, as the source's setting ``start`` says."""


def ask(session: SparkSession, name: str, source: KafkaSource, folder: Path, *, start: str) -> Topic:
    """One round of questions, answered within seconds. Raises SourceUnavailableError that names the broker."""
    from py4j.protocol import Py4JJavaError

    jvm: Any = session._jvm
    settings = _settings(jvm, name, source, folder)
    admin = None
    try:
        admin = jvm.org.apache.kafka.clients.admin.AdminClient.create(settings)
        return _topic(jvm, admin, source.topic, start)
    except Py4JJavaError as error:
        raise _in_words(name, source, error) from None  # Java's own account may hold the login
    finally:
        if admin is not None:
            admin.close(jvm.java.time.Duration.ZERO)


def committed_in(
    session: SparkSession, name: str, source: KafkaSource, folder: Path, gaps: Sequence[Gap]
) -> Gap | None:
    """The first of the gaps in which the broker has a committed record now. Raises as :func:`ask`."""
    from py4j.protocol import Py4JJavaError

    jvm: Any = session._jvm
    kind = "org.apache.kafka.common.serialization.ByteArrayDeserializer"
    more = {"key.deserializer": kind, "value.deserializer": kind, "isolation.level": "read_committed"}
    more |= {"enable.auto.commit": "false", "auto.offset.reset": "none", "max.poll.records": "1"}
    more |= {"max.partition.fetch.bytes": str(FETCH_BYTES)}
    consumer = None
    try:
        consumer = jvm.org.apache.kafka.clients.consumer.KafkaConsumer(_settings(jvm, name, source, folder, **more))
        for gap in gaps:
            place = jvm.org.apache.kafka.common.TopicPartition(source.topic, gap[0])
            if _has_record(jvm, consumer, place, *gap[1:]):
                return gap
        return None
    except TimeoutError:
        raise _silent(name, source) from None
    except Py4JJavaError as error:
        raise _in_words(name, source, error) from None
    finally:
        if consumer is not None:
            consumer.close(jvm.java.time.Duration.ZERO)


def _has_record(jvm: Any, consumer: Any, place: Any, low: int, high: int) -> bool:
    places = jvm.java.util.ArrayList()
    places.add(place)
    consumer.assign(places)
    first = int(consumer.beginningOffsets(places).get(place))  # retention may have passed by meanwhile
    if first >= high:
        return False
    consumer.seek(place, max(low, first))
    at, heard = -1, time.monotonic()
    while (now := consumer.position(place)) < high:  # it passes over what is aborted, and the marks of transactions
        if now > at:  # what is aborted is sent all the same, and may be of any size
            at, heard = now, time.monotonic()
        elif time.monotonic() > heard + PATIENCE_MS / 1000:
            raise TimeoutError
        records = consumer.poll(jvm.java.time.Duration.ofMillis(500)).records(place)
        if not records.isEmpty():
            return bool(records.get(0).offset() < high)
    return False


def _settings(jvm: Any, name: str, source: KafkaSource, folder: Path, **more: str) -> Any:
    settings = jvm.java.util.Properties()
    patience = {"default.api.timeout.ms": str(PATIENCE_MS), "request.timeout.ms": str(PATIENCE_MS // 2)}
    for key, value in (client_settings(name, source, folder) | patience | more).items():
        settings.put(key, value)
    return settings


def _topic(jvm: Any, admin: Any, name: str, start: str) -> Topic:
    kafka, units = jvm.org.apache.kafka, jvm.java.util.concurrent.TimeUnit
    names = jvm.java.util.ArrayList()
    names.add(name)
    described = admin.describeTopics(names).allTopicNames().get(PATIENCE_MS + 1000, units.MILLISECONDS).get(name)
    places = {part.partition(): kafka.common.TopicPartition(name, part.partition()) for part in described.partitions()}
    committed = kafka.clients.admin.ListOffsetsOptions(kafka.common.IsolationLevel.READ_COMMITTED)

    def offsets(spec: Any) -> dict[int, int]:
        wanted = jvm.java.util.HashMap()
        for place in places.values():
            wanted.put(place, spec)
        found = admin.listOffsets(wanted, committed).all().get(PATIENCE_MS + 1000, units.MILLISECONDS)
        return {number: int(found.get(place).offset()) for number, place in places.items()}

    kinds = kafka.clients.admin.OffsetSpec
    first, end = offsets(kinds.earliest()), offsets(kinds.latest())
    since = {"earliest": first, "latest": end}.get(start)
    if since is None:
        # Without a record that is as young the broker says -1.
        moment = int(datetime.fromisoformat(start).timestamp() * 1000)
        younger = offsets(kinds.forTimestamp(moment))
        since = {number: end[number] if at < 0 else min(at, end[number]) for number, at in younger.items()}
    return Topic(name, str(described.topicId().toString()), first, end, since)


def _in_words(name: str, source: KafkaSource, error: Any) -> SourceUnavailableError:
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    kind, said = str(cause.getClass().getSimpleName()), str(cause.getMessage() or "")
    where = f"sources.{name}: {source.servers}"
    if kind == "UnknownTopicOrPartitionException":
        return SourceUnavailableError(
            f"{where} has no topic {source.topic!r}", hint=f"Create it, or correct sources.{name}.topic in conf/."
        )
    if kind in ("TimeoutException", "DisconnectException"):
        return _silent(name, source)
    if "Authentication" in kind or "Authorization" in kind:
        return SourceUnavailableError(
            f"{where} does not let us in: {source.redacted(said)}",
            hint=f"Correct username, password or the rights of the user: sources.{name} in conf/.",
        )
    return SourceUnavailableError(
        f"{where} can't be asked: {source.redacted(said) or kind}",
        hint=f"Correct sources.{name} in conf/, or try again.",
    )


def _silent(name: str, source: KafkaSource) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"sources.{name}: {source.servers} does not answer",
        hint=f"Start the broker or mend the network, then run again; or correct sources.{name}.servers or its "
        "security_protocol in conf/. Nothing of the batch has landed.",
    )
