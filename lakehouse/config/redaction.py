"""Take secrets out of what is said to people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import SecretStr

SHORTEST = 3
"""Characters of an address's part that is a secret by chance; a shorter one stands in too many words."""


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with "…" for each secret, also where it stands escaped between double quotes."""
    forms = {form for secret in secrets for form in (secret, in_quotes(secret))}
    for form in sorted(forms - {""}, key=len, reverse=True):
        text = text.replace(form, "…")
    return text


def secrets_in(value: Any) -> Iterator[str]:
    """Every secret in a value: of a model's dump, in whatever depth."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, dict):
        for below in value.values():
            yield from secrets_in(below)


def in_quotes(text: str) -> str:
    """The text as it stands between double quotes, on one line."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return text
