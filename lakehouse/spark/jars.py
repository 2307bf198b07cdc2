"""The jars that Spark needs beyond its own: pinned by checksum, fetched once with the Ivy that pyspark ships."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lakehouse.errors import SetupError
from lakehouse.spark.cache import cache_folder
from lakehouse.spark.java import find_java


@dataclass(frozen=True)
class Jar:
    organisation: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.jar"


JARS = (
    Jar("io.delta", "delta-kernel-api", "4.4.0", "ee9b5a14ac3b7efdff4d61a58478fe8eb0e5a3fbca43889dca7290795fe79a11"),
    Jar(
        "io.delta", "delta-kernel-defaults", "4.4.0", "225c975199e4718b38ee5b7e6da7f19e9585024262b2cec2656b32151a856b0b"
    ),
    Jar(
        "io.delta",
        "delta-kernel-unitycatalog",
        "4.4.0",
        "cea22dfb4ac562b3cd27bf652697750e8336009d73fb06631363aaaad5345ffa",
    ),
    Jar("io.delta", "delta-spark_2.13", "4.4.0", "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead"),
    Jar("io.delta", "delta-storage", "4.4.0", "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc"),
    Jar(
        "org.apache.commons",
        "commons-pool2",
        "2.13.1",
        "f77a5060d6936a9144023584232f9de3f2248f1abfe156e9d31795f18770674f",
    ),
    Jar(
        "org.apache.kafka", "kafka-clients", "3.9.2", "014b4ef36884478a932641818b080c36a8f8e2e92dc771e800c9d2694f4f83d8"
    ),
    Jar(
        "org.apache.spark",
        "spark-sql-kafka-0-10_2.13",
        "4.2.0",
        "64539c45e5d39f7ddb747312c239f38f5208d08c1a0ddf7d70beb2fbd9373705",
    ),
    # Of the token provider the registries have nothing newer; it is asked for nothing without Kerberos.
    Jar(
        "org.apache.spark",
        "spark-token-provider-kafka-0-10_2.13",
        "4.0.0",
        "f2be3b76f9e6cbe63379d4e4e0dc14f59dbf056ae2ad16ff15ac108004c86767",
    ),
    Jar("org.postgresql", "postgresql", "42.7.8", "2a32a9dcbc42d67a50ad3a0de5efd102c8d2be46720045f2cbd6689f160ab7c7"),
)

TRUST_STORE = Path("/etc/ssl/certs/java/cacerts")
"""Where Debian keeps the system's certificates for Java; a Java that we bring knows no company's own."""


def jars_folder() -> Path:
    """The folder that holds exactly the pinned jars; named after their checksums, so a new pin is a new folder."""
    mark = hashlib.sha256("".join(jar.sha256 for jar in JARS).encode()).hexdigest()[:12]
    return cache_folder() / f"jars-{mark}"


def missing_jars(jars: tuple[Jar, ...] = JARS, folder: Path | None = None) -> tuple[Jar, ...]:
    """Those that are not there, or not what they should be by size and checksum."""
    return tuple(jar for jar in jars if _sha256((folder or jars_folder()) / jar.file) != jar.sha256)


def fetch_jars(jars: tuple[Jar, ...] = JARS, folder: Path | None = None) -> Path:
    """Fetch what is missing and return the folder. Raises SetupError when one can't be had or differs."""
    folder = folder or jars_folder()
    missing = missing_jars(jars, folder)
    if not missing:
        return folder
    with tempfile.TemporaryDirectory(dir=cache_folder()) as name:
        draft = Path(name)
        (draft / "ivy.xml").write_text(_ivy(missing))
        done = subprocess.run(_command(draft), capture_output=True, text=True, check=False)
        folder.mkdir(exist_ok=True)
        for jar in missing:
            fetched = draft / "jars" / jar.file
            found = _sha256(fetched)
            if found is None:
                raise SetupError(
                    f"{jar.file} could not be fetched: {_reason(done)}", hint=_hint(done.stdout + done.stderr, folder)
                )
            if found != jar.sha256:
                raise SetupError(
                    f"{jar.file} has the checksum {found}, not the pinned {jar.sha256}: it was not kept",
                    hint="Ask who runs your package mirror why it serves other bytes than the project pinned.",
                )
            fetched.replace(folder / jar.file)
    return folder


def spark_home() -> Path:
    """The folder of the installed pyspark. Raises SetupError where the extra ``spark`` is not installed."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise SetupError("pyspark is not installed", hint="Install the extra: pip install 'lakehouse[spark]'.")
    return Path(spec.origin).parent


def _command(draft: Path) -> list[str]:
    ivy = next((spark_home() / "jars").glob("ivy-*.jar"))
    trust = [f"-Djavax.net.ssl.trustStore={TRUST_STORE}"] if TRUST_STORE.exists() else []
    return [
        *(str(find_java().executable), *trust, "-jar", str(ivy)),
        *("-ivy", str(draft / "ivy.xml"), "-cache", str(draft / "cache")),
        *("-retrieve", str(draft / "jars" / "[artifact]-[revision].[ext]")),
    ]


def _ivy(jars: tuple[Jar, ...]) -> str:
    wanted = "\n".join(
        f'    <dependency org="{jar.organisation}" name="{jar.name}" rev="{jar.version}" transitive="false"/>'
        for jar in jars
    )
    return f"""<ivy-module version="2.0">
  <info organisation="lakehouse" module="jars"/>
  <configurations defaultconfmapping="default->master"><conf name="default"/></configurations>
  <dependencies>
{wanted}
  </dependencies>
</ivy-module>
"""


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    words = ("PKIX", "UnknownHost", "refused", "timed out", "not found", "ERROR")
    return next((line for line in lines if any(word in line for word in words)), f"Ivy ended with {done.returncode}")


def _hint(output: str, folder: Path) -> str:
    if "PKIX" in output:
        return (
            "This Java does not know your network's own certificate. Name a truststore that does: "
            "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE"
        )
    return f"Check the network or the mirror, or put the jar into {folder} yourself, then run 'lakehouse doctor'."


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
