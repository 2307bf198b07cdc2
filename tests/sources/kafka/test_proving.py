"""Values are proved in the files that were written: one that is no record is found wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.sources.kafka import planning
from lakehouse.sources.kafka.proving import ROWS, sound
from tests.sources.kafka.landed import Reading, take
from tests.sources.kafka.producing import Topics

MANY = 3 * ROWS


def written(folder: Path, *files: list[bytes | None], dictionary: bool = False) -> list[Path]:
    """Files as Spark writes them: the bytes as they came, under the name of a text."""
    paths = [folder / f"{number}.parquet" for number in range(len(files))]
    for path, values in zip(paths, files, strict=True):
        texts = pa.array(values, pa.binary()).view(pa.string())
        pq.write_table(pa.table({"value": texts}), path, row_group_size=ROWS + 1, use_dictionary=dictionary)
    return paths


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize("bad", [b'{"a":1,"a":2}', b"{", b'{"a":"\xff"}', b"", b"[1]"])
def test_one_bad_value_is_found_wherever_it_stands(tmp_path: Path, bad: bytes, dictionary: bool) -> None:
    good: list[bytes | None] = [b'{"a":%d}' % (number % 7) if number % 5 else None for number in range(MANY)]
    assert sound("json", written(tmp_path, good, good[:3], [], dictionary=dictionary))
    for at in (0, ROWS, ROWS + 1, MANY):
        assert not sound("json", written(tmp_path, good[:3], [*good[:at], bad, *good[at:]], dictionary=dictionary))
    not_utf8 = bad == b'{"a":"\xff"}'
    assert sound("text", written(tmp_path, good, [*good, bad], dictionary=dictionary)) is not not_utf8
    assert sound("binary", written(tmp_path, [bad]))


def test_values_that_are_there_many_times_take_no_memory_for_each(tmp_path: Path) -> None:
    value = b'{"a":"%s"}' % (b"x" * 40_000)
    files = written(tmp_path, [value] * MANY, dictionary=True)
    assert files[0].stat().st_size < 2**20
    usual = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counting)
    try:
        assert sound("json", files)
    finally:
        pa.set_memory_pool(usual)
    peak = counting.max_memory()
    assert peak is not None and 0 < peak < 2**29  # all together are 120 MB, several times


def reads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each value is judged in it, for each read of the topic."""
    found: list[bool] = []
    real = planning.read

    def counted(*given: Any, judging: bool, **named: Any) -> Any:
        found.append(judging)
        return real(*given, judging=judging, **named)

    monkeypatch.setattr(planning, "read", counted)
    return found


def test_sound_values_are_read_once(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reads(monkeypatch)
    topics.send(topic, *(b'{"n":%d,"of":{"k%d":[1.5]}}' % (number, number) for number in range(300)), None)
    assert take(reading()) == (301, 0)
    assert found == [False]


def test_once_a_value_is_doubted_the_rest_of_the_run_is_judged_as_it_is_read(
    reading: Reading, topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = reads(monkeypatch)
    topics.send(topic, *(b'{"n":1}', b'{"n":2}', b'{"n":3', b'{"n":4}', b"[5]", b"{", b'{"n":7}'))
    project = reading(max_records=2)
    assert take(project) == (5, 2)
    assert found == [False, False, True, True, True]
    topics.send(topic, b'{"n":8}')
    assert take(project) == (1, 0)
    assert found[5:] == [False]
    left = {path.name for path in (project.path("bronze.events") / "_kind=record").glob("*.parquet")}
    known = {uri.rpartition("/")[2] for uri in DeltaTable(str(project.path("bronze.events"))).file_uris()}
    assert left <= known  # what was written before a value was doubted is gone
