"""A topic that is followed: what is sent while the loop goes on lands, once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from deltalake.exceptions import TableNotFoundError

from lakehouse.config import Project
from lakehouse.pipeline.following import follow
from tests.bronze.landed import Landed
from tests.sources.kafka.broker import Broker
from tests.sources.kafka.landed import Reading, places
from tests.sources.kafka.producing import Topics


def test_each_round_takes_what_was_sent_since_the_last(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(value="text", max_records=2)
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) in (1, 4):
            topics.send(topic, *(b"%d" % (len(pauses) * 10 + number) for number in range(5)))
        return len(pauses) == 6

    reports = list(follow(project, pause=pause, every=1.5))
    assert [sum(result.landed for result in report.results) for report in reports] == [0, 5, 0, 0, 5, 0]
    assert pauses == [1.5] * 6
    assert [row[2] for row in places(project)] == [str(start + n) for start in (10, 40) for n in range(5)]


@pytest.mark.torture  # a broker takes a while to come back
def test_a_broker_that_is_away_is_asked_again_and_read_on(
    reading: Reading, broker: Broker, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.sources.kafka.asking.PATIENCE_MS", 2000)
    project = reading(value="text")
    topics.send(topic, b"before")
    codes: list[int] = []

    def pause(seconds: float) -> bool:
        if len(codes) == 1:
            broker.stop()
        elif len(codes) == 3:
            broker.start()
            topics.send(topic, b"after")
        return len(codes) == 4

    for report in follow(project, pause=pause, every=0.1):
        codes.append(report.exit_code)
    assert codes == [0, 5, 5, 0]
    assert [row[1:] for row in places(project)] == [(0, "before"), (1, "after")]


@pytest.mark.torture  # a process with a JVM of its own
def test_the_command_follows_a_topic_until_it_is_told_to_stop(reading: Reading, topics: Topics, topic: str) -> None:
    project = reading(value="text")
    words = [sys.executable, "-c", "from lakehouse.cli import main; main()", "ingest", "--continuous", "--every", "0.2"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(words, cwd=project.folder, **pipes)  # type: ignore[call-overload]
    deadline = time.monotonic() + 200
    try:
        for number in range(5):
            topics.send(topic, *(b"%d" % (number * 100 + at) for at in range(100)))
            while landed(project) < (number + 1) * 100:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, out + err
    assert [row[1:] for row in places(project)] == [(at, str(at)) for at in range(500)]


def landed(project: Project) -> int:
    """Records so far; a round may take a part of what is being sent."""
    with suppress(TableNotFoundError):
        return sum(receipt["landed"] for receipt in Landed(project, "events").receipts.values())
    return 0
