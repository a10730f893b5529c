"""Connections to one address: kept, bounded, shared out in turns, and none ever lost count of."""

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from batchway.errors import BatchwayError, UpstreamBroken, UpstreamRefused, UpstreamTimeout
from batchway.model import Response
from batchway.upstream.connection import Connection
from batchway.upstream.exchange import Exchange
from batchway.upstream.pool import Address, Pool, Terms
from tests.loops import pass_time, settle, until

from .servers import Door, Peer, Server, answer_all, closed_port, slamming_door

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Emptied:
    """Notes how often a pool said that it is empty."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, pool: Pool) -> None:
        self.times += 1


def pool_at(
    port: int,
    *,
    on_empty: Callable[[Pool], None] = lambda _: None,
    ip: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    **terms: Any,
) -> Pool:
    address = Address(ip, port, "a.test" if tls else None)
    return Pool(address, Terms(**terms), tls, on_empty)


def exchange(path: str, read_timeout_s: float, body: bytes = b"") -> Exchange:
    head = f"GET /{path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n"
    return Exchange(head.encode(), body, False, None, read_timeout_s, 5.0)


async def finish(connection: Connection, path: str = "", *, read_timeout_s: float = 5.0) -> Response:
    """One exchange on a connection that was taken."""
    future = connection.send(exchange(path, read_timeout_s))
    try:
        return await future
    except BaseException:
        connection.abandon(future)
        raise


async def ask(
    pool: Pool, path: str = "", *, party: object = None, connect: float = 5.0, read: float = 5.0
) -> Response:
    """One exchange on any connection of the pool."""
    return await finish(await pool.take(party, connect), path, read_timeout_s=read)


async def emptied(pool: Pool) -> None:
    """Close the pool, and see that it counts nothing as open then."""
    pool.close()
    await until(lambda: pool.open == 0, "the pool is empty")


def tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


# --- reuse


def test_idle_connection_is_used_again(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port)
            assert pool.open == 0
            for _ in range(5):
                assert (await ask(pool)).body == b"ok"
                assert pool.open == 1
            assert len(server.peers) == 1
            assert len(server.requests) == 5
            await emptied(pool)

    each_loop.run(main())


def test_connections_at_once_are_several(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port)
            await asyncio.gather(*(ask(pool) for _ in range(4)))
            assert (len(server.peers), pool.open) == (4, 4)
            await asyncio.gather(*(ask(pool) for _ in range(4)))
            assert (len(server.peers), pool.open) == (4, 4)
            await emptied(pool)

    each_loop.run(main())


def test_last_used_connection_is_next(runner: asyncio.Runner) -> None:
    """So that those too many fall idle."""

    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port)
            taken = [await pool.take(None, 5) for _ in range(3)]
            for connection in taken:
                await finish(connection)
            assert pool.take_idle() is taken[2]
            assert pool.take_idle() is taken[1]
            await emptied(pool)

    runner.run(main())


def test_take_idle_of_none_is_none(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port)
            assert pool.take_idle() is None
            connection = await pool.take(None, 5)
            assert pool.take_idle() is None
            await finish(connection)
            assert pool.take_idle() is connection
            assert pool.take_idle() is None
            await emptied(pool)

    runner.run(main())


async def one_idle(pool: Pool, door: Door) -> Any:
    """Bring `pool` to one idle connection; returns the server's end of it."""
    asking = asyncio.create_task(ask(pool))
    await until(lambda: pool.open == 1)
    await settle()
    end = door.accept()
    end.setblocking(False)
    await asyncio.get_running_loop().sock_recv(end, 65536)
    end.sendall(ANSWER)
    assert (await asking).body == b"ok"
    return end


