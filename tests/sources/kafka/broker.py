"""A real Kafka broker for tests: one node without ZooKeeper, in a folder and on ports of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from lakehouse.spark.cache import cache_folder
from lakehouse.spark.jars import Jar, fetch_jars, spark_home
from lakehouse.spark.java import find_java
from tests.sources.kafka import certificates
from tests.sources.kafka.certificates import Certificates

PINS = Path(__file__).with_name("broker_jars.txt")
"""organisation:name:version:sha256, as Ivy resolved them for org.apache.kafka:kafka_2.13:4.1.0."""
FROM_SPARK = ("scala-library-*.jar", "scala-reflect-*.jar", "slf4j-api-*.jar")
PASSWORD = "p\"a\\s;s = w'ö${x}\\n"
"""Of the user ``alice``: all that JAAS and properties give a meaning to."""
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
SCRAM_PASSWORD = "scr4m-s3cret"
"""Of the user ``bob``, who is known on the listener with TLS."""


def broker_jars() -> list[Path]:
    """The broker's class path; fetched once into the user's cache, each held to its checksum."""
    jars = tuple(Jar(*line.split(":")) for line in PINS.read_text().split())
    folder = cache_folder() / "kafka-4.1.0"
    fetch_jars(jars, folder)
    shipped = [path for pattern in FROM_SPARK for path in (spark_home() / "jars").glob(pattern)]
    return [*(folder / jar.file for jar in jars), *shipped]


@dataclass
class Broker:
    folder: Path
    port: int = field(default_factory=lambda: free_port())
    sasl_port: int = field(default_factory=lambda: free_port())
    tls_port: int = field(default_factory=lambda: free_port())
    scram_port: int = field(default_factory=lambda: free_port())
    process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def sasl_servers(self) -> str:
        """The same broker, for who knows the password."""
        return f"127.0.0.1:{self.sasl_port}"

    @property
    def tls_servers(self) -> str:
        """The same broker, encrypted; just where openssl is there."""
        return f"127.0.0.1:{self.tls_port}"

    @property
    def scram_servers(self) -> str:
        """The same, encrypted, for who knows the password."""
        return f"127.0.0.1:{self.scram_port}"

    @property
    def certificates(self) -> Certificates:
        return Certificates(self.folder / "certificates")

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "server.properties"
        if not settings.exists():
            settings.write_text(self._settings(free_port()))
            if certificates.AVAILABLE:
                self.certificates.make()
            tool = ("kafka.tools.StorageTool", "format", "-t", "bGFrZWhvdXNlLXRlc3RzLQ", "-c", str(settings))
            users = [("--add-scram", f"{kind}=[name=bob,password={SCRAM_PASSWORD}]") for kind in SCRAM]
            words = self._java(*tool, *chain(*users))
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(self._java("kafka.Kafka", str(settings)), stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not (answers(self.port) and answers(self.sasl_port)):
            said = (self.folder / "broker.log").read_text(errors="replace")[-3000:]
            assert self.process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.1)

    def pause(self) -> None:
        """It keeps its connections and says nothing, until it goes on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _java(self, *words: str) -> list[str]:
        path = ":".join(map(str, broker_jars()))
        heap = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        return [str(find_java().executable), *heap, "-cp", path, *words]

    def _settings(self, controller: int) -> str:
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        jaas = f'{module} required user_alice="{_in_jaas(PASSWORD)}";'
        listeners = {"PLAINTEXT": self.port, "SASL_PLAINTEXT": self.sasl_port, "CONTROLLER": controller}
        if certificates.AVAILABLE:
            listeners |= {"SSL": self.tls_port, "SASL_SSL": self.scram_port}
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{name}" for name in listeners).replace(
                "CONTROLLER:CONTROLLER", "CONTROLLER:PLAINTEXT"
            ),
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_plaintext.plain.sasl.jaas.config": _in_properties(jaas),
            **(self._encrypted() if certificates.AVAILABLE else {}),
            "log.dirs": str(self.folder / "data"),
            "log.retention.ms": "-1",  # what tests send is dated, and old
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "log.cleaner.backoff.ms": "100",  # it compacts as soon as it may
            "log.cleaner.min.cleanable.ratio": "0.001",
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items())

    def _encrypted(self) -> dict[str, str]:
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        logins = {f"listener.name.sasl_ssl.{kind.lower()}.sasl.jaas.config": login for kind in SCRAM}
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates.broker),
            "listener.name.sasl_ssl.sasl.enabled.mechanisms": ",".join(SCRAM),
            **logins,
        }


def _in_jaas(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _in_properties(text: str) -> str:
    return "".join(c if ord(c) < 128 else f"\\u{ord(c):04x}" for c in text.replace("\\", "\\\\"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
