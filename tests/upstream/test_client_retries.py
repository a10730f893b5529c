"""When a request is sent again, and when never."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from batchway.errors import (
    NoHealthyNode,
    ReplyTooLarge,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from batchway.model import Body, Budget
from tests.loops import pass_time, settle, until

from .asking import BLOCK, Client, Pieces, budget, read, request
from .servers import Peer, Server, answer_all, closed_port

READ_S = 50
TIMES = {"connect": 50, "send": 50, "read": READ_S}
REPEATABLE = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
NOT_REPEATABLE = ("POST", "PATCH", "PURGE", "LOCK")

Fault = Callable[[Peer], Awaitable[None]]


# --- how a server fails once it has the request


async def close(peer: Peer) -> None:
    await peer.request()


async def reset(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def hold(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


async def stall(peer: Peer) -> None:
    await peer.request()
    await settle()
    await pass_time(READ_S + 1)
    await peer.gone()


async def part_of_the_head(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"HTTP/1.1 200 OK\r\nContent-")


async def interim_only(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"HTTP/1.1 103 Early Hints\r\n\r\n")


async def part_of_the_body(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")


async def garbage(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"garbage\r\n\r\n")
    await peer.gone()


async def stall_in_the_body(peer: Peer) -> None:
    await part_of_the_body(peer)
    await settle()  # it is to have that part
    await pass_time(READ_S + 1)
    await peer.gone()


BEFORE_ANY_ANSWER: dict[Fault, type[UpstreamError]] = {
    close: UpstreamBroken,
    reset: UpstreamBroken,
    stall: UpstreamTimeout,
}
AFTER_ITS_BEGIN: dict[Fault, type[UpstreamError]] = {
    part_of_the_head: UpstreamBroken,
    part_of_the_body: UpstreamBroken,
    interim_only: UpstreamBroken,
    garbage: UpstreamBroken,
    stall_in_the_body: UpstreamTimeout,
}


def then(fault: Fault, *, served: int = 0) -> Fault:
    """A server that fails so, on each connection once it has served so many requests."""

    async def script(peer: Peer) -> None:
        for _ in range(served):
            received = await peer.request()
            await peer.answer(head=received.head.startswith(b"HEAD "))
        await fault(peer)

    return script


async def outcome(
    client: Client, ports: list[int], method: str, body: bytes | Body = b"", **properties: Any
) -> str:
    """The status or the error of one request, the first node being the first port."""
    upstream = client.upstream(ports, timeout=TIMES, **properties)
    try:
        response = await upstream.send(request(method, body=body, batch=budget()), BLOCK)
    except UpstreamError as error:
        return type(error).__name__
    return str(response.status)


@pytest.mark.parametrize("fault", BEFORE_ANY_ANSWER, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("method", REPEATABLE)
def test_idempotent_request_goes_to_the_next_node(
    each_loop: asyncio.Runner, method: str, fault: Fault
) -> None:
    async def main() -> None:
        async with Server(fault) as bad, Server() as good, Client.running() as client:
            assert await outcome(client, [bad.port, good.port], method) == "200"
            assert (len(bad.requests), len(good.requests)) == (1, 1)
            assert bad.requests[0].line == good.requests[0].line

    each_loop.run(main())


@pytest.mark.parametrize("fault", BEFORE_ANY_ANSWER, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("method", NOT_REPEATABLE)
def test_other_request_is_never_sent_twice(each_loop: asyncio.Runner, method: str, fault: Fault) -> None:
    async def main() -> None:
        async with Server(fault) as bad, Server() as good, Client.running() as client:
            found = await outcome(client, [bad.port, good.port], method, retries=5)
            assert found == BEFORE_ANY_ANSWER[fault].__name__
            assert (len(bad.requests), len(good.requests)) == (1, 0)

    each_loop.run(main())


@pytest.mark.parametrize("fault", AFTER_ITS_BEGIN, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_answer_that_has_begun_is_not_asked_for_again(
    each_loop: asyncio.Runner, method: str, fault: Fault
) -> None:
    async def main() -> None:
        async with Server(fault) as bad, Server() as good, Client.running() as client:
            found = await outcome(client, [bad.port, good.port], method, retries=5)
            assert found == AFTER_ITS_BEGIN[fault].__name__
            assert (len(bad.requests), len(good.requests)) == (1, 0)

    each_loop.run(main())


@pytest.mark.parametrize("method", [*REPEATABLE, *NOT_REPEATABLE])
def test_what_was_not_sent_goes_to_the_next_node(each_loop: asyncio.Runner, method: str) -> None:
    async def main() -> None:
        async with Server() as good, Client.running() as client:
            assert await outcome(client, [closed_port(), good.port], method, b"body") == "200"
            assert [received.body for received in good.requests] == [b"body"]

    each_loop.run(main())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_body_in_pieces_goes_to_the_next_node_if_it_was_not_begun(
    each_loop: asyncio.Runner, method: str
) -> None:
    async def main() -> None:
        async with Server() as good, Client.running() as client:
            body = Pieces([b"bo", b"dy"], length=4)
            assert await outcome(client, [closed_port(), good.port], method, body) == "200"
            assert [received.body for received in good.requests] == [b"body"]

    each_loop.run(main())


@pytest.mark.parametrize("length", [4, None])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_body_in_pieces_is_sent_once(each_loop: asyncio.Runner, method: str, length: int | None) -> None:
    async def main() -> None:
        async with Server(close) as bad, Server() as good, Client.running() as client:
            body = Pieces([b"bo", b"dy"], length=length)
            assert await outcome(client, [bad.port, good.port], method, body) == "UpstreamBroken"
            assert (len(bad.requests), len(good.requests)) == (1, 0)

    each_loop.run(main())


# --- a connection that had been used before


@pytest.mark.parametrize("fault", [close, reset], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("method", REPEATABLE)
def test_idle_connection_that_dies_is_no_try(each_loop: asyncio.Runner, method: str, fault: Fault) -> None:
    async def main() -> None:
        async with Server(then(fault, served=1)) as server, Client.running() as client:
            for _ in range(3):
                assert await outcome(client, [server.port], method, retries=0) == "200"
            served = [len(peer.requests) for peer in server.peers]
            assert served == [2, 2, 1], "the second of each was sent again on a new connection"

    each_loop.run(main())


@pytest.mark.parametrize("fault", [close, reset], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("method", NOT_REPEATABLE)
def test_other_request_on_an_idle_connection_that_dies_is_not_sent_twice(
    each_loop: asyncio.Runner, method: str, fault: Fault
) -> None:
    async def main() -> None:
        async with Server(then(fault, served=1)) as server, Client.running() as client:
            assert await outcome(client, [server.port], method) == "200"
            assert await outcome(client, [server.port], method, retries=5) == "UpstreamBroken"
            assert [len(peer.requests) for peer in server.peers] == [2]

    each_loop.run(main())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_connection_closed_while_idle_is_passed_over(each_loop: asyncio.Runner, method: str) -> None:
    async def answer_and_close(peer: Peer) -> None:
        await peer.request()
        await peer.answer()

    async def main() -> None:
        async with Server(answer_and_close) as server, Client.running() as client:
            for number in range(1, 6):
                assert await outcome(client, [server.port], method, retries=0) == "200"
                await until(lambda: server.open == 0)
                assert len(server.peers) == number

    each_loop.run(main())


def test_stall_on_an_idle_connection_is_a_try(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(then(stall, served=1)) as server, Client.running() as client:
            assert await outcome(client, [server.port], "GET") == "200"
            assert await outcome(client, [server.port], "GET", retries=0) == "UpstreamTimeout"
            assert len(server.peers) == 1

    each_loop.run(main())


def test_many_idle_connections_that_die_are_no_tries(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(then(close, served=1)) as server, Client.running() as client:
            upstream = client.upstream([server.port], retries=0)
            first = await asyncio.gather(*(upstream.send(request(), BLOCK) for _ in range(5)))
            second = await asyncio.gather(*(upstream.send(request(), BLOCK) for _ in range(5)))
            assert [answer.status for answer in (*first, *second)] == [200] * 10

    each_loop.run(main())


# --- how often


@pytest.mark.parametrize(
    ("retries", "tries"), [(None, 3), (0, 1), (1, 2), (2, 3), (5, 6)], ids=lambda value: str(value)
)
def test_number_of_tries(each_loop: asyncio.Runner, retries: int | None, tries: int) -> None:
    """`retries` absent: as many as there are other nodes."""

    async def main() -> None:
        async with Server(close) as a, Server(close) as b, Server(close) as c, Client.running() as client:
            properties: dict[str, Any] = {} if retries is None else {"retries": retries}
            ports = [a.port, b.port, c.port]
            assert await outcome(client, ports, "GET", **properties) == "UpstreamBroken"
            asked = sorted(len(server.requests) for server in (a, b, c))
            assert sum(asked) == tries
            if tries <= 3:
                assert asked == sorted([1] * tries + [0] * (3 - tries)), "none twice while others are left"

    each_loop.run(main())


def test_nodes_of_no_weight_are_no_tries(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(close) as a, Server() as b, Client.running() as client:
            upstream = client.upstream({f"127.0.0.1:{a.port}": 1, f"127.0.0.1:{b.port}": 0})
            with pytest.raises(UpstreamBroken):
                await upstream.send(request(), BLOCK)
            assert (len(a.requests), len(b.requests)) == (1, 0)

    each_loop.run(main())


def test_error_is_that_of_the_last_try(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(stall) as slow, Client.running() as client:
            assert await outcome(client, [closed_port(), slow.port], "GET") == "UpstreamTimeout"
        async with Server(stall) as slow, Client.running() as client:
            assert await outcome(client, [slow.port, closed_port()], "GET") == "UpstreamRefused"

    each_loop.run(main())


def test_one_node_refused(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Client.running() as client:
            with pytest.raises(UpstreamRefused):
                await client.upstream([closed_port()]).send(request(), BLOCK)

    each_loop.run(main())


@pytest.mark.parametrize("nodes", [{}, {"127.0.0.1:1": 0}], ids=["none", "weight 0"])
def test_no_node(runner: asyncio.Runner, nodes: dict[str, int]) -> None:
    async def main() -> None:
        async with Client.running() as client:
            with pytest.raises(NoHealthyNode) as caught:
                await client.upstream(nodes).send(request(), BLOCK)
            assert caught.value.status == 503

    runner.run(main())


def test_waiting_for_a_connection_to_one_node_goes_on_to_the_next(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(hold) as full, Server() as good, Client.running() as client:
            timeout = {"connect": 10, "send": 100, "read": 100}
            only = client.upstream([full.port], max_connections=1, timeout=timeout)
            stuck = asyncio.create_task(only.send(request("POST"), BLOCK))
            await until(lambda: full.requests)
            both = client.upstream([full.port, good.port], max_connections=1, timeout=timeout)
            asking = asyncio.create_task(both.send(request("POST"), BLOCK))
            await settle()
            await pass_time(11)
            assert (await asking).status == 200
            assert len(full.requests) == 1
            stuck.cancel()
            await asyncio.wait([stuck])

    each_loop.run(main())


# --- the budget over several tries


def test_failed_tries_cost_no_budget(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(close) as bad, Server() as good, Client.running() as client:
            shared = Budget(max_reply_size=10, max_response_size=10)
            upstream = client.upstream([bad.port, good.port])
            answer = await upstream.send(request(batch=shared), BLOCK)
            assert (answer.body, shared.remaining) == (b"ok", 8)

    each_loop.run(main())


def test_too_large_is_not_asked_for_again(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as one, Server() as other, Client.running() as client:
            shared = Budget(max_reply_size=1, max_response_size=10)
            with pytest.raises(ReplyTooLarge):
                await client.upstream([one.port, other.port]).send(request(batch=shared), BLOCK)
            assert len(one.requests) + len(other.requests) == 1
            assert shared.remaining == 10

    each_loop.run(main())


# --- who leaves


def test_cancelled_request_closes_its_connection(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(stall) as server, Client.running() as client:
            shared = budget()
            sending = asyncio.create_task(client.upstream([server.port]).send(request(batch=shared), BLOCK))
            await until(lambda: server.requests)
            sending.cancel()
            await asyncio.wait([sending])
            assert sending.cancelled()
            await until(lambda: server.open == 0 and client.pools.open_connections() == 0)
            assert shared.remaining == budget().remaining
            assert len(server.requests) == 1, "what was cancelled is not sent again"

    each_loop.run(main())


def test_cancelled_upload_stops(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        read_on = asyncio.Event()

        async def read_never(peer: Peer) -> None:
            await read_on.wait()

        async with Server(read_never) as server, Client.running() as client:
            body = Pieces([b"x" * 65536] * 10_000, length=65536 * 10_000)
            sending = asyncio.create_task(
                client.upstream([server.port]).send(request("POST", body=body), BLOCK)
            )
            await until(lambda: body.taken > 3)
            sending.cancel()
            await asyncio.wait([sending])
            await until(lambda: client.pools.open_connections() == 0)
            taken = body.taken
            await settle(50)
            assert body.taken == taken

    each_loop.run(main())


@pytest.mark.parametrize("length", [100, None], ids=["length", "chunks"])
def test_client_that_leaves_mid_body_does_not_leave_a_whole_one(
    each_loop: asyncio.Runner, length: int | None
) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            body = Pieces([b"part"], length=length, gone=True)
            with pytest.raises(UpstreamError):
                await client.upstream([server.port]).send(request("POST", body=body), BLOCK)
            await until(lambda: server.open == 0)
            assert server.requests == []
            assert client.pools.open_connections() == 0

    each_loop.run(main())


def test_early_answer_ends_the_upload(each_loop: asyncio.Runner) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.answer(b"no", status=b"413 Too Large")
        await peer.gone()

    async def main() -> None:
        async with Server(refuse) as server, Client.running() as client:
            body = Pieces([b"x" * 1000] * 100_000, length=100_000_000)
            answer = await client.upstream([server.port]).send(request("POST", body=body), BLOCK)
            assert (answer.status, await read(answer)) == (413, b"no")
            await until(lambda: client.pools.open_connections() == 0)
            taken = body.taken
            assert taken < 100_000
            await settle(50)
            assert body.taken == taken

    each_loop.run(main())


def test_early_answer_to_a_whole_body_leaves_no_connection_to_reuse(each_loop: asyncio.Runner) -> None:
    """The server has said all and reads no more of it: the next request would wait behind the rest."""

    async def refuse(peer: Peer) -> None:
        if peer.number:
            await answer_all(peer)
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.stop_reading()
        await peer.answer(b"no", status=b"413 Too Large")
        await asyncio.sleep(60)

    async def main() -> None:
        async with Server(refuse) as server, Client.running() as client:
            upstream = client.upstream([server.port], timeout=TIMES)
            answer = await upstream.send(request("POST", body=b"x" * 20_000_000), BLOCK)
            assert answer.status == 413
            assert (await upstream.send(request("POST", body=b""), BLOCK)).status == 200

    each_loop.run(main())


def test_server_that_takes_no_body_times_out(each_loop: asyncio.Runner) -> None:
    async def read_never(peer: Peer) -> None:
        peer.stop_reading()
        await asyncio.sleep(60)

    async def main() -> None:
        async with Server(read_never) as server, Client.running() as client:
            timeout = {"connect": 5, "send": 0.05, "read": 30}
            upstream = client.upstream([server.port], timeout=timeout)
            bodies = (b"x" * 20_000_000, Pieces([b"x" * 65536] * 400, length=65536 * 400))
            for body in bodies:
                with pytest.raises(UpstreamTimeout):
                    await asyncio.wait_for(upstream.send(request("POST", body=body), BLOCK), 20)
            await until(lambda: client.pools.open_connections() == 0)

    each_loop.run(main())


def test_times_of_the_route_come_before_those_of_the_upstream(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(stall) as server, Client.running() as client:
            slow = client.upstream([server.port], timeout={"connect": 9000, "send": 9000, "read": 9000})
            fast = client.upstream([server.port], timeout=TIMES)
            with pytest.raises(UpstreamTimeout):
                await slow.send(request(), BLOCK, fast.upstream.timeout)

    each_loop.run(main())


# --- several upstreams


def test_nodes_are_asked_by_weight(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as a, Server() as b, Client.running() as client:
            upstream = client.upstream({f"127.0.0.1:{a.port}": 3, f"127.0.0.1:{b.port}": 1})
            for _ in range(12):
                await upstream.send(request(), BLOCK)
            assert (len(a.requests), len(b.requests)) == (9, 3)

    each_loop.run(main())


def test_upstreams_with_the_same_terms_share_connections(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            for _ in range(3):
                await client.upstream([server.port]).send(request(), BLOCK)
            assert len(server.peers) == 1
            await client.upstream([server.port], keepalive_pool={"size": 7}).send(request(), BLOCK)
            assert len(server.peers) == 2

    each_loop.run(main())


def test_client_outlives_a_pool_that_fell_empty(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port], keepalive_pool={"idle_timeout": 0.01})
            for _ in range(3):
                assert (await upstream.send(request(), BLOCK)).status == 200
                await until(lambda: client.pools.open_connections() == 0)
            assert len(server.peers) == 3

    each_loop.run(main())


def test_keepalive_pool_of_the_resource_counts(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port], keepalive_pool={"requests": 2})
            for _ in range(4):
                await upstream.send(request(), BLOCK)
            assert [len(peer.requests) for peer in server.peers] == [2, 2]

    each_loop.run(main())


def test_connections_that_may_not_be_idle_are_not_kept(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port], keepalive_pool={"idle_timeout": 0})
            for number in (1, 2):
                await upstream.send(request(), BLOCK)
                await until(lambda: client.pools.open_connections() == 0)
                assert len(server.peers) == number

    each_loop.run(main())


def test_max_connections_of_the_resource_counts(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port], max_connections=2)
            await asyncio.gather(*(upstream.send(request(), BLOCK) for _ in range(10)))
            assert len(server.peers) == 2

    each_loop.run(main())


def test_small_batch_does_not_wait_for_a_big_one(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port], max_connections=1)
            big, small = budget(), budget()
            first = asyncio.create_task(upstream.send(request(path="/big0", batch=big), BLOCK))
            await settle(1)
            rest = [
                asyncio.create_task(upstream.send(request(path=f"/big{number}", batch=big), BLOCK))
                for number in range(1, 50)
            ]
            await settle(1)
            await asyncio.wait_for(upstream.send(request(path="/small", batch=small), BLOCK), 20)
            order = [received.line.split()[1] for received in server.requests]
            assert order.index(b"/small") <= 3
            await asyncio.gather(first, *rest)

    each_loop.run(main())
