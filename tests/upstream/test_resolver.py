"""Names to addresses: asked once, remembered for their time, never blocking."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from batchway.config.resources import decode_upstream
from batchway.errors import UpstreamRefused
from batchway.upstream import Pools, Resolver, Terms, UpstreamClient
from batchway.upstream.resolver import MIN_TTL_S, is_address
from tests.loops import pass_time, settle, until

from .asking import BLOCK, request
from .nameserver import AAAA, A, Nameserver, Record
from .servers import Server

TIMEOUT_S = 10_000.0
"""By the loop's clock, which may be put forward; in real time no question is ever asked twice."""


@asynccontextmanager
async def resolving(**options: Any) -> AsyncIterator[tuple[Resolver, Nameserver]]:
    """A resolver over a nameserver of its own."""
    async with Nameserver.running() as nameserver:
        resolver = Resolver(nameservers=[nameserver.address], **{"timeout_s": TIMEOUT_S, **options})
        with capture_logs():
            try:
                yield resolver, nameserver
            finally:
                await resolver.close()


async def resolve(resolver: Resolver, name: str) -> str:
    """The only address of `name`, or `""`; shielded, as the look-up may be another's too."""
    answer = await asyncio.shield(resolver.look_up(name))
    assert len(answer.addresses) < 2
    return "".join(answer.addresses)


def known(resolver: Resolver, name: str) -> str | None:
    """The only address that is known and not out of date; `""` if there is known to be none."""
    answer = resolver.last(name)
    if answer is None or answer.until <= asyncio.get_running_loop().time():
        return None
    return "".join(answer.addresses)


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "0.0.0.0", "::1", "2001:db8::1", "::ffff:1.2.3.4", "fe80::1%eth0"]
)
def test_is_address(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "a.test",
        "1.2.3",
        "1.2.3.4.5",
        "256.0.0.1",
        "01.2.3.4",
        "[::1]",
        "1.2.3.4:80",
        "::g",
    ],
)
def test_is_no_address(text: str) -> None:
    assert not is_address(text)


