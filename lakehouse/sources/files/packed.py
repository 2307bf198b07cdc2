"""Packed files (gzip, zstd): unpacked once, in a stream, into a private folder; everything else works on that copy.

Spark's own codecs would be a second opinion on every byte: gzip by a file's name alone, zstd not at all.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from lakehouse.errors import StorageError

BLOCK = 2**20
FREE, RATIO = 64 * 2**20, 200
"""A file may unpack to this many bytes, and so many times its own besides; what unpacks to more is taken for a bomb."""
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""What no UTF-8 text begins with."""


class UnpackError(ValueError):
    """The file can't be unpacked: it is torn, corrupt, or a bomb."""


class Scratch:
    """A private folder for the unpacked files of one batch: removed by ``close``, else with this object or at exit.

    What a killed run left there is removed by the next that unpacks: each folder in use is locked by its process.
    """

    def __init__(self, project: Path) -> None:
        self._above = project / ".cache" / "unpacked"
        self._folder: Path | None = None
        self._count = 0
        self._guard = threading.Lock()
        self._end: weakref.finalize[[Path, int], Scratch] | None = None

    def new_file(self) -> Path:
        """Where the next file goes. Its name is its number, from 0."""
        with self._guard:
            if self._folder is None:
                self._folder, lock = _made(self._above)
                self._end = weakref.finalize(self, _removed, self._folder, lock)
            self._count += 1
            return self._folder / str(self._count - 1)

    def close(self) -> None:
        if self._end is not None:
            self._end()


def packing(path: Path) -> str:
    """How the file is packed: gzip, zstd or, by its first bytes, not at all."""
    with path.open("rb") as file:
        head = file.read(len(ZSTD))
    return "gzip" if head.startswith(GZIP) else "zstd" if head == ZSTD else ""


def unpack(path: Path, kind: str, into: Path) -> None:
    """Write what the file holds; all its members or frames. Memory stays flat, checksums are checked.

    Raises UnpackError where it is torn, corrupt or a bomb, and StorageError where the disk is full.
    """
    most = FREE + RATIO * path.stat().st_size
    written = 0
    with into.open("wb") as file:
        for block in _gunzip(path) if kind == "gzip" else _unzstd(path):
            written += len(block)
            if written > most:
                raise UnpackError(f"it unpacks to more than {most:,} bytes, {RATIO} times its own: it may be a bomb")
            try:
                file.write(block)
            except OSError as error:
                raise full(into, error) from error


def _gunzip(path: Path) -> Iterator[bytes]:
    member, members = zlib.decompressobj(31), 0
    with path.open("rb") as file:
        while rest := file.read(BLOCK):
            while rest:
                if member.eof:
                    rest = rest.lstrip(b"\0")  # tapes pad
                    if not rest:
                        break
                    member = zlib.decompressobj(31)
                try:
                    yield member.decompress(rest, BLOCK)
                except zlib.error as error:
                    where = "after its last member stands what is not gzip" if members else "it is no sound gzip file"
                    raise UnpackError(f"{where}: {error}") from error
                rest = member.unconsumed_tail
                if member.eof:
                    rest, members = member.unused_data, members + 1
    while not member.eof and (block := member.decompress(b"", BLOCK)):
        yield block
    if not member.eof:
        raise UnpackError("its gzip stream ends too early: it may be torn")


def _unzstd(path: Path) -> Iterator[bytes]:
    try:
        with pa.input_stream(str(path), compression="zstd") as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        if error.errno:
            raise  # the disk, not the bytes
        raise UnpackError(f"it is no sound zstd file: {str(error).splitlines()[0]}") from error


def _made(above: Path) -> tuple[Path, int]:
    """A new folder and its lock, after those of killed runs are removed."""
    try:
        above.mkdir(parents=True, exist_ok=True)
        guard = _opened(above)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            for old in above.iterdir():
                lock = _opened(old)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(old, ignore_errors=True)
                except BlockingIOError:
                    pass  # a run that is alive
                finally:
                    os.close(lock)
            folder = Path(tempfile.mkdtemp(prefix="batch-", dir=above))
            lock = _opened(folder)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(guard)
    except OSError as error:
        raise StorageError(
            f"{above}: can't be written: {error.strerror}",
            hint="Files are unpacked and joined there: make it writable for this user, or free space.",
        ) from error
    return folder, lock


def _removed(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY)


def full(into: Path, error: OSError) -> Exception:
    """What is raised where the file can't be written."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return StorageError(
        f"{into.parent}: the disk is full", hint="Files are unpacked and joined there: free space, then run again."
    )
