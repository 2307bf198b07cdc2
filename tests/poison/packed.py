"""Packed CSV that is poisoned: torn, corrupt, lying and exploding archives."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib

import pyarrow as pa

from tests.poison.csv import AFTER, BEFORE, FIX, GOOD, HEAD, WHOLE_FIX
from tests.poison.kinds import Kind, whole

PLAIN = HEAD + BEFORE + AFTER
GZIP = gzip.compress(PLAIN)
BOMB = 2**26 + 2**25
"""Bytes: more than are free, and more than 200 times what they pack to."""


def packed_zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


def bomb(level: int = 9) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    block = b"0" * 2**20
    return b"".join(packer.compress(block) for _ in range(BOMB // 2**20)) + packer.flush()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("../../etc/x.csv")
        entry.size = len(PLAIN)
        archive.addfile(entry, io.BytesIO(PLAIN))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("/absolute.csv", PLAIN)
    return buffer.getvalue()


def spoiled(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def bad(name: str, content: bytes, reason: str) -> Kind:
    return whole(name, content, reason, WHOLE_FIX, f"{name}.csv.gz")


ZSTD = packed_zstd(PLAIN)
PACKED = [
    Kind("gz", GZIP, GOOD, path="gz.csv.gz"),
    Kind("gz-by-another-name", GZIP, GOOD, path="gz-by-another-name.csv"),
    Kind("plain-called-gz", PLAIN, GOOD, path="plain-called-gz.csv.gz"),
    Kind("gz-of-two-members", gzip.compress(HEAD + BEFORE) + gzip.compress(AFTER), GOOD),
    Kind("gz-with-padding", GZIP + b"\0" * 512, GOOD),
    Kind("gz-named-inside", b"\x1f\x8b\x08\x08\0\0\0\0\0\x03../../x\0" + GZIP[10:], GOOD),
    Kind(
        "gz-of-a-poisoned-csv",
        gzip.compress(HEAD + BEFORE + b"3,\xff\n" + AFTER),
        GOOD,
        ((b"3,\xff\n", "it is not UTF-8"),),
        FIX,
        "gz-of-a-poisoned-csv.csv.gz",
    ),
    Kind("zstd", ZSTD, GOOD, path="zstd.csv.zst"),
    bad("gz-torn", GZIP[:-9], "it may be torn"),
    bad("gz-without-checksum", GZIP[:-8], "it may be torn"),
    bad("gz-bad-checksum", spoiled(GZIP, len(GZIP) - 6), "it is no sound gzip file"),
    bad("gz-lying-length", spoiled(GZIP, len(GZIP) - 2), "it is no sound gzip file"),
    bad("gz-flipped", spoiled(GZIP, 12), "it is no sound gzip file"),
    bad("gz-header-alone", GZIP[:10], "it may be torn"),
    bad("gz-garbage-behind", GZIP + b"garbage", "after its last member stands what is not gzip"),
    bad("gz-bomb", bomb(), "it may be a bomb"),
    bad("gz-in-gz", gzip.compress(GZIP), "its header"),
    bad("gz-of-nothing", gzip.compress(b""), "the file is empty"),
    bad("tar-that-climbs", tar(), "NUL byte"),
    bad("zip-absolute", zipped(), "its header"),
    bad("zstd-torn", ZSTD[:-5], "it is no sound zstd file"),
    bad("zstd-flipped", spoiled(ZSTD, 4), "it is no sound zstd file"),
]
