"""What a JDBC address may say: parameters from an allow list for each database, and the place without any secret."""

from __future__ import annotations

import re
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Address:
    """A JDBC address, taken apart."""

    kind: str
    """postgresql, mysql, …"""
    place: str
    """Host and database, for people: no user, no password, no parameter."""
    parameters: dict[str, str]


def parse_address(url: str) -> Address:
    """Take an address apart. Raises ValueError, whose text holds no part of the address but names of parameters."""
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
    parameters: dict[str, str] = {}
    if rest:
        separator = ";" if kind in ("sqlserver", "derby") else "&"
        lead = ";" if separator == ";" else "?"
        if rest[0] != lead:
            raise ValueError(f"has parameters that do not begin with {lead}")
        for pair in filter(None, rest[1:].split(separator)):
            name, _, value = pair.partition("=")
            parameters[name.strip()] = value
    require_allowed(kind, parameters)
    named = {name.lower(): value for name, value in parameters.items()}
    database = (match["path"] or "").lstrip("/") or named.get("databasename") or named.get("database") or ""
    return Address(kind, "/".join(filter(None, (match["hosts"], database))) or kind, parameters)


def require_allowed(kind: str, names: dict[str, str]) -> None:
    """Raises ValueError that names each parameter that is not on the database's list."""
    allowed = ALLOWED.get(kind, ())
    # SQL Server's driver reads names in any case, the others as they are written.
    known = {name.lower() for name in allowed} if kind == "sqlserver" else set(allowed)
    odd = [name for name in names if (name.lower() if kind == "sqlserver" else name) not in known]
    if odd:
        shown = ", ".join(name if re.fullmatch(r"\w{1,40}", name) else "a name that is none" for name in odd)
        listed = f"one of {', '.join(sorted(allowed))}" if allowed else f"nothing: {kind} takes no parameter here"
        raise ValueError(f"has a parameter that is not allowed: {shown}; it may be {listed}")