def test_name(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",))
            assert known(resolver, "a.test") is None
            assert await resolve(resolver, "a.test") == "10.0.0.1"
            assert known(resolver, "a.test") == "10.0.0.1"
            assert nameserver.times("a.test") == 1

    each_loop.run(main())


def test_name_of_the_hosts_file(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            assert await resolve(resolver, "localhost") == "127.0.0.1"
            assert nameserver.asked == []

    each_loop.run(main())


def test_all_addresses_of_a_name(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1", "10.0.0.2", "10.0.0.3"))
            answer = await resolver.look_up("a.test")
            assert sorted(answer.addresses) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
            assert not answer.failed

    each_loop.run(main())


def test_ipv4_comes_before_ipv6(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["both.test"] = Record(("2001:db8::1", "10.0.0.1", "2001:db8::2"))
            nameserver.records["six.test"] = Record(("2001:db8::1",))
            assert await resolve(resolver, "both.test") == "10.0.0.1"
            assert await resolve(resolver, "six.test") == "2001:db8::1"
            assert ("six.test", AAAA) in nameserver.asked

    each_loop.run(main())


# --- for how long


def test_answer_is_known_for_its_ttl(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",), ttl_s=300)
            await resolve(resolver, "a.test")
            await pass_time(270)
            assert known(resolver, "a.test") == "10.0.0.1"
            await pass_time(31)
            assert known(resolver, "a.test") is None

    runner.run(main())


def test_lowest_ttl_counts(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1", "10.0.0.2"), ttl_s=30)
            await resolver.look_up("a.test")
            await pass_time(31)
            assert known(resolver, "a.test") is None

    runner.run(main())


def test_answer_without_ttl_is_known_for_a_moment(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",), ttl_s=0)
            for name in ("a.test", "localhost"):
                await resolve(resolver, name)
                assert known(resolver, name) is not None
                await pass_time(MIN_TTL_S + 0.1)
                assert known(resolver, name) is None

    runner.run(main())


def test_change_is_seen_after_the_ttl(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",), ttl_s=0)
            assert await resolve(resolver, "a.test") == "10.0.0.1"
            nameserver.records["a.test"] = Record(("10.0.0.2",), ttl_s=0)
            assert known(resolver, "a.test") == "10.0.0.1"
            await pass_time(MIN_TTL_S + 0.1)
            assert await resolve(resolver, "a.test") == "10.0.0.2"
            assert nameserver.times("a.test") == 2

    runner.run(main())


def test_setting_overrides_the_ttl(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving(valid_s=20) as (resolver, nameserver):
            nameserver.records["short.test"] = Record(("10.0.0.1",), ttl_s=1)
            nameserver.records["long.test"] = Record(("10.0.0.1",), ttl_s=1000)
            for name in ("short.test", "long.test"):
                await resolve(resolver, name)
            await pass_time(19)
            assert known(resolver, "short.test") == known(resolver, "long.test") == "10.0.0.1"
            await pass_time(2)
            assert known(resolver, "short.test") is known(resolver, "long.test") is None

    runner.run(main())


def test_setting_below_the_ttl_sees_a_change(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving(valid_s=5) as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",), ttl_s=300)
            await resolve(resolver, "a.test")
            nameserver.records["a.test"] = Record(("10.0.0.2",), ttl_s=300)
            await pass_time(6)
            assert known(resolver, "a.test") is None
            assert await resolve(resolver, "a.test") == "10.0.0.2"

    runner.run(main())


# --- how often


def test_many_who_wait_ask_once(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",))
            nameserver.records["b.test"] = Record(("10.0.0.2",))
            nameserver.waiting.clear()
            names = ["a.test", "b.test"] * 10
            asking = [asyncio.create_task(resolve(resolver, name)) for name in names]
            await until(lambda: nameserver.times("a.test") and nameserver.times("b.test"))
            nameserver.waiting.set()
            assert await asyncio.gather(*asking) == ["10.0.0.1", "10.0.0.2"] * 10
            assert (nameserver.times("a.test"), nameserver.times("b.test")) == (1, 1)

    each_loop.run(main())


def test_who_leaves_does_not_take_the_answer_from_others(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",))
            nameserver.waiting.clear()
            first, second = (asyncio.create_task(resolve(resolver, "a.test")) for _ in range(2))
            await until(lambda: nameserver.times("a.test"))
            first.cancel()
            await asyncio.wait([first])
            assert first.cancelled()
            nameserver.waiting.set()
            assert await second == "10.0.0.1"
            assert nameserver.times("a.test") == 1

    each_loop.run(main())


def test_answer_that_nobody_waits_for_is_remembered(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",))
            nameserver.waiting.clear()
            asking = asyncio.create_task(resolve(resolver, "a.test"))
            await until(lambda: nameserver.times("a.test"))
            asking.cancel()
            await asyncio.wait([asking])
            nameserver.waiting.set()
            await until(lambda: known(resolver, "a.test") == "10.0.0.1")

    each_loop.run(main())


def test_loop_goes_on_while_a_name_is_asked_for(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["slow.test"] = Record(("10.0.0.1",))
            nameserver.records["fast.test"] = Record(("10.0.0.2",))
            nameserver.waiting.clear()
            asking = asyncio.create_task(resolve(resolver, "slow.test"))
            await until(lambda: nameserver.times("slow.test"))
            assert not asking.done()
            nameserver.waiting.set()
            assert await asking == "10.0.0.1"

    each_loop.run(main())


# --- what does not come off


async def given_up(asking: "asyncio.Task[Any]", nameserver: Nameserver, fault: str) -> None:
    """Let the time pass that a question has, if nobody answers it."""
    asked = len(nameserver.asked)
    await until(lambda: asking.done() or len(nameserver.asked) > asked)
    if fault == "silent":
        await settle()
        await pass_time(TIMEOUT_S + 1)


@pytest.mark.parametrize("fault", ["nxdomain", "servfail", "silent"])
def test_failure(each_loop: asyncio.Runner, fault: Any) -> None:
    async def main() -> None:
        async with resolving(timeout_s=TIMEOUT_S) as (resolver, nameserver):
            nameserver.records["a.test"] = Record(fault=fault)
            asking = resolver.look_up("a.test")
            await given_up(asking, nameserver, fault)
            answer = await asking
            assert answer.failed
            assert answer.addresses == ()

    each_loop.run(main())


@pytest.mark.parametrize("name", ["a..b", "..", "x" * 64 + ".test", "x." * 200 + "test", "-"])
def test_name_that_is_none(runner: asyncio.Runner, name: str) -> None:
    async def main() -> None:
        async with resolving() as (resolver, _):
            assert await resolve(resolver, name) == ""

    runner.run(main())


def test_name_without_addresses(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record()
            assert await resolve(resolver, "a.test") == ""

    each_loop.run(main())


def test_failure_is_remembered_for_a_moment(runner: asyncio.Runner) -> None:
    """A broken name must not cost a question per request."""

    async def main() -> None:
        async with resolving(timeout_s=TIMEOUT_S) as (resolver, nameserver):
            nameserver.records["a.test"] = Record(fault="servfail")
            assert await resolve(resolver, "a.test") == ""
            asked = len(nameserver.asked)
            assert known(resolver, "a.test") == ""
            assert len(nameserver.asked) == asked
            nameserver.records["a.test"] = Record(("10.0.0.1",))
            await pass_time(MIN_TTL_S + 0.1)
            assert known(resolver, "a.test") is None
            assert await resolve(resolver, "a.test") == "10.0.0.1"

    runner.run(main())


@pytest.mark.parametrize("fault", ["servfail", "silent"])
def test_failure_keeps_the_last_answer(runner: asyncio.Runner, fault: Any) -> None:
    async def main() -> None:
        async with resolving(timeout_s=TIMEOUT_S) as (resolver, nameserver):
            nameserver.records["a.test"] = Record(("10.0.0.1",), ttl_s=0)
            assert await resolve(resolver, "a.test") == "10.0.0.1"
            nameserver.records["a.test"] = Record(fault=fault)
            for _ in range(2):
                await pass_time(MIN_TTL_S + 0.1)
                assert known(resolver, "a.test") is None
                asking = asyncio.create_task(resolve(resolver, "a.test"))
                await given_up(asking, nameserver, fault)
                assert await asking == "10.0.0.1"
            nameserver.records["a.test"] = Record(("10.0.0.2",), ttl_s=0)
            await pass_time(MIN_TTL_S + 0.1)
            assert await resolve(resolver, "a.test") == "10.0.0.2"

    runner.run(main())


def test_close_stops_what_is_asked(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with resolving() as (resolver, nameserver):
            nameserver.records["a.test"] = Record(fault="silent")
            asking = asyncio.create_task(resolve(resolver, "a.test"))
            await until(lambda: nameserver.asked)
            await resolver.close()
            await settle()
            assert asking.done()
            with pytest.raises(asyncio.CancelledError):
                await asking

    each_loop.run(main())


# --- on the way to an upstream


@asynccontextmanager
async def upstream_of(nodes: dict[str, int], nameserver: Nameserver) -> AsyncIterator[UpstreamClient]:
    pools = Pools(Resolver(nameservers=[nameserver.address], timeout_s=TIMEOUT_S))
    try:
        yield UpstreamClient(decode_upstream({"nodes": nodes}), pools, Terms())
    finally:
        await pools.close()
    await until(lambda: not pools.open_connections())


def test_node_with_a_name_is_reached(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Nameserver.running() as nameserver, Server() as server:
            nameserver.records["a.test"] = Record(("127.0.0.1",))
            async with upstream_of({f"a.test:{server.port}": 1}, nameserver) as upstream:
                for _ in range(3):
                    assert (await upstream.send(request(), BLOCK)).status == 200
            assert nameserver.times("a.test") == 1
            assert len(server.peers) == 1

    each_loop.run(main())


def test_node_without_an_address_is_passed_over(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Nameserver.running() as nameserver, Server() as server:
            nodes = {f"gone.test:{server.port}": 1, f"127.0.0.1:{server.port}": 1}
            async with upstream_of(nodes, nameserver) as upstream:
                with capture_logs():
                    for _ in range(4):
                        assert (await upstream.send(request("POST"), BLOCK)).status == 200
            assert ("gone.test", A) in nameserver.asked
            assert len(server.requests) == 4

    each_loop.run(main())


def test_only_node_without_an_address(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Nameserver.running() as nameserver:
            async with upstream_of({"gone.test:80": 1}, nameserver) as upstream:
                with capture_logs():
                    for _ in range(2):
                        with pytest.raises(UpstreamRefused) as caught:
                            await upstream.send(request(), BLOCK)
                        assert "resolve" in caught.value.message
                        assert "gone" not in caught.value.message, "clients are not told names of nodes"

    each_loop.run(main())
