"""Law 2 for every kind of source at once: kill -9 while all are ingested, again and again; each record lands once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.laws.children import KILLS, Children
from tests.laws.corpus import seeds
from tests.sources.jdbc.server import PASSWORD, Postgres
from tests.sources.kafka.broker import Broker
from tests.sources.kafka.producing import Topics
from tests.sources.test_every_kind import OWN, append_lines

CHAINS, QUICK = 40, 1
SOURCES = """
  csv: {{type: files, format: csv, path: data/raw/*.csv}}
  kafka: {{type: kafka, servers: "{servers}", topic: "{topic}", value: text}}
  jdbc: {{type: jdbc, url: "{url}", user: lake, password: "${{env:DB_PASSWORD}}", table: public.{table}, cursor: id}}
  own: {{type: jobs.lines.Lines, options: {{file: lines.txt}}}}"""
VALUE = {"csv": "v", "kafka": "value", "jdbc": "v", "own": "v"}


@pytest.fixture(scope="module")
def children(engine: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    made = Children(engine, tmp_path_factory.mktemp("children"), {"DB_PASSWORD": PASSWORD})
    yield made
    made.close()


@pytest.mark.parametrize("seed", seeds("tests/sources/test_killed.py::test_kill_9", quick=QUICK, every=CHAINS))
def test_kill_9(
    make_project: Any,
    monkeypatch: pytest.MonkeyPatch,
    children: Children,
    broker: Broker,
    topics: Topics,
    postgres: Postgres,
    seed: int,
) -> None:
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    topic, table = topics.make(f"killed-{seed}"), f"killed_{seed}"
    postgres.sql(f"CREATE TABLE public.{table} (id serial, v text)")
    project = make_project(
        SOURCES.format(servers=broker.servers, topic=topic, url=postgres.url, table=table).removeprefix("\n")
    )
    (project.folder / "jobs" / "lines.py").write_text(OWN)
    raw = project.folder / "data" / "raw"
    send: Mapping[str, Callable[[list[str]], object]] = {
        "csv": lambda values: (raw / f"{values[0]}.csv").write_text("v\n" + "".join(f"{value}\n" for value in values)),
        "kafka": lambda values: topics.send(topic, *(value.encode() for value in values)),
        "jdbc": lambda values: postgres.sql(
            f"INSERT INTO public.{table} (v) VALUES {', '.join(f'($${value}$$)' for value in values)}"
        ),
        "own": lambda values: append_lines(project.folder / "lines.txt", values),
    }
    draw, sent = random.Random(seed), Counter[tuple[str, str]]()
    rounds = count(1)

    def send_some(kills: int) -> None:
        number = next(rounds)
        assert number < 20 * KILLS, f"{kills} kills of {KILLS} hit a run"
        for name in draw.sample(sorted(send), draw.randrange(1, 5)):
            values = [f"{number}-{each}" for each in range(draw.randrange(1, 6))]
            send[name](values)
            sent.update((name, value) for value in values)

    codes = (0, 1, 4, 5)
    children.killed_again_and_again(project, "ingest", draw=draw, send=send_some, later=0.1, codes=codes)
    report = ingest(project, wait=60)
    assert report.exit_code == 0, [str(result.error) for result in report.results if result.error]
    assert landed(project, sorted(name for name, _ in sent)) == sent


def landed(project: Project, names: list[str]) -> Counter[tuple[str, str]]:
    """Counted by source and value; law 1 is looked at for each batch."""
    return Counter(
        (name, row[VALUE[name]]) for name in dict.fromkeys(names) for row in Landed(project, name).kinds["record"]
    )
