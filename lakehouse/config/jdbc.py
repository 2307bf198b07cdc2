"""What a JDBC address may say: parameters from an allow list for each database, and the place without any secret."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from urllib.parse import unquote

from lakehouse.config.redaction import names_a_secret

DRIVERS = {
    "postgresql": "org.postgresql.Driver",
    "mysql": "com.mysql.cj.jdbc.Driver",
    "mariadb": "org.mariadb.jdbc.Driver",
    "sqlserver": "com.microsoft.sqlserver.jdbc.SQLServerDriver",
    "oracle": "oracle.jdbc.OracleDriver",
    "derby": "org.apache.derby.iapi.jdbc.AutoloadedDriver",
}
TIMES = ("connectTimeout", "loginTimeout", "socketTimeout", "tcpKeepAlive")
MYSQL = (
    *("user", "password", "connectTimeout", "socketTimeout", "tcpKeepAlive", "useSSL", "sslMode", "useUnicode"),
    *("characterEncoding", "serverTimezone", "connectionTimeZone", "tinyInt1isBit", "yearIsDateType"),
    *("zeroDateTimeBehavior", "useCursorFetch", "allowPublicKeyRetrieval"),
)
ALLOWED: dict[str, tuple[str, ...]] = {
    "postgresql": (
        *("user", "password", *TIMES, "ssl", "sslmode", "sslrootcert", "channelBinding", "ApplicationName"),
        *("targetServerType", "hostRecheckSeconds", "gssEncMode", "prepareThreshold"),
    ),
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "sqlserver": (
        *("user", "password", "databaseName", "database", "encrypt", "trustServerCertificate", "loginTimeout"),
        *("hostNameInCertificate", "applicationIntent", "applicationName", "instanceName", "portNumber"),
        *("multiSubnetFailover", "socketTimeout", "lockTimeout"),
    ),
}
"""Parameters of the address and options; none is there that loads a file or a class, or runs a statement. (One names
the certificate of who signed the server's.) A database that is not listed takes none."""

_ADDRESS = re.compile(
    r"jdbc:(?P<kind>[a-z][a-z0-9]*):(?P<thin>thin:)?@?(?://(?P<hosts>[^/?;#()]*))?(?P<path>[^?;()]*)(?P<rest>.*)", re.S
)
_PORT = re.compile(r"^[\w.-]+:[0-9]{1,5}(?=/|$)")
"""What databases that are not listed begin a path with, where others say //host:port."""


@dataclass(frozen=True)
class Address:
    """A JDBC address, taken apart."""

    kind: str
    """postgresql, mysql, …"""
    place: str
    """Host and database, for people: no user, no password, no parameter."""
    parameters: dict[str, str]


def parse_address(url: str) -> Address:
    """Take an address apart. Raises ValueError, whose text holds no part of the address but names of parameters that
    stand before the first secret: behind it even a name may be the end of a password."""
    match = _ADDRESS.fullmatch(url)
    if match is None or re.search(r"[\s\x00-\x1f]", url):
        raise ValueError("must be an address such as jdbc:postgresql://host:5432/database")
    kind, rest = match["kind"], match["rest"]
    if "@" in f"{match['hosts'] or ''}{match['path']}":
        raise ValueError("must not name a user in front of the host; there are the settings user and password")
    if kind in ALLOWED.keys() - {"postgresql"} | {"oracle"} and not match["hosts"]:
        raise ValueError(f"must name a host: jdbc:{kind}:{'thin:@' if kind == 'oracle' else ''}//host:port")
    if "(" in rest or ")" in rest:
        raise ValueError("must name hosts plainly: what stands in parentheses can carry any parameter")
    _require_plain(kind, match["hosts"] or "", match["path"])
    parameters = _parameters(kind, rest)
    names = list(parameters)
    secret = next((place for place, name in enumerate(names) if names_a_secret(name)), len(names))
    require_allowed(kind, parameters, shown=names[: secret + 1])
    named = {name.lower(): value for name, value in parameters.items()}
    database = (match["path"] or "").lstrip("/") or named.get("databasename") or named.get("database") or ""
    return Address(kind, "/".join(filter(None, (match["hosts"], database))) or kind, parameters)


def _require_plain(kind: str, hosts: str, path: str) -> None:
    """Raises ValueError where host and database hold what some driver takes for a parameter: they are shown."""
    hosts, path = unquote(hosts), unquote(path)
    if re.search(r"[=&#{}]", hosts) or re.search(r"[=,#&{}]", path):
        raise ValueError("must name host and database plainly: a parameter, or one of = , # & stands there")
    if kind not in DRIVERS and ":" in _PORT.sub("", path):
        raise ValueError(f"must name host and database plainly: behind a : in it {kind} may take parameters")


def _parameters(kind: str, rest: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    separator, lead = (";", ";") if kind in ("sqlserver", "derby") else ("&", "?")
    if rest and rest[0] != lead:
        raise ValueError(f"has parameters that do not begin with {lead}")
    for pair in filter(None, rest[1:].split(separator)):
        name, equals, value = pair.partition("=")
        if not equals:
            # It may as well be the end of a password: not even its name is shown.
            way = "write & as %26" if separator == "&" else "a password with a ; has a setting of its own: password"
            raise ValueError(f"has a parameter without a value; {way}")
        if name.strip() in parameters:
            raise ValueError("has a parameter twice")
        parameters[name.strip()] = value
    return parameters


def require_allowed(kind: str, names: dict[str, str], shown: Container[str] | None = None) -> None:
    """Raises ValueError that names each parameter (of ``shown``, or all) that is not on the database's list."""
    allowed = ALLOWED.get(kind, ())
    # SQL Server's driver reads names in any case, the others as they are written.
    known = {name.lower() for name in allowed} if kind == "sqlserver" else set(allowed)
    odd = [name for name in names if (name.lower() if kind == "sqlserver" else name) not in known]
    if odd:
        plain = (re.fullmatch(r"\w{1,40}", name) and (shown is None or name in shown) for name in odd)
        said = ", ".join(name if fit else "a name that is not shown" for name, fit in zip(odd, plain, strict=True))
        listed = f"one of {', '.join(sorted(allowed))}" if allowed else f"nothing: {kind} takes no parameter here"
        raise ValueError(f"has a parameter that is not allowed: {said}; it may be {listed}")
