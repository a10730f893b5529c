"""Nodes with names: resolved without blocking, again after their TTL, and an error where that fails."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from .conftest import StartScripted
from .dns import Dns
from .gateway import TRACEBACK, Gateway
from .ports import free_port
from .scripted import Scripted, each, ok
from .waiting import wait


@pytest.fixture(scope="module")
def server() -> Iterator[Dns]:
    """The DNS server; tests stay apart by the names that they use. Use `dns`."""
    with Dns() as server:
        yield server


@pytest.fixture
def dns(server: Dns) -> Iterator[Dns]:
    """The DNS server; it may be made silent while the test runs."""
    yield server
    server.silent = False


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, server: Dns) -> Iterator[Gateway]:
    """One that asks that DNS server."""
    resolver = {"dns_resolver": [server.server], "resolver_timeout": 2}
    gateway = Gateway(tmp_path_factory.mktemp("names"), {"apisix": resolver}).start()
    yield gateway
    assert gateway.stop() == 0
    assert TRACEBACK not in gateway.log()


@pytest.fixture
def twins(scripted: StartScripted) -> tuple[Scripted, Scripted]:
    """Two upstreams at one port, at 127.0.0.1 and 127.0.0.2."""
    port = free_port()
    one = scripted(each(lambda _: ok(b"one")), host="127.0.0.1", port=port)
    two = scripted(each(lambda _: ok(b"two")), host="127.0.0.2", port=port)
    return one, two


def test_a_name_of_this_machine(gateway: Gateway, scripted: StartScripted) -> None:
    """From /etc/hosts: DNS is not asked."""
    upstream = scripted(each(lambda _: ok()))
    prefix = gateway.route({"nodes": {f"localhost:{upstream.address[1]}": 1}})

    assert gateway.reply(prefix + "/x")["status"] == 200
    assert gateway.fetch(prefix + "/x").status == 200


def test_a_new_address_is_used_after_the_ttl(
    gateway: Gateway, dns: Dns, twins: tuple[Scripted, Scripted]
) -> None:
    dns.names["moving.test"] = ["127.0.0.1"]
    prefix = gateway.route({"nodes": {f"moving.test:{twins[0].address[1]}": 1}})
    assert gateway.reply(prefix + "/x")["body"] == "one"

    dns.names["moving.test"] = ["127.0.0.2"]
    wait(lambda: gateway.reply(prefix + "/x")["body"] == "two", "at the new address")

    assert gateway.fetch(prefix + "/x").body == b"two"


def test_within_the_ttl_nobody_asks_again(
    gateway: Gateway, dns: Dns, twins: tuple[Scripted, Scripted]
) -> None:
    dns.names["lasting.test"] = ["127.0.0.1"]
    dns.ttls_s["lasting.test"] = 600
    prefix = gateway.route({"nodes": {f"lasting.test:{twins[0].address[1]}": 1}})
    assert gateway.replies([prefix + "/x"] * 20)[0]["body"] == "one"
    asked = dns.asked("lasting.test")  # once, unless the answer was so late that the question was repeated

    dns.names["lasting.test"] = ["127.0.0.2"]
    assert gateway.reply(prefix + "/x")["body"] == "one"
    assert dns.asked("lasting.test") == asked < 20


def test_all_addresses_of_a_name_get_requests(
    gateway: Gateway, dns: Dns, twins: tuple[Scripted, Scripted]
) -> None:
    dns.names["both.test"] = ["127.0.0.1", "127.0.0.2"]
    dns.ttls_s["both.test"] = 600
    prefix = gateway.route({"nodes": {f"both.test:{twins[0].address[1]}": 1}})

    bodies = [reply["body"] for reply in gateway.replies([prefix + "/x"] * 20)]

    assert bodies.count("one") == bodies.count("two") == 10


def test_a_name_that_is_not_there_is_502(
    gateway: Gateway, dns: Dns, twins: tuple[Scripted, Scripted]
) -> None:
    dns.names["there.test"] = ["127.0.0.1"]
    port = twins[0].address[1]
    prefix, good = (gateway.route({"nodes": {f"{name}.test:{port}": 1}}) for name in ("missing", "there"))

    before, missing, after = gateway.replies([good + "/x", prefix + "/x", good + "/x"])

    assert (before["status"], missing["status"], after["status"]) == (200, 502, 200)
    assert "resolved" in json.loads(missing["body"])["error_msg"]
    dns.names["missing.test"] = ["127.0.0.1"]
    wait(lambda: gateway.reply(prefix + "/x")["status"] == 200, "found")


def test_an_invalid_name_is_502(gateway: Gateway) -> None:
    prefix = gateway.route({"nodes": {"a..b:80": 1, "-.-:80": 1, "x" * 70 + ".test:80": 1}})

    assert gateway.reply(prefix + "/x")["status"] == 502


def test_a_silent_dns_server_holds_nobody_else_up(
    gateway: Gateway, dns: Dns, twins: tuple[Scripted, Scripted]
) -> None:
    dns.silent = True
    port = twins[0].address[1]
    other = gateway.route(twins[0])
    # Had the others to wait, they would at every attempt; on a busy machine it may look so at one.
    for attempt in range(5):
        name = f"silent{attempt}.test"
        prefix = gateway.route({"nodes": {f"{name}:{port}": 1}})
        started = time.monotonic()
        with ThreadPoolExecutor(1) as aside:
            waiting = aside.submit(gateway.reply, prefix + "/x")
            wait(partial(dns.asked, name), "asked for the name")
            assert gateway.replies([other + "/x"] * 20)[0]["body"] == "one"
            was_waiting = not waiting.done()
        assert waiting.result()["status"] == 502
        assert 1 < time.monotonic() - started < 15  # a connection may take 60, the batch 30
        if was_waiting:
            break
    assert was_waiting


def test_a_dns_server_that_fails_leaves_the_last_answer(
    gateway: Gateway, dns: Dns, twins: tuple[Scripted, Scripted]
) -> None:
    dns.names["failing.test"] = ["127.0.0.1"]
    prefix = gateway.route({"nodes": {f"failing.test:{twins[0].address[1]}": 1}})
    assert gateway.reply(prefix + "/x")["body"] == "one"

    dns.silent = True
    time.sleep(1.1)

    assert gateway.reply(prefix + "/x")["body"] == "one"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_dead_address_is_passed_over(
    gateway: Gateway, dns: Dns, twins: tuple[Scripted, Scripted], method: str
) -> None:
    name = f"half-{method.lower()}.test"
    dns.names[name] = ["127.0.0.1", "127.0.0.3", "127.0.0.2"]
    prefix = gateway.route({"nodes": {f"{name}:{twins[0].address[1]}": 1}})

    replies = gateway.replies([{"path": prefix + "/x", "method": method}] * 20)

    assert [reply["status"] for reply in replies] == [200] * 20
    assert {reply["body"] for reply in replies} == {"one", "two"}
