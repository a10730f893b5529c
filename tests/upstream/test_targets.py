"""Names with several addresses: each is a target, as long as DNS says so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from batchway.errors import UpstreamRefused
from batchway.upstream import UpstreamClient, targets
from tests.loops import pass_time, settle, until

from .asking import BLOCK, DNS_TIMEOUT_S, Client, request
from .nameserver import Nameserver, Record
from .servers import Server, closed_port

NO_PROBES = {"healthy": {"interval": 10**12}, "unhealthy": {"interval": 10**12}}
"""The first one comes at random within an interval."""


@asynccontextmanager
async def named() -> AsyncIterator[tuple[Client, Nameserver]]:
    """A client that asks that nameserver."""
    async with Nameserver.running() as nameserver, Client.running(nameserver=nameserver.address) as client:
        with capture_logs():
            yield client, nameserver


@asynccontextmanager
async def two_servers() -> AsyncIterator[tuple[Server, Server]]:
    async with Server(port=closed_port()) as one, Server(ip="127.0.0.2", port=one.port) as other:
        yield one, other


async def addresses(upstream: UpstreamClient, count: int, method: str = "GET") -> list[str]:
    """Who was asked, request by request."""
    found = []
    for _ in range(count):
        sent = request(method)
        assert (await upstream.send(sent, BLOCK)).status == 200
        found.append(sent.upstream_addr.partition(":")[0])
    return found


BOTH = ("127.0.0.1", "127.0.0.2")


def test_all_addresses_take_turns(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), two_servers() as (one, _):
            nameserver.records["a.test"] = Record(BOTH)
            found = await addresses(client.upstream({f"a.test:{one.port}": 1}), 8)
            assert Counter(found) == {"127.0.0.1": 4, "127.0.0.2": 4}
            assert all(a != b for a, b in zip(found, found[1:], strict=False))
            assert nameserver.times("a.test") == 1

    each_loop.run(main())


def test_addresses_share_the_weight_of_their_name(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), two_servers() as (one, _), Server() as single:
            nameserver.records["a.test"] = Record(BOTH)
            upstream = client.upstream({f"a.test:{one.port}": 1, f"127.0.0.1:{single.port}": 1})
            await addresses(upstream, 40)
            assert len(single.requests) == 20

    each_loop.run(main())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_dead_address_is_passed_over(each_loop: asyncio.Runner, method: str) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            nameserver.records["a.test"] = Record(("127.0.0.3", "127.0.0.1", "127.0.0.4"))
            upstream = client.upstream({f"a.test:{server.port}": 1})
            assert await addresses(upstream, 6, method) == ["127.0.0.1"] * 6

    each_loop.run(main())


def test_each_address_has_its_own_health(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            nameserver.records["a.test"] = Record(("127.0.0.3", "127.0.0.1"))
            passive = {"unhealthy": {"tcp_failures": 1}}
            checks = {"active": NO_PROBES, "passive": passive}
            upstream = client.upstream({f"a.test:{server.port}": 1}, checks=checks)
            await addresses(upstream, 4)
            health = upstream.health("routes", "1")
            assert health is not None
            assert {(node.hostname, node.ip, node.status) for node in health.nodes} == {
                ("a.test", "127.0.0.3", "unhealthy"),
                ("a.test", "127.0.0.1", "healthy"),
            }
            assert health.nodes[0].port == server.port
            upstream.close()

    each_loop.run(main())


def test_a_key_has_one_of_the_addresses(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), two_servers() as (one, _):
            nameserver.records["a.test"] = Record(BOTH)
            upstream = client.upstream({f"a.test:{one.port}": 1}, type="chash", key="remote_addr")
            assert len(set(await addresses(upstream, 6))) == 1

    each_loop.run(main())


def test_change_keeps_what_is_known_of_addresses_that_stay(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            nameserver.records["a.test"] = Record(("127.0.0.3", "127.0.0.1"), ttl_s=5)
            checks = {"active": NO_PROBES, "passive": {"unhealthy": {"tcp_failures": 1}}}
            upstream = client.upstream({f"a.test:{server.port}": 1}, checks=checks)
            await addresses(upstream, 4)
            nameserver.records["a.test"] = Record(("127.0.0.1", "127.0.0.4", "127.0.0.3"), ttl_s=500)
            await pass_time(6)
            await addresses(upstream, 1)
            health = upstream.health("routes", "1")
            assert health is not None
            seen = {node.ip: node.status for node in health.nodes}
            assert seen["127.0.0.3"] == "unhealthy"
            assert set(seen) == {"127.0.0.1", "127.0.0.3", "127.0.0.4"}
            nameserver.records["a.test"] = Record(("127.0.0.1",), ttl_s=5)
            await pass_time(501)
            assert await addresses(upstream, 3) == ["127.0.0.1"] * 3
            upstream.close()

    runner.run(main())


def test_the_same_addresses_again_change_nothing(runner: asyncio.Runner) -> None:
    """DNS servers like to answer in another order each time."""

    async def main() -> None:
        async with named() as (client, nameserver), two_servers() as (one, _):
            nameserver.records["a.test"] = Record(BOTH, ttl_s=1)
            upstream = client.upstream({f"a.test:{one.port}": 1})
            found = []
            for turn in range(6):
                found += await addresses(upstream, 1)
                nameserver.records["a.test"] = Record(BOTH[:: 1 if turn % 2 else -1], ttl_s=1)
                await pass_time(1.1)
            assert Counter(found) == {"127.0.0.1": 3, "127.0.0.2": 3}
            assert nameserver.times("a.test") == 6

    runner.run(main())


# --- how long a request waits for DNS

PATIENCE_S = 100.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests wait for longer than any machine takes to answer some."""
    monkeypatch.setattr(targets, "PATIENCE_S", PATIENCE_S)


