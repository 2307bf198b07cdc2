"""Take secrets out of what is said to people."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

SHORTEST = 3
"""Characters of a text that is a secret by its place alone; a shorter one stands in too many words."""
SHORTEST_PUT_IN = 4
"""The same of what ``${…}`` put into a setting that is no secret by itself: a path, a topic, a master."""
SHORTEST_ENCODED = 4
"""Characters of a piece of base64 that are replaced."""
_NAME = re.compile(
    r"key|token|pass(word|wd|phrase)?|pwd|secret|credentials?|auth|authorization|bearer|cookie|signature|sas|dsn"
)


def without(text: str, secrets: Iterable[str]) -> str:
    """The text with "…" for each secret, also where it stands as an address, a program or a header writes it."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "…")
    return text


def hidden(value: Any, redacted: Callable[[str], str]) -> Any:
    """A value with each of its texts redacted, in whatever depth."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: hidden(child, redacted) for key, child in value.items()}
    return [hidden(child, redacted) for child in value] if isinstance(value, list | tuple) else value


def secrets_in(value: Any) -> Iterator[str]:
    """Every secret in a value: of a model's dump, in whatever depth."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, dict):
        for below in value.values():
            yield from secrets_in(below)


def names_a_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret: api_key, accessToken, PASSWORD.

    >>> [names_a_secret(name) for name in ("api_key", "accessToken", "APIKEY", "station", "author", "keyspace")]
    [True, True, True, False, False, False]
    """
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return any(_NAME.fullmatch(word.lower()) or word.lower().endswith(("key", "token", "password")) for word in words)


def in_quotes(text: str) -> str:
    """The text as it stands between double quotes, on one line."""
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return text


@lru_cache(maxsize=1024)
def _forms(secret: str) -> frozenset[str]:
    """The secret as it is, and as it is written in addresses, in JSON, by Python's repr() and in base64."""
    if not secret:
        return frozenset()
    content = secret.encode("utf-8", "replace")
    in_addresses = {quote(content, safe=""), quote(content), quote_plus(content)}
    # Hexadecimal digits of an address are written in either case.
    in_addresses |= {re.sub("%[0-9A-F]{2}", lambda digits: digits[0].lower(), form) for form in in_addresses}
    escaped = {in_quotes(secret), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    escaped |= {repr(secret)[1:-1], repr(content)[2:-1], repr(secret + '"')[1:-2]}  # with a quote repr() escapes '
    return frozenset({secret, *in_addresses, *escaped, *_in_base64(content)} - {""})


def _in_base64(content: bytes) -> Iterator[str]:
    """The whole, and what is always the same of it inside of something longer, such as user:secret.

    Three bytes are four letters, so there are three ways for it to begin. A letter at either end that holds bits of
    what stands beside it is left out.
    """
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(content).decode()
        for before in range(3):
            letters = encode(bytes(before) + content).decode().rstrip("=")
            begin = (0, 2, 3)[before]
            end = len(letters) - ((before + len(content)) % 3 > 0)
            if end - begin >= SHORTEST_ENCODED:
                yield letters[begin:end]
