"""Which node gets a request, over real sockets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from batchway.errors import UpstreamBroken, UpstreamRefused, UpstreamTimeout
from batchway.upstream import UpstreamClient
from batchway.upstream.stream import ResponseStream
from tests.loops import pass_time, settle, until

from .asking import BLOCK, Client, budget, request
from .servers import Peer, Script, Server, answer_all, closed_port

NO_PROBES = {"healthy": {"interval": 10**12}, "unhealthy": {"interval": 10**12}}
"""The first one comes at random within an interval."""
LONG = 1 << 20


async def stall(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


READ_S = 50


async def time_out(peer: Peer) -> None:
    await peer.request()
    await settle()
    await pass_time(READ_S + 1)
    await peer.gone()


async def answer_late(peer: Peer) -> None:
    while True:
        await peer.request()
        await pass_time(10)
        await peer.answer()


async def answer_slowly(peer: Peer) -> None:
    while True:
        await peer.request()
        await asyncio.sleep(0.03)
        await peer.answer()


async def long_answer(peer: Peer) -> None:
    """The head of an answer whose body does not come."""
    while True:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % LONG)
        await peer.gone()


@asynccontextmanager
async def servers(*scripts: Script) -> AsyncIterator[list[Server]]:
    """A server for each of them."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Server(script)) for script in scripts]


def ports(*all_: Server) -> list[int]:
    return [server.port for server in all_]


def with_priorities(*nodes: tuple[int, int]) -> Sequence[dict[str, int | str]]:
    return [{"host": "127.0.0.1", "port": port, "weight": 1, "priority": high} for port, high in nodes]


def busy(upstream: UpstreamClient) -> list[int]:
    """Requests under way, node by node."""
    return [target.standing.busy for target in upstream._choice._targets.current]


async def ask(upstream: UpstreamClient, count: int, method: str = "GET", **values: str) -> list[int]:
    """The statuses of so many requests, one after another; `values` are their variables."""
    return [
        (await upstream.send(request(method, batch=budget()), BLOCK, None, values.get)).status
        for _ in range(count)
    ]


# --- chash


