"""Addresses of databases: what loads files or classes is refused, and no secret is in what is said."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.config import JdbcSource
from lakehouse.config.jdbc import parse_address


def settings(**named: Any) -> JdbcSource:
    return JdbcSource.model_validate({"type": "jdbc", "url": "jdbc:postgresql://h:1/d", "table": "t", **named})


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("jdbc:postgresql://h:5432/d?user=u&password=s3cret&sslmode=require", "h:5432/d"),
        ("jdbc:postgresql://a:1,b:2/d", "a:1,b:2/d"),
        ("jdbc:mysql://h/d?sslMode=REQUIRED", "h/d"),
        ("jdbc:sqlserver://h:1;databaseName=d;ENCRYPT=true;password=s3cret", "h:1/d"),
        ("jdbc:oracle:thin:@//h:1521/service", "h:1521/service"),
        ("jdbc:exa:h:8563", "h:8563"),
    ],
)
def test_the_place_has_no_secret(url: str, place: str) -> None:
    assert parse_address(url).place == place
    source = settings(url=url, driver="a.B")
    assert source.model_dump(mode="json")["url"] == place
    assert "s3cret" not in repr(source) + str(source) + source.model_dump_json()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/d",
        "jdbc:postgresql://u:s3cret@h/d",
        "jdbc:postgresql://u:s3/cret@h/d",
        "jdbc:postgresql://h/d?socketFactory=x&socketFactoryArg=s3cret",
        "jdbc:postgresql://h/d?%73slfactory=x",
        "jdbc:postgresql://h/d?loggerFile=/tmp/x",
        "jdbc:postgresql://h/d?service=x",
        "jdbc:mysql://h/d?autoDeserialize=true",
        "jdbc:mysql://h/d?allowLoadLocalInfile=true",
        "jdbc:mysql://address=(host=h)(autoDeserialize=true)/d",
        "jdbc:mysql:x",
        "jdbc:oracle:thin:@ldap://h/x",
        "jdbc:oracle:thin:@//h/x?TNS_ADMIN=/tmp",
        "jdbc:h2:mem:x;INIT=RUNSCRIPT FROM 'x'",
        "jdbc:h2:mem:x;INIT=RUNSCRIPT",
    ],
)
def test_what_could_load_something_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must|parameter") as caught:
        parse_address(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "jdbc:postgresql://h/d?user=u&password=s3cr&Hunter2",
        "jdbc:postgresql://h/d?user=u&password=s3cr&Hunter2=",
        "jdbc:postgresql://h/d?password=Hunter2&password=s3cr",
        "jdbc:sqlserver://h;databaseName=d;password={a;Hunter2;b}",
        "jdbc:sqlserver://h;databaseName=d;password={a;Hunter2=b}",
        "jdbc:teradata://h/USER=u,PASSWORD=Hunter2",
        "jdbc:teradata://h/u,Hunter2",
        "jdbc:teradata://h,PASSWORD=Hunter2/d",
        "jdbc:db2://h:50000/db:user=u;Hunter2=x",
        "jdbc:db2://h:50000/db:Hunter2",
        "jdbc:mysql://h/d#x&password=Hunter2",
        "jdbc:mysql://h/d%23x%26password%3DHunter2",
    ],
)
def test_what_may_be_the_end_of_a_password_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="must name host|a parameter") as caught:
        parse_address(url)
    assert "Hunter2" not in str(caught.value)


def test_a_name_in_front_of_the_password_is_shown() -> None:
    with pytest.raises(ValueError, match="not allowed: tunnel, a name that is not shown;"):
        parse_address("jdbc:postgresql://h/d?tunnel=x&password=s3cr&odd=y")


@pytest.mark.parametrize(
    "named",
    [
        {"options": {"socketFactory": "x"}},
        {"overlap": "10m"},
        {"url": "jdbc:mysql://h/d", "cursor": "at"},
        {"url": "jdbc:mysql://h/d", "partitions": 2},
        {"url": "jdbc:h2:mem:x"},
        {"table": "a.b.c"},
        {"table": 'a."b'},
        {"table": '"a"b'},
        {"partitions": 0},
        {"tabel": "t"},
    ],
)
def test_settings_that_do_not_go_together(named: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        settings(**named)


@pytest.mark.parametrize(
    ("table", "names"),
    [("t", ["t"]), ("My schema.T", ["My schema", "T"]), ('"a.b"."c""d"', ["a.b", 'c"d']), ('s."t.u"', ["s", "t.u"])],
)
def test_names_of_tables(table: str, names: list[str]) -> None:
    assert settings(table=table).names == names
