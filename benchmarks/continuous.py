"""From an event in Kafka to a window feature in Redis: ``lakehouse run --continuous``, as a loop in one process.

``python -m benchmarks.continuous FOLDER SERVERS REDIS MINUTES`` is the application; a thread of it writes the events,
and another looks features up, so both are among what is measured. Kafka's producer, broker and Redis are processes of
their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped, unused-ignore]

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError
from benchmarks.window_project import write_project
from benchmarks.workbench import Workbench
from lakehouse.spark.cache import cache_folder
from lakehouse.spark.jars import Jar, fetch_jars
from lakehouse.spark.java import find_java

RATE, KEYS = 500, 50
"""Events a second, over so many keys."""
TOOLS = Jar(
    "org.apache.kafka", "kafka-tools", "4.1.0", "1c2836cee57a947d2db461410ac5008ca80facbd19b7ed9d284ca883782ea741"
)
"""Kafka's own producer of what it reads, a line a message."""
MINUTES = 30
WARM_S = 60.0
"""What was sent before counts for nothing: the first rounds compile."""
P50_S, P95_S = 5.0, 9.0
EVERY = 0.1
"""The pause after each round, the least that the command takes."""
TABLES = '''
from pyspark.sql import functions as F
from lakehouse import gold, silver

@silver.table(key=["at", "seq"])
def events(bronze_events):
    """One row an event."""
    fields = {name: F.get_json_object("value", f"$.{name}") for name in ("seq", "k", "v", "at")}
    return bronze_events.select(
        fields["seq"].try_cast("bigint").alias("seq"), fields["k"].alias("k"),
        fields["v"].try_cast("double").alias("v"),
        F.timestamp_micros(fields["at"].try_cast("bigint")).alias("at"),
    )

load = gold.windows(
    of="silver.events", entity="k", at="at",
    features=[
        gold.count(over=["1h", "1d"]), gold.mean("v", over=["1h", "7d"]), gold.max("v", over="1d"), gold.last("seq"),
    ],
)
'''
DEFINITIONS = """
from feast import Entity, ValueType
from lakehouse.features.view import feature_view
from jobs import bench

key = Entity(name="k", join_keys=["k"], value_type=ValueType.STRING)
load = feature_view(bench.load, entity=key, ttl=None)
"""


def continuous(bench: Workbench) -> Iterator[Figure]:
    """How long an event takes to be looked up, and whether that and the memory stay as they are."""
    from tests.online.redis_server import RedisServer
    from tests.sources.kafka.broker import Broker

    folder, minutes = bench.folder / "continuous", bench.rounds(MINUTES)
    broker, redis = Broker(folder / "broker"), RedisServer()
    try:
        broker.start()
        bench.begin()
        words = ("-m", "benchmarks.continuous", str(folder), broker.servers, str(redis.port), str(minutes))
        done = bench.python(*words, limit_s=minutes * 60 + 600)
    finally:
        broker.stop()
        redis.close()
    found = json.loads(done.stdout.splitlines()[-1])
    how = (
        f"{RATE} events a second for {minutes} minutes, {KEYS} keys, sent to a topic each 10 ms, with the loop of "
        f"`lakehouse run --continuous --every {EVERY}`, until a look-up gives what it made of its key's windows; "
        f"{found['rounds']} rounds of ingest, build and publish, the longest {found['longest_s']:.1f} s; CPU "
        f"{found['cpu']:.2f} of 2 cores, sending and looking up included"
    )
    for name, goal in (("p50", P50_S), ("p95", P95_S)):
        yield bench.figure(f"continuous: event to online, {name}", "s", found[name], goal=goal, how=how)
    yield bench.figure(
        "continuous: p50 in the last fifth to that in the first",
        "×",
        found["last"] / found["first"],
        how=f"{found['last']:.1f} and {found['first']:.1f} s",
    )
    yield bench.figure(
        "continuous: memory at the end to that after a fifth",
        "×",
        found["memory"][1] / found["memory"][0],
        goal=1.25,
        how=f"resident, Python and JVM: {found['memory'][1]:.2f} and {found['memory'][0]:.2f} GiB",
    )


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.features import registry
    from lakehouse.pipeline import run
    from lakehouse.pipeline.following import LONG_RUN, follow
    from lakehouse.spark.session import open_session, sessions_with
    from tests.sources.kafka.producing import Topics

    folder, servers, redis, seconds = Path(words[0]), words[1], words[2], float(words[3]) * 60
    source = f'{{type: kafka, servers: "{servers}", topic: events, value: text}}'
    write_project(folder, int(redis), TABLES, DEFINITIONS, source)
    registry.register()
    project = load_project(folder)
    with sessions_with(LONG_RUN):
        topics = Topics(open_session(project), servers)
    topics.make("events", 2)
    sent: list[float] = []
    seen: list[tuple[int, float]] = []
    over, rounds, memory = threading.Event(), list[float](), list[tuple[float, float]]()
    began, process = time.time(), psutil.Process()
    producer = _producer(servers)
    cpu = _cpu(process, producer.pid)
    threads = [threading.Thread(target=_send, args=(producer, sent, over), daemon=True)]
    threads.append(threading.Thread(target=_look, args=(project, seen, over), daemon=True))

    def pause(rest: float) -> bool:
        time.sleep(rest)
        memory.append((time.time() - began, _memory(process, producer.pid)))
        return time.time() - began > seconds

    for thread in threads:
        thread.start()
    while len(sent) < RATE:
        if producer.poll() is not None:
            raise BenchmarkError(f"Kafka's producer ended with {producer.returncode}")
        time.sleep(0.1)
    for report in follow(project, run, pause=pause, every=EVERY):
        if report.exit_code:
            raise BenchmarkError("; ".join(result.note for result in report.results if result.error))
        rounds.append(report.seconds)
    used = _cpu(process, producer.pid) - cpu
    over.set()
    for thread in threads:
        thread.join()
    producer.communicate(timeout=60)
    print(
        json.dumps(
            {
                **_said(sent, seen, began),
                "rounds": len(rounds),
                "longest_s": max(rounds[3:]),
                "cpu": used / (time.time() - began),
                "memory": _ends(memory),
            }
        )
    )


