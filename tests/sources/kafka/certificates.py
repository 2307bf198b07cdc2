"""Certificates for one test run, as openssl makes them: an authority, and a broker's at 127.0.0.1 that it signed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

AVAILABLE = shutil.which("openssl") is not None


@dataclass(frozen=True)
class Certificates:
    folder: Path

    @property
    def authority(self) -> Path:
        """What a client is to trust."""
        return self.folder / "ca.pem"

    @property
    def broker(self) -> Path:
        """The broker's key and certificate."""
        return self.folder / "broker.pem"

    def make(self) -> None:
        self.folder.mkdir(parents=True)
        self._sign("ca", "/CN=tests")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
        self._sign("server", "/CN=broker", *signed, "-addext", "subjectAltName=IP:127.0.0.1")
        parts = [(self.folder / name).read_text() for name in ("server.key", "server.pem")]
        self.broker.write_text("".join(parts))

    def _sign(self, name: str, subject: str, *more: str) -> None:
        words = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject)
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem")
        done = subprocess.run([*words, *files, *more], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
