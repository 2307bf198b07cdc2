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
    ],
)
def test_the_place_has_no_secret(url: str, place: str) -> None:
    assert parse_address(url).place == place
    source = settings(url=url)
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
