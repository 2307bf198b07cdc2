"""Packed files: unpacked exactly or rejected whole, in flat memory, and no copy stays behind."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.config import FilesSource
from lakehouse.errors import ContractError
from lakehouse.sources.files import packed
from lakehouse.sources.files.packed import Scratch, UnpackError, packing, unpack
from lakehouse.sources.files.planning import plan_batch
from lakehouse.tables.batch import Batch

DATA = b"a,b\n" + b"".join(b"%d,%x\n" % (number, number * 7919) for number in range(5000))


def zstd(data: bytes) -> bytes:
    found: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return found


def planned(folder: Path, data: bytes, kind: Any = "csv") -> Batch:
    (folder / "raw").mkdir(exist_ok=True)
    (folder / "raw" / "f").write_bytes(data)
    batch = plan_batch("s", FilesSource(type="files", format=kind, path="raw/*"), folder, [])
    assert batch is not None
    return batch


def copies(folder: Path) -> list[Path]:
    return [path for path in (folder / ".cache" / "unpacked").rglob("*") if path.is_file()]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("seed", range(3))
def test_what_was_packed_is_unpacked(tmp_path: Path, pack: Any, seed: int) -> None:
    rng = Random(seed)
    parts = [rng.randbytes(rng.choice([0, 1, 100, 3 * 2**20])) + b"x" * rng.choice([0, 2**21]) for _ in range(4)]
    path = tmp_path / "f"
    path.write_bytes(b"".join(map(pack, parts)))
    kind = packing(path)
    assert kind == ("gzip" if pack is gzip.compress else "zstd")
    unpack(path, kind, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"".join(parts)


DEFECTS = {
    "cut": lambda data: data[: len(data) // 2],
    "cut in its check": lambda data: data[:-1],
    "cut in its head": lambda data: data[:9],
    "a flipped bit": lambda data: data[:3000] + bytes([data[3000] ^ 16]) + data[3001:],
    "bytes after it": lambda data: data + b"not packed",
    "a second one cut": lambda data: data + data[:-5],
}


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_one_reject_byte_for_byte(tmp_path: Path, pack: Any, defect: str) -> None:
    data = DEFECTS[defect](pack(DATA))
    if pack is zstd and defect == "a flipped bit":
        data = data[:5] + bytes([data[5] ^ 255]) + data[6:]  # no checksum in a frame without one: break its structure
    batch = planned(tmp_path, data)
    assert batch.records == 0
    ((raw, line, reason),) = [(reject.raw, reject.line, reject.reason) for reject in batch.rejects]
    assert (raw, line) == (data, 0)
    assert "gzip" in reason or "zstd" in reason
    assert [part.columns for part in batch.parts] == [()]
    assert copies(tmp_path) == []


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_bomb_is_rejected_in_flat_memory(tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "FREE", 2**20)
    data = pack(b"a\n" + b"1\n" * (100 * 2**20))
    path = tmp_path / "f"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(UnpackError, match=f"more than {2**20 + 200 * len(data):,} bytes, 200 times its own"):
        unpack(path, packing(path), tmp_path / "copy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20
    assert (tmp_path / "copy").stat().st_size <= 2**20 + 200 * len(data)
    batch = planned(tmp_path, data)
    assert (batch.records, [reject.raw for reject in batch.rejects]) == (0, [data])


def test_what_is_wrong_inside_keeps_the_packed_bytes(tmp_path: Path) -> None:
    data = gzip.compress(b"a,a\n1,2\n")
    (reject,) = planned(tmp_path, data).rejects
    assert (reject.raw, reject.line) == (data, 0)
    assert "'a' is there twice" in reject.reason


def test_a_large_one_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakehouse.sources.files import inspection

    monkeypatch.setattr(inspection, "LARGEST_REJECT", 100)
    with pytest.raises(ContractError, match=r"raw/f: .*it may be torn"):
        planned(tmp_path, gzip.compress(DATA)[:-1])
    assert copies(tmp_path) == []


@pytest.mark.parametrize("kind", ["csv", "json", "text"])
def test_copies_are_there_as_long_as_the_batch(tmp_path: Path, kind: str) -> None:
    data = gzip.compress({"csv": b"a\n1\n", "json": b'{"a":1}\n', "text": b"a\n"}[kind])
    batch = planned(tmp_path, data, kind)
    assert len(copies(tmp_path)) == batch.records == 1
    batch.close()
    batch.close()
    assert copies(tmp_path) == []
    batch = planned(tmp_path, data, kind)
    assert len(copies(tmp_path)) == 1
    del batch
    assert copies(tmp_path) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from lakehouse.sources.files.packed import Scratch; "
        "s = Scratch(Path(sys.argv[1])); s.new_file().write_bytes(b'x'); print(flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdin=-1, stdout=-1)
    assert child.stdout is not None and child.stdin is not None
    child.stdout.readline()
    alive = Scratch(tmp_path)
    alive.new_file().write_bytes(b"y")
    assert len(copies(tmp_path)) == 2  # of a run that is alive nothing is touched
    child.send_signal(signal.SIGKILL)
    child.communicate()
    again = Scratch(tmp_path)
    again.new_file()
    assert [path.read_bytes() for path in copies(tmp_path)] == [b"y"]


def test_what_is_refused_takes_its_neighbours_copies_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakehouse.sources.files import inspection

    monkeypatch.setattr(inspection, "LARGEST_REJECT", 100)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a").write_bytes(gzip.compress(b"a\n1\n"))
    with pytest.raises(ContractError) as caught:
        planned(tmp_path, gzip.compress(DATA)[:-1])
    assert "raw/f" in caught.value.message
    assert copies(tmp_path) == []