@pytest.mark.usefixtures("patient")
def test_node_with_an_address_serves_while_a_name_is_looked_up(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            nameserver.records["slow.test"] = Record(("127.0.0.1",))
            nameserver.waiting.clear()
            nodes = {f"slow.test:{server.port}": 1, f"127.0.0.1:{server.port}": 1}
            upstream = client.upstream(nodes)
            sending = [asyncio.create_task(upstream.send(request(), BLOCK)) for _ in range(4)]
            await until(lambda: nameserver.asked)
            await pass_time(PATIENCE_S)
            answers = await asyncio.gather(*sending)
            assert [answer.status for answer in answers] == [200] * 4
            started = asyncio.get_running_loop().time()
            await addresses(upstream, 4)
            assert asyncio.get_running_loop().time() - started < PATIENCE_S, "nobody waits again"
            nameserver.waiting.set()
            await until(lambda: len(upstream._choice._targets.current) == 2)

    runner.run(main())


def test_name_alone_is_waited_for(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            nameserver.records["a.test"] = Record(("127.0.0.1",))
            nameserver.waiting.clear()
            upstream = client.upstream({f"a.test:{server.port}": 1})
            sending = asyncio.create_task(upstream.send(request(), BLOCK))
            await until(lambda: nameserver.asked)
            await settle(50)
            assert not sending.done()
            nameserver.waiting.set()
            assert (await sending).status == 200

    runner.run(main())


@pytest.mark.usefixtures("patient")
def test_out_of_date_address_serves_when_dns_is_silent(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            nameserver.records["a.test"] = Record(("127.0.0.1",), ttl_s=1)
            upstream = client.upstream({f"a.test:{server.port}": 1})
            await addresses(upstream, 1)
            nameserver.records["a.test"] = Record(fault="silent")
            await pass_time(1.1)
            sending = asyncio.create_task(upstream.send(request(), BLOCK))
            await until(lambda: nameserver.times("a.test") > 1)
            await pass_time(PATIENCE_S)
            assert (await sending).status == 200
            await pass_time(DNS_TIMEOUT_S)
            await until(lambda: not client.pools.resolver._pending)
            await pass_time(2)
            loop = asyncio.get_running_loop()
            started = loop.time()
            await addresses(upstream, 1)
            assert loop.time() - started < PATIENCE_S, "it is not waited for a second time"

    runner.run(main())


def test_name_that_comes_to_have_addresses(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            upstream = client.upstream({f"a.test:{server.port}": 1})
            with pytest.raises(UpstreamRefused):
                await upstream.send(request(), BLOCK)
            nameserver.records["a.test"] = Record(("127.0.0.1",))
            await pass_time(1.1)
            assert await addresses(upstream, 2) == ["127.0.0.1"] * 2

    runner.run(main())


def test_who_leaves_does_not_end_the_look_up(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), Server() as server:
            nameserver.records["a.test"] = Record(("127.0.0.1",))
            nameserver.waiting.clear()
            upstream = client.upstream({f"a.test:{server.port}": 1})
            first, second = (asyncio.create_task(upstream.send(request(), BLOCK)) for _ in range(2))
            await until(lambda: nameserver.asked)
            first.cancel()
            await asyncio.wait([first])
            nameserver.waiting.set()
            assert (await second).status == 200
            assert nameserver.times("a.test") == 1

    each_loop.run(main())


def test_host_header_and_name_to_verify_stay_the_nodes(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver), two_servers() as (one, other):
            nameserver.records["a.test"] = Record(BOTH)
            nodes = {f"a.test:{one.port}": 1}
            properties: dict[str, Any] = {"pass_host": "node"}
            await addresses(client.upstream(nodes, **properties), 4)
            for server in (one, other):
                assert {got.host for got in server.requests} == {b"a.test:%d" % one.port}

    each_loop.run(main())


def test_all_addresses_dead(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with named() as (client, nameserver):
            nameserver.records["a.test"] = Record(BOTH)
            upstream = client.upstream({f"a.test:{closed_port()}": 1})
            sent = request()
            with pytest.raises(UpstreamRefused):
                await upstream.send(sent, BLOCK)
            assert sent.upstream_addr

    each_loop.run(main())