def test_key_stays_at_its_node(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(answer_all, answer_all, answer_all) as three, Client.running() as client:
            upstream = client.upstream(ports(*three), type="chash", key="arg_user")
            assert upstream.needs_lookup
            for user in "abcdefghij":
                before = [len(server.requests) for server in three]
                await ask(upstream, 5, arg_user=user)
                gained = [len(server.requests) - n for server, n in zip(three, before, strict=True)]
                assert sorted(gained) == [0, 0, 5]

    each_loop.run(main())


def test_keys_of_a_dead_node_go_to_others_and_come_back(each_loop: asyncio.Runner) -> None:
    async def node_of(upstream: UpstreamClient, user: str) -> str:
        sent = request()
        await upstream.send(sent, BLOCK, None, {"arg_user": user}.get)
        return sent.upstream_addr

    async def main() -> None:
        async with servers(answer_all, answer_all, answer_all) as three, Client.running() as client:
            users = [f"user{number}" for number in range(150)]
            upstream = client.upstream(ports(*three), type="chash", key="arg_user")
            before = {user: await node_of(upstream, user) for user in users}
            assert set(before.values()) == {f"127.0.0.1:{server.port}" for server in three}
            three[0].script = close
            for peer in three[0].peers:
                peer.reset()
            after = {user: await node_of(upstream, user) for user in users}
            gone = f"127.0.0.1:{three[0].port}"
            assert gone not in after.values()
            assert all(after[user] == before[user] for user in users if before[user] != gone)
            three[0].script = answer_all
            assert {user: await node_of(upstream, user) for user in users} == before

    each_loop.run(main())


async def close(peer: Peer) -> None:
    await peer.request()


def test_without_a_key_the_client_decides(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(answer_all, answer_all, answer_all) as three, Client.running() as client:
            upstream = client.upstream(ports(*three), type="chash", key="arg_user")
            await ask(upstream, 6)
            assert sorted(len(server.requests) for server in three) == [0, 0, 6]

    each_loop.run(main())


def test_other_types_look_nothing_up(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Client.running() as client:
            for kind in ("roundrobin", "least_conn", "ewma"):
                assert not client.upstream([1, 2], type=kind).needs_lookup

    each_loop.run(main())


# --- least_conn


def test_node_that_is_slow_gets_less(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(stall, answer_all) as (stuck, good), Client.running() as client:
            upstream = client.upstream(ports(stuck, good), type="least_conn")
            first = asyncio.create_task(upstream.send(request("POST"), BLOCK))
            await until(lambda: stuck.requests)
            assert busy(upstream) == [1, 0]
            assert await ask(upstream, 8, "POST") == [200] * 8
            assert (len(stuck.requests), len(good.requests)) == (1, 8)
            first.cancel()
            await asyncio.wait([first])
            assert busy(upstream) == [0, 0]

    each_loop.run(main())


@pytest.mark.parametrize("kind", ["least_conn", "ewma"])
@pytest.mark.parametrize("script", [close, answer_all, time_out], ids=["broken", "answered", "timed out"])
def test_what_is_over_is_not_counted(each_loop: asyncio.Runner, script: Script, kind: str) -> None:
    async def main() -> None:
        async with servers(script, script) as both, Client.running() as client:
            times = {"connect": 100, "send": 100, "read": READ_S}
            upstream = client.upstream(ports(*both), type=kind, timeout=times)
            asked = [upstream.send(request(batch=budget()), BLOCK) for _ in range(6)]
            await asyncio.gather(*asked, return_exceptions=True)
            assert busy(upstream) == [0, 0]

    each_loop.run(main())


def test_refused_is_not_counted(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Client.running() as client:
            upstream = client.upstream([closed_port(), closed_port()], type="least_conn")
            for _ in range(3):
                with pytest.raises(UpstreamRefused):
                    await upstream.send(request(), BLOCK)
            assert busy(upstream) == [0, 0]

    each_loop.run(main())


@pytest.mark.parametrize("how", ["closed by us", "broken off", "read"])
def test_streamed_answer_counts_until_its_end(each_loop: asyncio.Runner, how: str) -> None:
    async def main() -> None:
        async with servers(long_answer) as (server,), Client.running() as client:
            upstream = client.upstream([server.port, server.port], type="least_conn")
            response = await upstream.send(request(), BLOCK)
            body = response.body
            assert isinstance(body, ResponseStream)
            assert sum(busy(upstream)) == 2, "two nodes at one address are as busy as it is"
            match how:
                case "closed by us":
                    await body.aclose()
                case "broken off":
                    server.peers[0].reset()
                    with pytest.raises(UpstreamBroken):
                        await drained(body)
                case "read":
                    await server.peers[0].say(b"y" * (LONG - 1))
                    await drained(body)
            assert sum(busy(upstream)) == 0

    each_loop.run(main())


async def drained(body: ResponseStream) -> int:
    return sum([len(piece) async for piece in body])


# --- ewma


def test_quick_node_gets_more(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(answer_late, answer_all) as (slow, quick), Client.running() as client:
            upstream = client.upstream(ports(slow, quick), type="ewma")
            await ask(upstream, 30)
            assert len(quick.requests) >= 28
            assert slow.requests, "it was given a chance"

    each_loop.run(main())


def test_node_that_refuses_is_not_quick(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(answer_slowly) as (slow,), Client.running() as client:
            dead = closed_port()
            upstream = client.upstream([dead, slow.port], type="ewma")
            sent = [request() for _ in range(10)]
            for one in sent:
                await upstream.send(one, BLOCK)
            (refusing,) = (one for one in upstream._choice._targets.current if one.node.port == dead)
            assert refusing.standing.cost_s >= 5
            assert {one.upstream_addr for one in sent} == {f"127.0.0.1:{slow.port}"}

    each_loop.run(main())


# --- priority


def test_lower_priority_waits(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(answer_all, answer_all, answer_all) as (a, b, spare), Client.running() as client:
            upstream = client.upstream(with_priorities((spare.port, -1), (a.port, 0), (b.port, 0)))
            assert await ask(upstream, 6) == [200] * 6
            assert [len(server.requests) for server in (a, b, spare)] == [3, 3, 0]
            for server in (a, b):
                server.script = close
                for peer in server.peers:
                    peer.reset()
            assert await ask(upstream, 2) == [200] * 2
            assert [len(server.requests) for server in (a, b, spare)] == [5, 5, 2]

    each_loop.run(main())


def test_lower_priority_serves_while_the_higher_is_down(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(answer_all) as (spare,), Client.running() as client:
            passive = {"unhealthy": {"tcp_failures": 1}}
            checks = {"active": NO_PROBES, "passive": passive}
            nodes = with_priorities((closed_port(), 1), (spare.port, 0))
            upstream = client.upstream(nodes, checks=checks)
            assert await ask(upstream, 1, "POST") == [200]
            sent = request("POST")
            await upstream.send(sent, BLOCK)
            assert sent.upstream_addr == f"127.0.0.1:{spare.port}"
            assert [node.status for node in health(upstream)] == ["unhealthy", "healthy"]
            upstream.close()

    each_loop.run(main())


def health(upstream: UpstreamClient) -> Any:
    found = upstream.health("upstreams", "1")
    assert found is not None
    return found.nodes


# --- passive checks


class Counted:
    """Answers with that status, on every connection."""

    def __init__(self, status: bytes) -> None:
        self.status = status

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer(status=self.status)


def test_bad_answers_take_a_node_out(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(Counted(b"500 No"), answer_all) as (bad, good), Client.running() as client:
            passive = {"unhealthy": {"http_statuses": [500], "http_failures": 3}}
            upstream = client.upstream(ports(bad, good), checks={"active": NO_PROBES, "passive": passive})
            assert Counter(await ask(upstream, 6)) == {500: 3, 200: 3}
            assert await ask(upstream, 10) == [200] * 10
            assert [node.status for node in health(upstream)] == ["unhealthy", "healthy"]
            upstream.close()

    each_loop.run(main())


@pytest.mark.parametrize(("script", "count"), [(close, "tcp_failure"), (time_out, "timeout_failure")])
def test_no_answers_take_a_node_out(each_loop: asyncio.Runner, script: Script, count: str) -> None:
    async def main() -> None:
        async with servers(script, answer_all) as (bad, good), Client.running() as client:
            passive = {"unhealthy": {"tcp_failures": 2, "timeouts": 2}}
            times = {"connect": 100, "send": 100, "read": READ_S}
            checks = {"active": NO_PROBES, "passive": passive}
            upstream = client.upstream(ports(bad, good), checks=checks, timeout=times)
            assert await ask(upstream, 8) == [200] * 8
            assert len(bad.requests) == 2
            assert getattr(health(upstream)[0].counter, count) == 2
            upstream.close()

    each_loop.run(main())


def test_waiting_for_a_connection_of_ours_speaks_against_no_node(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(stall) as (server,), Client.running() as client:
            passive = {"unhealthy": {"timeouts": 1, "tcp_failures": 1}}
            upstream = client.upstream(
                [server.port, server.port],
                checks={"active": NO_PROBES, "passive": passive},
                max_connections=1,
                timeout={"connect": 10, "send": 100, "read": 100},
            )
            stuck = asyncio.create_task(upstream.send(request("POST"), BLOCK))
            await until(lambda: server.requests)
            waiting = asyncio.create_task(upstream.send(request("POST"), BLOCK))
            while not waiting.done():  # for one node after the other
                await pass_time(11)
            with pytest.raises(UpstreamTimeout):
                await waiting
            assert {node.status for node in health(upstream)} == {"healthy"}
            stuck.cancel()
            await asyncio.wait([stuck])
            assert {node.status for node in health(upstream)} == {"healthy"}, "nor does who leaves"
            upstream.close()

    each_loop.run(main())


def test_when_all_are_down_all_are_asked(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(Counted(b"500 No"), Counted(b"500 No")) as both, Client.running() as client:
            passive = {"unhealthy": {"http_failures": 1}, "healthy": {"successes": 1}}
            upstream = client.upstream(ports(*both), checks={"active": NO_PROBES, "passive": passive})
            assert await ask(upstream, 6) == [500] * 6
            assert [len(server.requests) for server in both] == [3, 3]
            both[1].script.status = b"200 OK"  # type: ignore[attr-defined] # Counted
            assert 200 in await ask(upstream, 2)
            assert await ask(upstream, 4) == [200] * 4, "passive successes bring it back"
            upstream.close()

    each_loop.run(main())


# --- retry_timeout, and who was asked


def test_no_other_node_after_the_retry_timeout(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(stall, answer_all) as (slow, good), Client.running() as client:
            times = {"connect": 6000, "send": 6000, "read": 500}
            for retry_timeout, expected in ((400, UpstreamTimeout), (600, None), (0, None)):
                upstream = client.upstream(ports(slow, good), timeout=times, retry_timeout=retry_timeout)
                asked = len(slow.requests)
                sending = asyncio.create_task(upstream.send(request(), BLOCK))
                await until(lambda asked=asked: len(slow.requests) > asked)  # type: ignore[misc] # bound
                await pass_time(510)
                await asyncio.wait([sending])
                error = sending.exception()
                assert type(error) is expected if expected else error is None

    runner.run(main())


def test_address_of_who_was_asked_last(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(answer_all) as (good,), Client.running() as client:
            dead = closed_port()
            sent = request()
            await client.upstream([dead, good.port]).send(sent, BLOCK)
            assert sent.upstream_addr == f"127.0.0.1:{good.port}"
            with pytest.raises(UpstreamRefused):
                await client.upstream([dead]).send(sent, BLOCK)
            assert sent.upstream_addr == f"127.0.0.1:{dead}"

    each_loop.run(main())


def test_cost_and_load_outlive_a_change(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with servers(stall, answer_all) as (stuck, good), Client.running() as client:
            old = client.upstream(ports(stuck, good), type="least_conn")
            first = asyncio.create_task(old.send(request("POST"), BLOCK))
            await until(lambda: stuck.requests)
            new = client.upstream(ports(good, stuck), old, type="least_conn")
            old.close()
            assert busy(new) == [0, 1]
            assert await ask(new, 5, "POST") == [200] * 5
            assert len(stuck.requests) == 1
            first.cancel()
            await asyncio.wait([first])
            await settle()
            assert busy(new) == [0, 0]

    each_loop.run(main())