def _said(sent: list[float], seen: list[tuple[int, float]], began: float) -> dict[str, float]:
    """How long each event took, of those that were sent when all was warm and that were seen."""
    known: dict[int, int] = {}
    took: list[tuple[float, float]] = []
    for seq, at in seen:
        key = seq % KEYS
        for one in range(known.get(key, key - KEYS) + KEYS, seq + 1, KEYS):
            took.append((sent[one], at - sent[one]))
        known[key] = max(known.get(key, -1), seq)
    warm = np.array([wait for when, wait in took if when - began > WARM_S] or [np.nan])
    fifth = max(len(warm) // 5, 1)
    return {
        "p50": float(np.percentile(warm, 50)),
        "p95": float(np.percentile(warm, 95)),
        "first": float(np.median(warm[:fifth])),
        "last": float(np.median(warm[-fifth:])),
    }


def _producer(servers: str) -> subprocess.Popen[bytes]:
    from tests.sources.kafka.broker import broker_jars

    folder = cache_folder() / f"kafka-tools-{TOOLS.version}"
    fetch_jars((TOOLS,), folder)
    jars = ":".join(map(str, [folder / TOOLS.file, *broker_jars()]))
    tool = ("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", servers, "--topic", "events")
    words = [str(find_java().executable), "-Xmx128m", "-XX:+UseSerialGC", "-cp", jars, *tool, "--timeout", "0"]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _send(producer: subprocess.Popen[bytes], sent: list[float], over: threading.Event) -> None:
    assert producer.stdin is not None
    begin = time.time()
    while not over.is_set():
        due = int((time.time() - begin) * RATE)
        for seq in range(len(sent), due):
            now = time.time()
            value = {"seq": str(seq), "k": str(seq % KEYS), "v": str(seq % 997 / 7), "at": str(int(now * 1e6))}
            producer.stdin.write(json.dumps(value).encode() + b"\n")
            sent.append(now)
        producer.stdin.flush()
        time.sleep(0.01)


def _look(project: Any, seen: list[tuple[int, float]], over: threading.Event) -> None:
    from lakehouse.features.repository import open_store

    store = None
    asked = {"k": [str(key) for key in range(KEYS)]}
    newest: dict[int, int] = {}
    while not over.is_set():
        time.sleep(0.1)
        try:
            store = store or open_store(project)
            found = store.get_online_features(["load:seq_last"], asked).to_dict()["seq_last"]
        except Exception:  # not applied yet
            store = None
            continue
        now = time.time()
        for key, seq in enumerate(found):
            if seq is not None and seq > newest.get(key, -1):
                newest[key] = seq
                seen.append((seq, now))


def _cpu(process: psutil.Process, but: int) -> float:
    return float(sum(sum(one.cpu_times()[:2]) for one in _tree(process, but)))


def _memory(process: psutil.Process, but: int) -> float:
    return float(sum(one.memory_info().rss for one in _tree(process, but))) / 2**30


def _tree(process: psutil.Process, but: int) -> list[psutil.Process]:
    """The process and what it began, without Kafka's producer."""
    return [process, *(one for one in process.children(recursive=True) if one.pid != but)]


def _ends(memory: list[tuple[float, float]]) -> list[float]:
    """After a fifth of the time, and at the end; the most of three rounds each."""
    fifth = next(spot for spot, (at, _) in enumerate(memory) if at >= memory[-1][0] / 5)
    return [max(one for _, one in part) for part in (memory[fifth : fifth + 3], memory[-3:])]


if __name__ == "__main__":
    main(sys.argv[1:])
