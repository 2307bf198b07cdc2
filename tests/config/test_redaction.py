"""A source's settings take their secrets out of whatever is said about it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from lakehouse.config import JdbcSource, KafkaSource, OwnSource
from lakehouse.config.redaction import without

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
                "url": "jdbc:postgresql://h:1/d?ApplicationName=hidden-word&sslrootcert=r%40o+t&ssl=true",
                "options": {"sslmode": "verify-full", "prepareThreshold": 5},
            }
        ),
        ["ada", "s3cret", "hidden-word", "verify-full", "r%40o+t", "r@o t", "r@o+t"],
        ["true", "5", "public.t", "h:1"],
    ),
    "own": (
        OwnSource.model_validate(
            {
                "type": "jobs.Api",
                "options": {"token": "abab", "apiKey": "abab-1", "pin_secret": 12345}
                | {"how": "url", "none": None, "key": "id", "auth": True},
            }
        ),
        ["abab", "abab-1", "12345"],
        ["jobs.Api", "None", "url", "invalid", "True"],
    ),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_secrets_are_taken_out_and_nothing_else(kind: str) -> None:
    source, hidden, shown = SOURCES[kind]
    assert source.redacted(" | ".join(hidden)) == " | ".join("…" for _ in hidden)
    assert source.redacted(" | ".join(shown)) == " | ".join(shown)


SECRET = """canary+pw/9 ä'"\n"""
FORMS: dict[str, Callable[[str], str]] = {
    "quote": lambda text: quote(text, safe=""),
    "quote, small letters": lambda text: quote(text, safe="").lower(),
    "quote, slashes stay": quote,
    "quote_plus": quote_plus,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "repr": lambda text: repr(text)[1:-1],
    "repr of bytes": lambda text: repr(text.encode())[2:-1],
    "base64": lambda text: b64encode(text.encode()).decode(),
    "base64 of addresses": lambda text: urlsafe_b64encode(text.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_taken_out_however_it_is_written(form: str) -> None:
    assert without(f"401 for <{FORMS[form](SECRET)}>", [SECRET]) == "401 for <…>"


@pytest.mark.parametrize("before", ["", "u", "me", "ada"])
@pytest.mark.parametrize("after", ["", "x", "xy", "xyz"])
def test_a_secret_is_taken_out_of_base64(before: str, after: str) -> None:
    said = without(b64encode(f"{before}:{SECRET}{after}".encode()).decode(), [SECRET])
    # Of the secret no whole byte is left: at each end there are at most two letters that it shares.
    assert "…" in said
    assert len(said) <= 4 * ((len(before) + len(after) + 1) // 3 + 2) + 1
    assert b"canary" not in b64decode(said.partition("…")[0] + "====")


def test_short_words_stay() -> None:
    assert without("YW and Y", ["a", "ab"]) == "YW …nd Y"
