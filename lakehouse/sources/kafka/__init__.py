"""A topic of Kafka: each committed record lands once, with its key, headers and times."""

from lakehouse.sources.kafka.planning import Kafka

__all__ = ["Kafka"]
