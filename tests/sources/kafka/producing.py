"""Talk to the test's broker as any program does, through Kafka's own clients: make topics, send, delete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError

AT = 1_763_640_000_000
"""Milliseconds: 2025-11-20 12:00 UTC."""


class Topics:
    """The topics of a broker, and what is sent to them. ``spark`` is asked for nothing but its JVM."""

    def __init__(self, spark: Any, servers: str) -> None:
        self.servers = servers
        self._spark, self._jvm = spark, spark._jvm
        self._kafka = spark._jvm.org.apache.kafka
        self._admin = self._kafka.clients.admin.AdminClient.create(self._properties())
        self._producer = self._new_producer()

    def make(self, name: str, partitions: int = 1, **configs: str) -> str:
        topic = self._kafka.clients.admin.NewTopic(name, partitions, self._jvm.Short("1"))
        if configs:
            settings = self._jvm.java.util.HashMap()
            for key, value in configs.items():
                settings.put(key.replace("_", "."), value)
            topic = topic.configs(settings)
        self._patiently(lambda: self._admin.createTopics(self._list(topic)).all().get(), "TopicExistsException")
        self._patiently(
            lambda: self._admin.describeTopics(self._list(name)).allTopicNames().get(), "UnknownTopicOrPartition"
        )
        return name

    def delete(self, name: str) -> None:
        self._admin.deleteTopics(self._list(name)).all().get()

    def widen(self, name: str, partitions: int) -> None:
        wanted = self._jvm.java.util.HashMap()
        wanted.put(name, self._kafka.clients.admin.NewPartitions.increaseTo(partitions))
        self._admin.createPartitions(wanted).all().get()

    def forget(self, name: str, partition: int, before: int) -> None:
        """What retention does: drop the records below an offset."""
        wanted = self._jvm.java.util.HashMap()
        place = self._kafka.common.TopicPartition(name, partition)
        # It has a method and a static method of one name, which py4j can't tell apart.
        kind = self._jvm.Class.forName("org.apache.kafka.clients.admin.RecordsToDelete")
        made = kind.getDeclaredConstructors()[0]
        made.setAccessible(True)
        given = self._spark.sparkContext._gateway.new_array(self._jvm.Object, 1)
        given[0] = before
        wanted.put(place, made.newInstance(given))
        self._admin.deleteRecords(wanted).all().get()

    def send(self, name: str, *values: bytes | None, partition: int = 0) -> None:
        for value in values:
            self.send_one(name, value, partition=partition, wait=False)
        self._producer.flush()

    def send_one(
        self,
        name: str,
        value: bytes | None,
        *,
        partition: int = 0,
        key: bytes | None = None,
        at: int = AT,
        headers: Sequence[tuple[str, bytes | None]] = (),
        producer: Any = None,
        wait: bool = True,
    ) -> int | None:
        """Returns the offset, where it is waited for."""
        given = self._list(*(self._kafka.common.header.internals.RecordHeader(k, v) for k, v in headers))
        record = self._kafka.clients.producer.ProducerRecord(name, partition, at, key, value, given)
        sent = (producer or self._producer).send(record)
        return int(sent.get().offset()) if wait else None

    def read(self, name: str, partitions: int = 1) -> list[tuple[int, int, bytes | None]]:
        """Each committed record's partition, offset and value, as a consumer gets them now."""
        kind = "org.apache.kafka.common.serialization.ByteArrayDeserializer"
        more = {"key_deserializer": kind, "value_deserializer": kind, "isolation_level": "read_committed"}
        consumer = self._kafka.clients.consumer.KafkaConsumer(self._properties(enable_auto_commit="false", **more))
        found: list[tuple[int, int, bytes | None]] = []
        try:
            places = self._list(*(self._kafka.common.TopicPartition(name, number) for number in range(partitions)))
            consumer.assign(places)
            consumer.seekToBeginning(places)
            ends = consumer.endOffsets(places)
            while any(consumer.position(place) < ends[place] for place in places):
                polled = consumer.poll(self._jvm.java.time.Duration.ofMillis(100)).iterator()
                while polled.hasNext():
                    record = polled.next()
                    found.append((record.partition(), record.offset(), record.value()))
        finally:
            consumer.close()
        return found

    def ends(self, name: str, partitions: int) -> dict[int, int]:
        """Where the committed part of each partition ends, as the broker says."""
        spec, wanted = self._kafka.clients.admin.OffsetSpec.latest(), self._jvm.java.util.HashMap()
        places = {number: self._kafka.common.TopicPartition(name, number) for number in range(partitions)}
        for place in places.values():
            wanted.put(place, spec)
        committed = self._kafka.clients.admin.ListOffsetsOptions(self._kafka.common.IsolationLevel.READ_COMMITTED)
        found = self._admin.listOffsets(wanted, committed).all().get()
        return {number: int(found.get(place).offset()) for number, place in places.items()}

    @contextmanager
    def transaction(self, commit: bool) -> Iterator[Any]:
        """A producer within a transaction that is committed or aborted at the end."""
        producer = self._new_producer(transactional_id="tests")
        try:
            producer.initTransactions()
            producer.beginTransaction()
            yield producer
            producer.commitTransaction() if commit else producer.abortTransaction()
        finally:
            producer.close()

    def close(self) -> None:
        self._producer.close()
        self._admin.close()

    def _new_producer(self, **more: str) -> Any:
        kind = "org.apache.kafka.common.serialization.ByteArraySerializer"
        properties = self._properties(key_serializer=kind, value_serializer=kind, linger_ms="0", **more)
        return self._kafka.clients.producer.KafkaProducer(properties)

    def _properties(self, **more: str) -> Any:
        properties = self._jvm.java.util.Properties()
        for key, value in {"bootstrap_servers": self.servers, **more}.items():
            properties.put(key.replace("_", "."), value)
        return properties

    def _patiently(self, work: Callable[[], Any], until_not: str) -> None:
        """A topic that is deleted is gone a moment later, one that is made is known a moment later."""
        for left in range(100, -1, -1):
            try:
                work()
                return
            except Py4JJavaError as error:
                if until_not not in str(error) or not left:
                    raise
                time.sleep(0.1)

    def _list(self, *things: Any) -> Any:
        made = self._jvm.java.util.ArrayList()
        for thing in things:
            made.add(thing)
        return made
