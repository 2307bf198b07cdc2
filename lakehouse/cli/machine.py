"""What ``lakehouse doctor`` looks at, each a function of the project (or None) that returns a finding."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lakehouse.config import Project

PINNED = {"pyspark": "4.2.0", "delta-spark": "4.4.0"}
"""Versions that go together; another pair was not run."""
LITTLE_DISK, TOO_LITTLE_DISK = 5e9, 1e9
"""Bytes."""
NETWORK = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "lustre", "ceph", "gluster")


@dataclass(frozen=True)
class Finding:
    what: str
    state: Literal["ok", "warning", "problem"]
    said: str
    mend: str = ""
    """What to do about it."""


def python(project: Project | None) -> Finding:
    return Finding("python", "ok", f"{sys.version.split()[0]} in {sys.prefix}")


def packages(project: Project | None) -> Finding:
    found = {name: _version(name) for name in PINNED}
    if found["pyspark"] is None:
        mend = "Install the extra: pip install 'lakehouse[spark]'. Reading tables and features needs none of it."
        return Finding("packages", "warning", "pyspark is not installed: tables can be read, not written", mend)
    wrong = [
        f"{name} {version or 'missing'}, not {PINNED[name]}"
        for name, version in found.items()
        if version != PINNED[name]
    ]
    if wrong:
        wanted = " ".join(f"{name}=={version}" for name, version in PINNED.items())
        return Finding(
            "packages", "problem", ", ".join(wrong), f"Install the pair that goes together: pip install {wanted}"
        )
    return Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items()))


def java(project: Project | None) -> Finding:
    from lakehouse.spark import find_java

    found = find_java()
    return Finding("java", "ok", f"{found.version} from {found.found}: {found.home}")


def jars(project: Project | None) -> Finding:
    from lakehouse.spark import jars_folder, missing_jars

    missing = missing_jars()
    if missing:
        said = f"missing, or not by their checksum: {', '.join(jar.file for jar in missing)}"
        mend = f"The first run fetches them; without a network put them into {jars_folder()}."
        return Finding("jars", "warning", said, mend)
    return Finding("jars", "ok", f"by their checksums in {jars_folder()}")


def certificates(project: Project | None) -> Finding:
    from lakehouse.spark import find_java, missing_jars
    from lakehouse.spark.jars import TRUST_STORE

    own = [
        name for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT") if os.environ.get(name)
    ]
    if not own or not missing_jars():
        return Finding(
            "network", "ok", "jars are here" if not missing_jars() else "no certificates of a company are set"
        )
    options = f"{os.environ.get('JAVA_TOOL_OPTIONS', '')} {os.environ.get('JDK_JAVA_OPTIONS', '')}"
    if "trustStore" in options or TRUST_STORE.exists():
        return Finding("network", "ok", f"{own[0]} is set, and Java has a truststore")
    return Finding(
        "network",
        "warning",
        f"{own[0]} is set, but Java ({find_java().found}) does not read it: fetching jars may end with 'PKIX …'",
        "Name a truststore: export JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=FILE "
        "(make one: keytool -importcert -file CERTIFICATE -keystore FILE).",
    )


def file_system(project: Project | None) -> Finding:
    """Tries, in the root itself, what commits rely on: exclusive creation, atomic renaming, locks between processes."""
    folder = _nearest(project.root if project else Path.cwd())
    kind = _file_system_of(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".lakehouse-doctor-") as name:
        failed = [what for what, holds in _promises(Path(name)).items() if not holds]
    if failed:
        mend = "Put root on a local disk (ext4, xfs, apfs), or another file system that keeps these promises."
        return Finding("file system", "problem", f"{kind} in {folder} does not hold: {', '.join(failed)}", mend)
    if kind.startswith(NETWORK):
        mend = "Write from one machine only: its promises between machines can't be tried from here."
        return Finding("file system", "warning", f"{kind} in {folder} is shared over a network", mend)
    return Finding("file system", "ok", f"{kind} in {folder}: exclusive creation, atomic renaming, locks")


def disk(project: Project | None) -> Finding:
    places = {
        _nearest(project.root) if project else Path.cwd(),
        Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir())),
    }
    free = {place: shutil.disk_usage(_nearest(place)).free for place in places}
    place = min(free, key=lambda one: free[one])
    state: Literal["ok", "warning", "problem"] = "ok"
    if free[place] < LITTLE_DISK:
        state = "problem" if free[place] < TOO_LITTLE_DISK else "warning"
    mend = "Make room, or move root (conf/) or Spark's own files ($SPARK_LOCAL_DIRS) to another disk."
    return Finding("disk", state, f"{free[place] / 1e9:.1f} GB free in {place}", mend)


def memory(project: Project | None) -> Finding:
    has = _memory()
    if project is None or has is None:
        return Finding("memory", "ok", f"{has / 2**30:.1f} GiB" if has else "unknown")
    setting = project.config.spark.memory
    heap = int(setting[:-1]) * (2**30 if setting[-1] == "g" else 2**20)
    said = f"{has / 2**30:.1f} GiB, of which Spark's heap takes up to {heap / 2**30:.1f} (spark.memory: {setting})"
    mend = f"Set spark.memory to {max(1, int(has / 2**30 / 2))}g or less in conf/env/{project.env}.yaml."
    state: Literal["ok", "warning", "problem"] = "ok"
    if heap > has * 0.6:
        state = "problem" if heap > has * 0.9 else "warning"
    return Finding("memory", state, said, mend)


CHECKS: dict[str, Callable[[Project | None], Finding]] = {
    "python": python,
    "packages": packages,
    "java": java,
    "jars": jars,
    "network": certificates,
    "file system": file_system,
    "disk": disk,
    "memory": memory,
}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _nearest(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _promises(folder: Path) -> dict[str, bool]:
    first, second = folder / "first", folder / "second"
    first.write_text("1")
    second.write_text("2")
    first.replace(second)
    renamed = not first.exists() and second.read_text() == "1"
    try:
        os.close(os.open(second, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        exclusive = False
    except FileExistsError:
        exclusive = True
    return {
        "exclusive creation": exclusive,
        "atomic renaming": renamed,
        "locks between processes": _locks(folder / "lock"),
    }


def _locks(file: Path) -> bool:
    """Whether a lock that this process holds is refused to another one."""
    import fcntl

    program = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with file.open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        other = subprocess.run([sys.executable, "-IS", "-c", program, str(file)], capture_output=True, check=False)
        return other.returncode != 0 and b"BlockingIOError" in other.stderr


def _file_system_of(folder: Path) -> str:
    """Its kind by /proc/mounts, such as ext4; "unknown" elsewhere than on Linux."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return "the file system"
    mounts = {fields[1].replace("\\040", " "): fields[2] for fields in (line.split() for line in lines)}
    folder = folder.resolve()
    return next((mounts[str(one)] for one in (folder, *folder.parents) if str(one) in mounts), "the file system")


def _memory() -> int | None:
    """Bytes that this process may use: the machine's, or its container's limit."""
    try:
        amount = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            amount = min(amount, int(limit.read_text()))
        except (OSError, ValueError):
            continue
    return amount
