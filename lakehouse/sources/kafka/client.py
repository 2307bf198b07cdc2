"""A source's settings as those of Kafka's own client: an allow list, so nothing in conf/ reaches the client unseen."""

from __future__ import annotations

from pathlib import Path

from lakehouse.config import KafkaSource
from lakehouse.config.redaction import in_quotes
from lakehouse.errors import SourceUnavailableError

PATIENCE_MS = 8_000
"""For how long a broker is asked before it counts as one that does not answer."""
FETCH_BYTES = 8 * 2**20
"""Of a partition at a time."""
_LOGIN = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def client_settings(name: str, source: KafkaSource, folder: Path) -> dict[str, str]:
    """What every client of the source's broker is given; ``folder`` is the project's. Holds the password in the clear.

    Raises SourceUnavailableError where the file of certificates can't be read.
    """
    settings = {
        "bootstrap.servers": source.servers,
        "security.protocol": source.security_protocol,
        "client.id": f"lakehouse-{name}",
    }
    if source.sasl_mechanism and source.username is not None and source.password is not None:
        user, password = in_quotes(source.username), in_quotes(source.password.get_secret_value())
        settings["sasl.mechanism"] = source.sasl_mechanism
        settings["sasl.jaas.config"] = (
            f'{_LOGIN[source.sasl_mechanism]} required username="{user}" password="{password}";'
        )
    if source.ca is not None:
        file = folder / source.ca
        if not file.is_file():
            raise SourceUnavailableError(
                f"sources.{name}: the certificates {file} are not there",
                hint=f"Put them there, or correct sources.{name}.ca in conf/.",
            )
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(file)}
    return settings