@pytest.mark.parametrize(
    "spoil",
    [
        lambda end: end.close(),
        lambda end: end.shutdown(1),
        lambda end: end.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n"),
    ],
    ids=["closed", "half closed", "spoken to unasked"],
)
def test_stale_connection_is_found_out_before_it_is_used(
    each_loop: asyncio.Runner, spoil: Callable[[Any], None]
) -> None:
    """Without a turn of the event loop in between: the kernel knows before the loop does."""

    async def main() -> None:
        with Door() as door:
            pool = pool_at(door.port)
            spoil(await one_idle(pool, door))
            assert pool.take_idle() is None
            assert pool.open == 0
            await settle()
            assert pool.open == 0
            pool.close()

    each_loop.run(main())


def test_take_passes_a_stale_connection(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        with Door() as door:
            pool = pool_at(door.port)
            (await one_idle(pool, door)).close()
            connection = await pool.take(None, 5)
            assert connection.served == 0
            assert pool.open == 1
            await emptied(pool)

    each_loop.run(main())


def test_connection_closed_by_the_server_is_forgotten(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async def answer_and_close(peer: Peer) -> None:
            await peer.request()
            await peer.answer()

        empty = Emptied()
        async with Server(answer_and_close) as server:
            pool = pool_at(server.port, on_empty=empty)
            await ask(pool)
            await until(lambda: pool.open == 0)
            assert empty.times == 1

    each_loop.run(main())


# --- how many, how long


def test_no_more_connections_than_max(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_connections=3)
            answers = await asyncio.gather(*(ask(pool, str(n), party=n % 5) for n in range(50)))
            assert [answer.status for answer in answers] == [200] * 50
            assert server.most_open == 3
            assert len(server.requests) == 50
            assert pool.open == 3
            await emptied(pool)

    each_loop.run(main())


def test_connections_that_close_make_room(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async def answer_once(peer: Peer) -> None:
            await peer.request()
            await peer.answer(headers=b"Connection: close\r\n")
            await peer.gone()

        async with Server(answer_once) as server:
            pool = pool_at(server.port, max_connections=2)
            await asyncio.gather(*(ask(pool) for _ in range(20)))
            assert len(server.peers) == 20
            await until(lambda: pool.open == 0)

    each_loop.run(main())


def test_no_more_idle_than_max(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_idle=2)
            await asyncio.gather(*(ask(pool) for _ in range(6)))
            await until(lambda: server.open <= 2)
            await settle(50)
            left = pool.open, server.open
            await emptied(pool)
            assert left == (2, 2)

    each_loop.run(main())


def test_oldest_idle_connection_too_many_is_closed(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_idle=2)
            taken = [await pool.take(None, 5) for _ in range(4)]
            for connection in taken:
                await finish(connection)
                await settle()
            assert [connection.closed for connection in taken] == [True, True, False, False]
            assert pool.open == 2
            await emptied(pool)

    each_loop.run(main())


def test_connection_is_closed_after_its_last_request(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_requests=3)
            for _ in range(7):
                await ask(pool)
            assert [len(peer.requests) for peer in server.peers] == [3, 3, 1]
            await until(lambda: pool.open == 1)
            await emptied(pool)

    each_loop.run(main())


def test_last_request_is_followed_by_whose_turn_it_is(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_requests=2, max_connections=1)
            await asyncio.gather(*(ask(pool) for _ in range(7)))
            assert [len(peer.requests) for peer in server.peers] == [2, 2, 2, 1]
            await emptied(pool)

    each_loop.run(main())


def test_idle_connection_is_closed_in_time(runner: asyncio.Runner) -> None:
    async def main() -> None:
        empty = Emptied()
        async with Server() as server:
            pool = pool_at(server.port, idle_timeout_s=600, on_empty=empty)
            await ask(pool)
            await pass_time(500)
            assert pool.open == 1
            await ask(pool)
            await pass_time(500)
            assert pool.open == 1, "it was used in between"
            assert empty.times == 0
            await pass_time(101)
            assert pool.open == 0
            assert empty.times == 1
            await until(lambda: server.open == 0)

    runner.run(main())


def test_only_what_is_idle_for_long_is_closed(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, idle_timeout_s=600)
            await asyncio.gather(ask(pool), ask(pool), ask(pool))
            await pass_time(400)
            await asyncio.gather(ask(pool), ask(pool))
            await pass_time(201)
            assert pool.open == 2
            await pass_time(400)
            assert pool.open == 0

    runner.run(main())


def test_idle_timeout_on_the_real_clock(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, idle_timeout_s=0.02)
            await ask(pool)
            await until(lambda: pool.open == 0 and server.open == 0)

    each_loop.run(main())


async def never_answer(peer: Peer) -> None:
    await peer.request()
    await peer.gone()


def test_answer_that_does_not_come_times_out(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(never_answer) as server:
            pool = pool_at(server.port)
            with pytest.raises(UpstreamTimeout):
                await ask(pool, read=0.02)
            await until(lambda: pool.open == 0 and server.open == 0)

    each_loop.run(main())


def test_each_exchange_has_its_own_time(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(never_answer) as server:
            pool = pool_at(server.port)
            slow = asyncio.create_task(ask(pool, read=100))
            fast = asyncio.create_task(ask(pool, read=10))
            middle = asyncio.create_task(ask(pool, read=50))
            await until(lambda: len(server.requests) == 3)
            await pass_time(5)
            assert not fast.done()
            for task, seconds in ((fast, 6), (middle, 40), (slow, 50)):
                assert not task.done()
                await pass_time(seconds)
                assert isinstance(task.exception(), UpstreamTimeout)
            assert pool.open == 0

    runner.run(main())


def test_timeouts_spare_what_was_answered(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, idle_timeout_s=1000)
            await ask(pool, read=100)
            await pass_time(110)
            assert pool.open == 1
            assert (await ask(pool, read=100)).status == 200
            assert len(server.peers) == 1
            await emptied(pool)

    runner.run(main())


# --- turns


def test_turns_go_round_between_parties(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def answer_later(peer: Peer) -> None:
            await peer.request()
            await go_on.wait()
            await peer.answer()
            await answer_all(peer)

        async with Server(answer_later) as server:
            pool = pool_at(server.port, max_connections=1)
            tasks = [asyncio.create_task(ask(pool, "first"))]
            await until(lambda: server.requests)
            wanted = [("a", 4), ("b", 1), ("c", 2)]
            for party, count in wanted:
                for number in range(count):
                    tasks.append(asyncio.create_task(ask(pool, f"{party}{number}", party=party)))
                    await settle(2)
            go_on.set()
            await asyncio.gather(*tasks)
            order = [request.line.split()[1].decode() for request in server.requests]
            assert order == ["/first", "/a0", "/b0", "/c0", "/a1", "/c1", "/a2", "/a3"]
            await emptied(pool)

    each_loop.run(main())


def test_who_comes_late_does_not_jump_the_queue(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_connections=1)
            first = await pool.take(None, 5)
            waiting = asyncio.create_task(ask(pool, "waiting", party="a"))
            await settle()
            answered = asyncio.create_task(finish(first, "first"))
            await until(answered.done)
            late = asyncio.create_task(ask(pool, "late", party="b"))
            await asyncio.gather(waiting, late)
            order = [request.line.split()[1] for request in server.requests]
            assert order == [b"/first", b"/waiting", b"/late"]
            await emptied(pool)

    runner.run(main())


def test_stale_connection_is_nobody_s_turn(each_loop: asyncio.Runner) -> None:
    """The server closes after an answer without having said so: a POST on it would be lost."""

    async def main() -> None:
        with Door() as door:
            pool = pool_at(door.port, max_connections=1)
            first = asyncio.create_task(ask(pool))
            await until(lambda: pool.open == 1)
            await settle()
            end = door.accept()
            waiting = asyncio.create_task(pool.take(None, 5))
            await settle()
            end.sendall(ANSWER)
            end.close()
            assert (await first).status == 200
            served = (await waiting).served
            await emptied(pool)
            assert served == 0

    each_loop.run(main())


def test_waiting_for_a_turn_times_out(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_connections=1)
            held = await pool.take(None, 5)
            with pytest.raises(UpstreamTimeout) as caught:
                await pool.take("other", 0.02)
            assert "in time" in caught.value.message
            assert pool.open == 1
            assert (await finish(held)).status == 200
            assert (await ask(pool)).status == 200, "nobody stands in the way any more"
            assert len(server.peers) == 1
            await emptied(pool)

    each_loop.run(main())


def test_each_waits_for_its_own_time(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_connections=1)
            held = await pool.take(None, 5)
            long = asyncio.create_task(ask(pool, "long", connect=30))
            short = asyncio.create_task(ask(pool, "short", connect=10))
            await settle()
            await pass_time(11)
            assert isinstance(short.exception(), UpstreamTimeout)
            assert not long.done()
            await finish(held)
            assert (await long).status == 200
            assert [request.line.split()[1] for request in server.requests] == [b"/", b"/long"]
            await emptied(pool)

    runner.run(main())


# --- what does not come off


def test_refused(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        empty = Emptied()
        pool = pool_at(closed_port(), on_empty=empty)
        for _ in range(3):
            with pytest.raises(UpstreamRefused):
                await pool.take(None, 5)
            assert pool.open == 0
        assert empty.times == 3

    each_loop.run(main())


def test_address_that_cannot_be_reached(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        pool = pool_at(80, ip="255.255.255.255")
        with pytest.raises(UpstreamRefused):
            await pool.take(None, 5)
        assert pool.open == 0

    each_loop.run(main())


def test_refusal_lets_the_next_try(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        pool = pool_at(closed_port(), max_connections=1)
        outcomes = await asyncio.gather(
            *(pool.take(number, 5) for number in range(10)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [UpstreamRefused] * 10
        assert pool.open == 0

    each_loop.run(main())


def test_opening_that_hangs_times_out(each_loop: asyncio.Runner) -> None:
    """The server takes the connection and never says a word of TLS."""

    async def main() -> None:
        async with Server(Peer.gone) as server:
            pool = pool_at(server.port, tls=tls_context())
            taking = asyncio.create_task(pool.take(None, 50))
            await until(lambda: server.open == pool.open == 1)
            await pass_time(51)
            with pytest.raises(UpstreamTimeout) as caught:
                await taking
            assert "connection" in caught.value.message
            await until(lambda: pool.open == 0 and server.open == 0)

    each_loop.run(main())


def test_no_tls_where_tls_is_expected(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async def say_http(peer: Peer) -> None:
            await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await peer.gone()

        async with Server(say_http) as server:
            pool = pool_at(server.port, tls=tls_context())
            with pytest.raises(UpstreamRefused):
                await pool.take(None, 5)
            await until(lambda: pool.open == 0)

    each_loop.run(main())


@contextlib.asynccontextmanager
async def slow_loop() -> AsyncIterator[None]:
    """Every turn of the event loop takes 2 ms, so that whatever the peer does comes in the next."""

    async def hold_up() -> None:
        while True:
            time.sleep(0.002)  # noqa: ASYNC251 - on purpose
            await asyncio.sleep(0)

    task = asyncio.create_task(hold_up())
    yield
    task.cancel()
    await asyncio.wait([task])


def test_connection_that_ends_at_once_is_not_counted_for_ever(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        with slamming_door() as port:
            pool = pool_at(port)
            async with slow_loop():
                asking = (ask(pool, read=30) for _ in range(5))
                outcomes = await asyncio.gather(*asking, return_exceptions=True)
            kinds = {type(outcome) for outcome in outcomes}
            await settle()
            left = pool.open
        assert kinds <= {UpstreamBroken, UpstreamRefused}, "an error, at once"
        assert left == 0

    each_loop.run(main())


# --- cancellation


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_cancelled_while_waiting(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_connections=1)
            held = await pool.take(None, 5)
            waiting = [asyncio.create_task(ask(pool, str(number))) for number in range(3)]
            await settle()
            await cancelled(waiting[0])
            await cancelled(waiting[2])
            await finish(held)
            assert (await waiting[1]).status == 200
            assert len(server.requests) == 2
            assert pool.open == 1
            await emptied(pool)

    each_loop.run(main())


def test_cancelled_while_opening(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(Peer.gone) as server:
            empty = Emptied()
            pool = pool_at(server.port, tls=tls_context(), on_empty=empty)
            taking = asyncio.create_task(pool.take(None, 30))
            await until(lambda: server.peers)
            assert pool.open == 1
            await cancelled(taking)
            await until(lambda: pool.open == 0 and server.open == 0)
            assert empty.times == 1

    each_loop.run(main())


def test_place_of_a_cancelled_opening_goes_to_the_next(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(Peer.gone) as server:
            pool = pool_at(server.port, tls=tls_context(), max_connections=1)
            first = asyncio.create_task(pool.take(None, 30))
            await until(lambda: server.peers)
            second = asyncio.create_task(pool.take(None, 30))
            await settle()
            assert len(server.peers) == 1
            await cancelled(first)
            await until(lambda: len(server.peers) == 2)
            await cancelled(second)
            await until(lambda: pool.open == 0)

    each_loop.run(main())


@pytest.mark.parametrize("turns", range(12))
def test_cancelled_at_any_moment_of_opening(each_loop: asyncio.Runner, turns: int) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_connections=1)
            taking = asyncio.create_task(pool.take(None, 30))
            await settle(turns)
            taking.cancel()
            await asyncio.wait([taking])
            if not taking.cancelled():
                taking.result().close()
            await until(lambda: pool.open == 0)
            assert (await ask(pool)).status == 200
            await emptied(pool)

    each_loop.run(main())


def test_cancelled_with_a_connection_in_hand(each_loop: asyncio.Runner) -> None:
    """Its turn had come, and it had not heard of it yet."""

    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, max_connections=1)

            async def first() -> None:
                await ask(pool, "first")
                unlucky.cancel()  # the connection has just been given to it

            one = asyncio.create_task(first())
            await settle(1)
            unlucky = asyncio.create_task(ask(pool, "unlucky"))
            await settle(1)
            last = asyncio.create_task(ask(pool, "last", connect=30))
            await one
            assert (await asyncio.wait_for(last, 20)).status == 200
            assert unlucky.cancelled()
            assert [request.line.split()[1] for request in server.requests] == [b"/first", b"/last"]
            assert len(server.peers) == pool.open == 1
            await emptied(pool)

    each_loop.run(main())


def test_cancelled_with_leave_to_open_in_hand(
    each_loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async def answer_once(peer: Peer) -> None:
            await peer.request()
            await peer.answer(headers=b"Connection: close\r\n")
            await peer.gone()

        async with Server(answer_once) as server:
            pool = pool_at(server.port, max_connections=1)
            lost = pool.lost

            def lost_and_cancelled(connection: Connection) -> None:
                lost(connection)
                unlucky.cancel()  # the free place has just been given to it

            monkeypatch.setattr(pool, "lost", lost_and_cancelled)
            one = asyncio.create_task(ask(pool, "first"))
            await settle(1)
            unlucky = asyncio.create_task(ask(pool, "unlucky"))
            await settle(1)
            last = asyncio.create_task(ask(pool, "last"))
            await one
            assert (await asyncio.wait_for(last, 20)).status == 200
            assert unlucky.cancelled()
            assert [request.line.split()[1] for request in server.requests] == [b"/first", b"/last"]
            await until(lambda: pool.open == 0)

    each_loop.run(main())


def test_cancelled_exchange_frees_its_place(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async def answer_the_second(peer: Peer) -> None:
            await (never_answer if peer.number == 0 else answer_all)(peer)

        async with Server(answer_the_second) as server:
            pool = pool_at(server.port, max_connections=1)
            stuck = asyncio.create_task(ask(pool, "stuck"))
            await until(lambda: server.requests)
            waiting = asyncio.create_task(ask(pool, "waiting"))
            await settle()
            await cancelled(stuck)
            assert (await asyncio.wait_for(waiting, 20)).status == 200
            assert len(server.peers) == 2
            await emptied(pool)

    each_loop.run(main())


def mood_of(dice: random.Random) -> Callable[[Peer], Awaitable[bool]]:
    """Answers one request in one of many ways; False to close."""

    async def go(peer: Peer) -> bool:
        return False

    async def reset(peer: Peer) -> bool:
        peer.reset()
        return False

    async def garbage(peer: Peer) -> bool:
        await peer.say(b"garbage\r\n\r\n")
        return True

    async def last(peer: Peer) -> bool:
        await peer.answer(headers=b"Connection: close\r\n")
        return True

    async def twice(peer: Peer) -> bool:
        await peer.say(ANSWER + ANSWER)
        return True

    async def late(peer: Peer) -> bool:
        await asyncio.sleep(0.005)
        await peer.answer()
        return True

    async def well(peer: Peer) -> bool:
        await peer.answer()
        return True

    return dice.choice([go, reset, garbage, last, twice, late, well, well])


@pytest.mark.parametrize("seed", range(3))
def test_storm_leaves_nothing_behind(each_loop: asyncio.Runner, seed: int) -> None:
    """A server of all moods, clients that leave at any moment."""
    dice = random.Random(seed)  # noqa: S311 - no secret

    async def moody(peer: Peer) -> None:
        while dice.random() > 0.05:
            await peer.request()
            if not await mood_of(dice)(peer):
                return

    async def one(pool: Pool, number: int) -> str:
        asking = asyncio.create_task(ask(pool, party=number % 7, connect=30, read=30))
        if dice.random() < 0.4:
            await asyncio.sleep(dice.random() * 0.02)
            asking.cancel()
        try:
            return str((await asking).status)
        except BatchwayError as error:
            return error.code
        except asyncio.CancelledError:
            return "cancelled"

    async def main() -> None:
        async with Server(moody) as server:
            pool = pool_at(server.port, max_connections=5, max_idle=3, max_requests=10)
            outcomes = await asyncio.wait_for(asyncio.gather(*(one(pool, n) for n in range(300))), 50)
            assert {"200", "cancelled", "upstream_broken"} <= set(outcomes)
            await emptied(pool)
            server.script = answer_all
            answers = await asyncio.gather(*(ask(pool) for _ in range(20)))
            assert [answer.status for answer in answers] == [200] * 20
            await emptied(pool)

    each_loop.run(main())


# --- the end


def test_close_fails_what_runs(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(never_answer) as server:
            empty = Emptied()
            pool = pool_at(server.port, on_empty=empty)
            asking = asyncio.create_task(ask(pool))
            await until(lambda: server.requests)
            pool.close()
            with pytest.raises(UpstreamBroken):
                await asking
            await until(lambda: pool.open == 0 and server.open == 0)
            assert empty.times == 1

    each_loop.run(main())


def test_pool_is_not_empty_while_somebody_waits(runner: asyncio.Runner) -> None:
    async def main() -> None:
        empty = Emptied()
        async with Server() as server:
            pool = pool_at(server.port, max_connections=1, on_empty=empty)
            held = await pool.take(None, 5)
            waiting = asyncio.create_task(ask(pool))
            await settle()
            held.close()
            assert (await waiting).status == 200
            assert empty.times == 0
            await emptied(pool)
            assert empty.times == 1

    runner.run(main())


def test_timer_does_not_outlive_the_pool(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server:
            pool = pool_at(server.port, idle_timeout_s=1000)
            await ask(pool, read=500)
            await emptied(pool)
            loop: Any = asyncio.get_running_loop()
            assert [timer for timer in loop._scheduled if not timer.cancelled()] == []

    runner.run(main())
