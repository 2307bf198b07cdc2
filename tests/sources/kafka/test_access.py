"""Who is let in, what is said when nobody is, and that no password is ever shown."""

from __future__ import annotations

import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from deltalake.exceptions import TableNotFoundError

from lakehouse.cli import run
from lakehouse.config import Project
from lakehouse.delta import Draft
from lakehouse.errors import ConfigError, SourceUnavailableError
from lakehouse.pipeline import ingest
from lakehouse.pipeline.workspace import Workspace
from tests.bronze.landed import Landed
from tests.sources.kafka.broker import PASSWORD, Broker, free_port
from tests.sources.kafka.landed import Reading, last_cursor, places, take
from tests.sources.kafka.producing import Topics

SASL = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "username": "alice"}


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Put a password where conf/ takes it from; what conf/ says then."""

    def put(password: str) -> str:
        monkeypatch.setenv("KAFKA_PASSWORD", password)
        return "${env:KAFKA_PASSWORD}"

    return put


def test_a_password_of_any_characters_lets_in(
    reading: Reading, broker: Broker, topics: Topics, topic: str, secret: Callable[[str], str]
) -> None:
    topics.send(topic, b"1")
    project = reading(servers=broker.sasl_servers, password=secret(PASSWORD), **SASL)
    assert take(project) == (1, 0)
    assert [row[2] for row in places(project)] == ["1"]


def test_a_wrong_password_is_said_and_not_shown(
    reading: Reading,
    broker: Broker,
    secret: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    wrong = 'w"r\\ong-s3cret'
    project = reading(servers=broker.sasl_servers, password=secret(wrong), **SASL)
    (result,) = ingest(project).results
    assert result.error is not None and result.error.exit_code == 5
    said = str(result.error)
    assert f"sources.events: {broker.sasl_servers} does not let us in: " in said
    said += repr(project) + "".join(traceback.format_exception(result.error))
    monkeypatch.chdir(project.folder)
    assert run(["show", "source", "events"]) == 0
    assert run(["show", "source", "events", "--json"]) == 0
    assert run(["plan"]) == 0
    assert run(["ingest", "--debug"]) == 5
    said += "".join(capfd.readouterr())
    assert "alice" in said
    assert "s3cret" not in said


@pytest.mark.torture
def test_a_broker_that_does_not_answer_costs_seconds(
    make_project: Any, spark: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # it takes connections and says nothing
        ports = {"closed": free_port(), "silent": silent.getsockname()[1]}
        sources = [
            f'  {name}: {{type: kafka, servers: "127.0.0.1:{port}", topic: t, value: text}}'
            for name, port in ports.items()
        ]
        project: Project = make_project("\n".join(sources))
        monkeypatch.chdir(project.folder)
        begun = time.monotonic()
        assert run(["ingest"]) == 5
        assert time.monotonic() - begun < 30
    said = "".join(capfd.readouterr())
    for port in ports.values():
        assert f"127.0.0.1:{port} does not answer" in said
    assert "Traceback" not in said


@pytest.mark.torture  # a broker takes a while to come back
def test_a_broker_that_comes_back_is_read_on(
    reading: Reading, broker: Broker, topics: Topics, topic: str, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = reading(value="text")
    topics.send(topic, b"a", b"b")
    assert take(project) == (2, 0)
    topics.send(topic, b"c")
    batch = Workspace(project).source("bronze.events").plan(spark, [last_cursor(project)])
    assert batch is not None
    broker.stop()
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.sources.kafka.asking.PATIENCE_MS", 2000)
        with pytest.raises(SourceUnavailableError, match="does not answer"):
            batch.require_unchanged()  # what is asked before the commit
    broker.start()
    topics.send(topic, b"d")
    assert take(project) == (2, 0)
    assert [row[1:] for row in places(project)] == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]


def test_a_topic_made_again_while_it_is_read_lands_nothing(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = reading(value="text")
    topics.send(topic, b"a", b"b")
    write = Draft.write

    def meanwhile(draft: Draft, frame: Any) -> Counter[str]:
        found = write(draft, frame)
        topics.delete(topic)
        topics.make(topic)
        return found

    monkeypatch.setattr(Draft, "write", meanwhile)
    report = ingest(project)
    assert "was deleted and made again while it was read" in str(report.results[0].error)
    with pytest.raises(TableNotFoundError):
        Landed(project, "events")
    monkeypatch.undo()
    topics.send(topic, b"c")
    assert take(project) == (1, 0)
    assert [row[2] for row in places(project)] == ["c"]


def test_a_name_that_no_server_has(make_project: Any, spark: Any) -> None:
    project = make_project('  events: {type: kafka, servers: "kafka.invalid:9092", topic: t, value: text}')
    report = ingest(project)
    assert report.exit_code == 5
    assert "kafka.invalid:9092 can't be asked" in str(report.results[0].error)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("servers: localhost", "must be host:port, or several with commas between them"),
        ('topic: "a b"', "must be a topic's name"),
        ("value: avro", "must be one of json, text, binary"),
        ("start: 2025-11-20", "must be earliest, latest, or a time with its zone"),
        ("start: yesterday", "must be earliest, latest, or a time with its zone"),
        ("max_records: 0", "greater than or equal to 1"),
        ("security_protocol: SASL_SSL", "SASL_SSL needs sasl_mechanism, username, password"),
        ("username: alice", "PLAINTEXT has no use for username"),
        ("ca: ca.pem", "PLAINTEXT has no use for ca"),
        ("columns: {key: bigint}", "key can be binary or string"),
        ("columns: {timestamp: date}", "timestamp can be timestamp or timestamp_ntz or string"),
        ("group_id: mine", "not known"),
        ('"sasl.jaas.config": "x"', "not known"),
    ],
)
def test_a_mistake_is_named(make_project: Any, settings: str, said: str) -> None:
    name = settings.partition(":")[0]
    good = {"servers": "b:9092", "topic": "t", "value": "json"}
    lines = [f"{key}: {value}" for key, value in good.items() if key != name]
    with pytest.raises(ConfigError) as caught:
        make_project("\n".join(["  events:", "    type: kafka", *(f"    {line}" for line in [*lines, settings])]))
    assert said in str(caught.value)


def test_certificates_that_are_not_there_are_named(make_project: Any, spark: Any) -> None:
    project = make_project(
        '  events: {type: kafka, servers: "b:9092", topic: t, value: text, security_protocol: SSL, ca: conf/ca.pem}'
    )
    report = ingest(project)
    assert report.exit_code == 5
    assert f"the certificates {project.folder}/conf/ca.pem are not there" in str(report.results[0].error)
