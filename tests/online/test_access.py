"""A Redis behind TLS, with logins, or with sentinels before it: what is asked for is given, what is not is refused."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from lakehouse.errors import ConfigError, OnlineStoreError
from lakehouse.online.address import Address
from tests.online.encrypted import encrypted
from tests.online.redis_server import RedisServer
from tests.online.sentinels import PASSWORD, Watched, watched
from tests.online.stores import redis_store, write
from tests.online.tens import LOOKS, look, looked_up, opened, publish, refused, right, rows, within_reason
from tests.sources.kafka import certificates

RIGHTS = {"reader": ["+@read", "+@connection"], "publisher": ["+@read", "+@write", "+@connection", "+@transaction"]}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with closing(RedisServer()) as made:
        yield made


@pytest.mark.skipif(not certificates.AVAILABLE, reason="openssl makes the certificates")
def test_tls(tmp_path: Path, server: RedisServer) -> None:
    made, other = certificates.Certificates(tmp_path / "made"), certificates.Certificates(tmp_path / "other")
    made.make()
    other.make()
    trusted = f"ssl=true,ssl_ca_certs={made.authority}"
    with encrypted(server.port, made.broker, made.authority) as port:
        own = f"ssl_certfile={made.broker},ssl_keyfile={made.broker}"
        store = opened(tmp_path, redis_store(f"127.0.0.1:{port},{trusted},{own}", timeout_s=20))
        publish(store)
        assert [look(store, how, 7).to_dict()["a"] for how in LOOKS] == [[70]] * 2
        store = opened(tmp_path, redis_store(f"127.0.0.1:{port},{trusted}"))
        refused(within_reason(lambda: look(store, "sync", 7)), "does not answer")
    with encrypted(server.port, made.broker) as port:
        store = opened(tmp_path, redis_store(f"127.0.0.1:{port},{trusted}", timeout_s=20))
        assert [look(store, how, 7).to_dict()["a"] for how in LOOKS] == [[70]] * 2
        for wrong, said in (
            (f"127.0.0.1:{port},ssl=true,ssl_ca_certs={other.authority}", "certificate verify failed"),
            (f"localhost:{port},{trusted}", "certificate verify failed"),
            (f"127.0.0.1:{port},ssl=true,ssl_ca_certs={tmp_path / 'none.pem'}", "No such file"),
        ):
            store = opened(tmp_path, redis_store(wrong, timeout_s=20))
            for how in LOOKS:
                refused(within_reason(partial(look, store, how, 7)), "does not answer", said)
        for wrong in (f"127.0.0.1:{port}", f"127.0.0.1:{server.port},{trusted}"):
            store = opened(tmp_path, redis_store(wrong, timeout_s=0.3))
            for how in LOOKS:
                refused(within_reason(partial(look, store, how, 7)), "does not answer")


def test_a_password(tmp_path: Path) -> None:
    """It stays text, whatever it looks like, and is in nothing that is said."""
    with closing(RedisServer("--requirepass", "1e5")) as server:
        where = f"localhost:{server.port}"
        store = opened(tmp_path, redis_store(f"{where},password=1e5"))
        publish(store)
        assert [looked_up(store, how) for how in LOOKS] == [right()] * 2
        for wrong in (where, f"{where},password=hunter2"):
            store = opened(tmp_path, redis_store(wrong))
            for call in (*(partial(look, store, how, 7) for how in LOOKS), partial(publish, store)):
                error = within_reason(call)
                refused(error, f"{where} refuses", "username= and password=")
                assert "hunter2" not in "".join(traceback.format_exception(error))
            store.config.online_store.unavailable = "null"
            assert look(store, "sync", 7).to_dict()["a"] == [None]


@pytest.mark.parametrize("user", list(RIGHTS))
def test_users_with_the_rights_that_they_need(tmp_path: Path, server: RedisServer, user: str) -> None:
    if int(server.client.info()["redis_version"].split(".")[0]) < 6:
        pytest.skip("users came with Redis 6")
    server.client.acl_setuser(user, enabled=True, passwords=["+own"], keys=["lakehouse:*"], reset=True)
    server.client.execute_command("ACL", "SETUSER", user, *RIGHTS[user])
    publish(opened(tmp_path, redis_store(f"localhost:{server.port}")))
    store = opened(tmp_path, redis_store(f"localhost:{server.port},username={user},password=own"))
    assert [looked_up(store, how) for how in LOOKS] == [right()] * 2
    write(tmp_path, "t", rows(1), "overwrite")
    if user == "publisher":
        assert publish(store) == "done"
        assert looked_up(store, "sync") == right(1)
    else:
        refused(within_reason(lambda: publish(store)), "refuses", "no permissions")
        assert looked_up(store, "sync") == right()
    store = opened(tmp_path, redis_store(f"localhost:{server.port},username=nobody,password=own"))
    refused(within_reason(lambda: look(store, "sync", 7)), "refuses")


def test_what_is_no_option() -> None:
    for text, said in (
        ("localhost:1,passwrd=x", "'passwrd'(?s:.)*'password'"),
        ("localhost:1,health_check_interval=9", "'health_check_interval'"),  # its PING would be in others' way
        ("localhost:1,ssl_ca_certs=ca.pem", "ssl=true is not"),
        ("localhost", "'localhost' is no HOST:PORT"),
        ("localhost:1,password=one,two", "'…' is no HOST:PORT"),
        ("db=1", "names no HOST:PORT"),
        ("localhost:1,foo=bar", "no option 'foo'"),
        ("redis://localhost:6379", "is a URL"),
        ("rediss://ada:hunter2@localhost:6379/0", "is a URL"),
        ("redis://ada:hunter2=@localhost:6379", "is a URL"),
        ("::1:6379", "'::1:6379' is no HOST:PORT"),
        ("[::1]", "'\\[::1\\]' is no HOST:PORT"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            Address.of(text)
        assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(Address.of("localhost:1,password=hunter2"))


def test_an_address_of_ip_version_6() -> None:
    address = Address.of("[::1]:6379,[fe80::1%eth0]:2,db=1")
    assert address.hosts == (("::1", 6379), ("fe80::1%eth0", 2))
    assert address.shown == "[::1]:6379, [fe80::1%eth0]:2"


@pytest.fixture
def sentinels() -> Iterator[Watched]:
    with watched() as made:
        yield made


@pytest.mark.parametrize("way", ["killed", "hangs"])
def test_a_replica_takes_over(tmp_path: Path, sentinels: Watched, way: str) -> None:
    """What it had by then is served, by the first look-up after it took over; publishing goes on."""
    online = redis_store(sentinels.connection_string, redis_type="redis_sentinel", timeout_s=3)
    store = opened(tmp_path, online)
    publish(store)
    assert [looked_up(store, how) for how in LOOKS] == [right()] * 2
    sentinels.copied()
    old = sentinels.master
    if way == "killed":
        old.kill()
    else:
        old.halt()
    with suppress(OnlineStoreError):  # in between there may be no master
        assert look(store, "sync", 7).to_dict()["a"] == [70]
    sentinels.moved(old)
    assert [looked_up(store, how) for how in LOOKS] == [right()] * 2
    assert publish(store) == "unchanged"
    write(tmp_path, "t", rows(1), "overwrite")
    assert publish(store) == "done"
    if way == "hangs":
        old.go_on()  # for a while it takes itself for the master
    assert [looked_up(store, how) for how in LOOKS] == [right(1)] * 2


def test_sentinels_that_do_not_help(tmp_path: Path, sentinels: Watched) -> None:
    where = sentinels.connection_string
    for settings, said in (
        ({"sentinel_master": "other"}, "names a master 'other'"),
        ({"connection_string": "127.0.0.1:1,127.0.0.1:2"}, "none of the sentinels 127.0.0.1:1, 127.0.0.1:2 names"),
        ({"connection_string": where.replace("sentinel_password=4711", "sentinel_password=hunter2")}, "names a master"),
        ({"connection_string": where.replace(f",password={PASSWORD}", ",password=hunter2")}, "refuses"),
    ):
        online = redis_store(where, redis_type="redis_sentinel", timeout_s=0.5)
        store = opened(tmp_path, {**online, **settings})
        for how in LOOKS:
            error = within_reason(partial(look, store, how, 7))
            refused(error, said)
            assert "hunter2" not in "".join(traceback.format_exception(error))
