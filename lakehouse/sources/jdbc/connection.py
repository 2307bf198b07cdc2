"""A connection to a database through the session's JVM, and its complaints as errors of ours, without any secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.config import JdbcSource
from lakehouse.config.jdbc import DRIVERS
from lakehouse.errors import FULL_DISK, ConfigError, LakehouseError, SetupError, SourceUnavailableError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PATIENCE = {"postgresql": {"connectTimeout": "10", "loginTimeout": "15", "tcpKeepAlive": "true"}}
"""How long to wait for a database that does not answer, where conf/ says nothing else."""
# Who alters a table meanwhile waits for our snapshot, our readers wait for them, and our snapshot for the readers. The
# query by which Spark asks for the columns is one of them, and takes no statement before it.
PATIENCE["postgresql"]["options"] = "-c lock_timeout=10s"
PATIENCE |= {kind: {"connectTimeout": "10000", "tcpKeepAlive": "true"} for kind in ("mysql", "mariadb")}
PATIENCE["sqlserver"] = {"loginTimeout": "15"}
AWAY = ("08", "53", "57", "58", "40", "25", "55", "XJ")
"""Classes of SQLSTATE that time mends: no connection, no room, ended or cancelled, a conflict, a lock."""
SNAPSHOT = re.compile(r"\b[0-9A-F]{8}-[0-9A-F]{8}-[0-9]+\b")
"""How Postgres names a snapshot, in any language."""


@dataclass(frozen=True)
class Login:
    """How to reach the database of a source."""

    name: str
    source: JdbcSource

    @property
    def driver(self) -> str:
        return self.source.driver or DRIVERS[self.source.address.kind]

    @property
    def where(self) -> str:
        return f"sources.{self.name} ({self.source.address.place})"

    def properties(self) -> dict[str, str]:
        """What the driver is given beside the address; holds secrets."""
        given = {**PATIENCE.get(self.source.address.kind, {})}
        given = {name: value for name, value in given.items() if name not in self.source.address.parameters}
        for name, value in self.source.options.items():
            given[name] = str(value).lower() if isinstance(value, bool | int) else value.get_secret_value()
        if self.source.user is not None:
            given["user"] = self.source.user.get_secret_value()
        if self.source.password is not None:
            given["password"] = self.source.password.get_secret_value()
        return given


@dataclass
class Connection:
    """One open connection; statements and their rows. Close it."""

    login: Login
    java: Any = field(repr=False)

    def do(self, *statements: str) -> None:
        for text in statements:
            statement = self.java.createStatement()
            statement.execute(text)
            statement.close()

    def rows(self, query: str) -> list[tuple[str | None, ...]]:
        """The rows of a query, each value as the driver writes it; for small answers."""
        statement = self.java.createStatement()
        result = statement.executeQuery(query)
        width = range(1, result.getMetaData().getColumnCount() + 1)
        rows = []
        while result.next():
            rows.append(tuple(result.getString(column) for column in width))
        statement.close()
        return rows

    def close(self) -> None:
        """Never fails: a connection that is broken is closed."""
        from py4j.protocol import Py4JError

        try:
            if not self.java.getAutoCommit():
                self.java.rollback()
            self.java.close()
        except (Py4JError, OSError):
            pass


def connect(session: SparkSession, login: Login) -> Connection:
    """Open a connection, with transactions that end when we say so. Call it within :func:`in_words`.

    Raises SetupError where the driver is not there.
    """
    jvm: Any = session._jvm
    try:
        registry = jvm.org.apache.spark.sql.execution.datasources.jdbc.DriverRegistry
        registry.register(login.driver)
        driver = registry.get(login.driver)
    except Exception as error:
        if "ClassNotFoundException" not in str(error) and "ClassNotFoundException" not in str(_java(error)):
            raise
        raise SetupError(
            f"{login.where}: there is no driver {login.driver} in this session",
            hint=f"Name its jar in conf/: sources.{login.name}.jars: [drivers/the-driver.jar]",
        ) from None
    properties = jvm.java.util.Properties()
    for name, value in login.properties().items():
        properties.setProperty(name, value)
    java = driver.connect(login.source.url.get_secret_value(), properties)
    if java is None:
        raise ConfigError(
            f"{login.where}: the driver {login.driver} does not take this address",
            hint="Correct the address or the driver.",
        )
    java.setAutoCommit(False)
    return Connection(login, java)


@contextmanager
def in_words(login: Login) -> Iterator[None]:
    """What the database or the driver says, as an error of ours; anything else passes, also that our own disk is full.

    Raises SourceUnavailableError, ConfigError and LakehouseError; none is chained to its cause, whose text may hold
    a secret.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    said: LakehouseError | None = None
    try:
        yield
    except (Py4JError, PySparkException) as error:
        if _is_our_disk(error):
            raise
        said = _said(login, error)
    if said is not None:
        raise said


def _said(login: Login, error: Exception) -> LakehouseError:
    java = _database_error(error)
    if java is not None:
        state, text = java.getSQLState() or "", java.getMessage() or ""
    else:
        state, text = _state_in(str(error))
    first = login.source.redacted(" ".join((text or str(error)).split()))[:500]
    return _typed(login, state, first)


def _database_error(error: Exception) -> Any:
    """What the driver raised, if it is among the causes."""
    java = _java(error)
    for _ in range(20):
        if java is None or _is_of(java, "java.sql.SQLException"):
            return java
        java = java.getCause()
    return None


def _is_our_disk(error: Exception) -> bool:
    """Whether rows had no room on this machine. A database that says so means its own disk."""
    return FULL_DISK in str(error) and _database_error(error) is None and "SQLException" not in str(error)


def _typed(login: Login, state: str, said: str) -> LakehouseError:
    where = login.where
    if state.startswith("28") or state == "42501":
        return ConfigError(f"{where}: refused: {said}", hint="Correct user and password, or grant what is missing.")
    lost = state in ("22023", "42704") and SNAPSHOT.search(said)  # whoever held our snapshot was ended meanwhile
    if state[:2] in AWAY or lost or not state:
        return SourceUnavailableError(f"{where}: {said}", hint="Nothing has landed. Run it again when it answers.")
    if state.startswith(("3D", "3F", "42")):
        return ConfigError(f"{where}: {said}", hint=f"Correct sources.{login.name} in conf/.")
    if state.startswith("22"):
        return LakehouseError(
            f"{where}: {said} (SQLSTATE {state})",
            hint=f"Nothing has landed. A value of {login.source.table} can't be computed: mend its rows, or the view.",
        )
    return LakehouseError(f"{where}: {said} (SQLSTATE {state})", hint="Nothing has landed.")


def _state_in(text: str) -> tuple[str, str]:
    """Where Spark hands on no more than text: the driver's line in it."""
    for line in text.splitlines():
        if "SQLException" in line or "PSQLException" in line:
            return "", line.partition("Exception: ")[2] or line
    return "XX", ""


def _java(error: Exception) -> Any:
    return getattr(error, "java_exception", None) or getattr(error, "_origin", None)


def _is_of(java: Any, kind: str) -> bool:
    found = java.getClass()
    while found is not None:
        if found.getName() == kind:
            return True
        found = found.getSuperclass()
    return False
