"""A source's settings take their secrets out of whatever is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.config import JdbcSource, KafkaSource, OwnSource

KAFKA = {"type": "kafka", "servers": "b:9092", "topic": "t", "value": "json", "security_protocol": "SASL_PLAINTEXT"}
ODD = 'pa"ss\\word\n2'
SOURCES: dict[str, tuple[Any, list[str], list[str]]] = {
    "kafka": (
        KafkaSource.model_validate(
            {**KAFKA, "sasl_mechanism": "PLAIN", "username": "reader", "password": ODD},
        ),
        [ODD, 'pa\\"ss\\\\word\\n2'],
        ["reader", "b:9092"],
    ),
    "jdbc": (
        JdbcSource.model_validate(
            {
                **{"type": "jdbc", "table": "public.t", "user": "ada", "password": "s3cret", "driver": "a.B"},
                "url": "jdbc:postgresql://h:1/d?ApplicationName=hidden-word&ssl=true",
                "options": {"sslmode": "verify-full", "prepareThreshold": 5},
            }
        ),
        ["ada", "s3cret", "hidden-word", "verify-full", "jdbc:postgresql://h:1/d?ApplicationName=hidden-word&ssl=true"],
        ["true", "5", "public.t", "h:1"],
    ),
    "own": (
        OwnSource.model_validate({"type": "jobs.Api", "options": {"token": "ab", "long": "abab-1", "none": None}}),
        ["ab", "abab-1"],
        ["jobs.Api", "None"],
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_secrets_are_taken_out_and_nothing_else(kind: str) -> None:
    source, hidden, shown = SOURCES[kind]
    assert source.redacted(" | ".join(hidden)) == " | ".join("…" for _ in hidden)
    assert source.redacted(" | ".join(shown)) == " | ".join(shown)
