"""TLS and SCRAM: certificates of this run, passwords from the environment or a file, and neither is ever shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.cli import run
from tests.sources.kafka import certificates
from tests.sources.kafka.broker import SCRAM, SCRAM_PASSWORD, Broker
from tests.sources.kafka.landed import Reading, places, refused, take
from tests.sources.kafka.producing import Topics

pytestmark = pytest.mark.skipif(not certificates.AVAILABLE, reason="openssl makes the certificates")


def test_tls_with_an_authority_of_ones_own(reading: Reading, broker: Broker, topics: Topics, topic: str) -> None:
    topics.send(topic, b"1")
    project = reading(servers=broker.tls_servers, security_protocol="SSL", ca=broker.certificates.authority)
    assert take(project) == (1, 0)
    assert [row[2] for row in places(project)] == ["1"]


def test_a_broker_that_nobody_vouches_for_is_refused(reading: Reading, broker: Broker, topic: str) -> None:
    said = refused(reading(servers=broker.tls_servers, security_protocol="SSL"))  # Java's own authorities
    assert f"{broker.tls_servers} can't be asked: " in said and "certification path" in said


@pytest.mark.torture
def test_a_listener_that_is_not_encrypted_is_not_spoken_to(
    reading: Reading, broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.sources.kafka.asking.PATIENCE_MS", 2000)
    ca = broker.certificates.authority
    said = refused(reading(servers=broker.servers, security_protocol="SSL", ca=ca))
    assert f"sources.events: {broker.servers} " in said


@pytest.mark.parametrize(("mechanism", "kept"), list(zip(SCRAM, ("env", "file"), strict=True)))
def test_scram_over_tls(
    reading: Reading,
    broker: Broker,
    topics: Topics,
    topic: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    mechanism: str,
    kept: str,
) -> None:
    """The password is in nothing that a run leaves or says."""
    secret = tmp_path / "secrets" / "kafka"
    secret.parent.mkdir()
    secret.write_text(f"{SCRAM_PASSWORD}\n")
    monkeypatch.setenv("KAFKA_PASSWORD", SCRAM_PASSWORD)
    password = "${env:KAFKA_PASSWORD}" if kept == "env" else f"${{file:{secret}}}"
    login: dict[str, Any] = {"sasl_mechanism": mechanism, "username": "bob", "password": password}
    ca = broker.certificates.authority
    project = reading(servers=broker.scram_servers, security_protocol="SASL_SSL", ca=ca, **login)
    topics.send(topic, b"1", b"no json")
    monkeypatch.chdir(project.folder)
    assert run(["ingest", "--debug"]) == 0
    assert run(["show", "source", "events", "--json"]) == 0
    assert [row[2] for row in places(project)] == ["1"]
    said = "".join(capfd.readouterr())
    left = [file for file in project.folder.rglob("*") if file.is_file()]
    assert any(file.suffix == ".json" for file in left)
    assert not [file for file in left if SCRAM_PASSWORD.encode() in file.read_bytes()]
    assert "1 landed, 1 quarantined" in said and SCRAM_PASSWORD not in said


def test_a_wrong_scram_password_is_said_and_not_shown(
    reading: Reading, broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "wr0ng-s3cret")
    login = {"sasl_mechanism": SCRAM[1], "username": "bob", "password": "${env:KAFKA_PASSWORD}"}
    ca = broker.certificates.authority
    project = reading(servers=broker.scram_servers, security_protocol="SASL_SSL", ca=ca, **login)
    said = refused(project)
    assert f"{broker.scram_servers} does not let us in: " in said
    assert "wr0ng" not in said + json.dumps(project.config.model_dump(mode="json"))
