"""What an exchange costs its batch, and what is left of it when nobody waits any more."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from batchway.errors import ReplyTooLarge, UpstreamBroken, UpstreamTimeout
from tests.loops import pass_time, settle

from .fakes import HEAD, Wire, is_broken, outcome, read

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
UNTIL_END = b"HTTP/1.1 200 OK\r\n\r\nhello"

Cut = Callable[[bytes], list[bytes]]


def whole(wire: bytes) -> list[bytes]:
    return [wire]


def byte_by_byte(wire: bytes) -> list[bytes]:
    return [wire[at : at + 1] for at in range(len(wire))]


each_cut = pytest.mark.parametrize("cut", [whole, byte_by_byte])
each_framing = pytest.mark.parametrize(
    "answer", [PLAIN, CHUNKED, UNTIL_END], ids=["length", "chunks", "end"]
)


# --- what is written


def test_request_is_written_once(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        wire.ask(head=b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n", body=b"body")
        assert bytes(wire.transport.written) == b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody"
        wire.feed(PLAIN)
        wire.transport.written.clear()
        wire.ask()
        assert bytes(wire.transport.written) == HEAD
        wire.close()

    runner.run(main())


def test_exchanges_are_counted(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        assert wire.connection.served == 0
        for count in (1, 2, 3):
            wire.ask()
            wire.feed(PLAIN)
            assert wire.connection.served == count
        wire.close()

    runner.run(main())


def test_answering_tells_whether_any_byte_has_come(runner: asyncio.Runner) -> None:
    """What has begun to be answered is not asked again."""

    async def main() -> None:
        wire = Wire()
        for _ in range(2):
            wire.ask()
            assert not wire.connection.answering
            wire.feed(PLAIN[:1])
            assert wire.connection.answering
            wire.feed(PLAIN[1:])
        wire.close()

    runner.run(main())


# --- the budget


@each_framing
@each_cut
def test_answer_takes_its_bytes(runner: asyncio.Runner, answer: bytes, cut: Cut) -> None:
    async def main() -> None:
        wire = Wire(budget=12)
        wire.ask()
        wire.feed(*cut(answer))
        if answer is UNTIL_END:
            wire.end()
        assert wire.budget.remaining == 7
        wire.close()
        assert wire.budget.remaining == 7

    runner.run(main())


def test_answers_of_a_batch_share_its_budget(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=12)
        for _ in range(2):
            wire.ask()
            wire.feed(PLAIN)
        assert wire.budget.remaining == 2
        third = wire.ask()
        wire.feed(PLAIN)
        error = outcome(third)
        assert isinstance(error, ReplyTooLarge)
        assert "max_response_size" in error.message
        assert wire.budget.remaining == 2
        assert wire.transport.ended == "abort"

    runner.run(main())


def test_budget_may_be_spent_to_the_last_byte(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=5, max_reply_size=5)
        future = wire.ask()
        wire.feed(PLAIN)
        assert future.result().body == b"hello"
        assert wire.budget.remaining == 0
        wire.close()

    runner.run(main())


@each_framing
@each_cut
def test_reply_over_its_size_is_refused(runner: asyncio.Runner, answer: bytes, cut: Cut) -> None:
    async def main() -> None:
        wire = Wire(budget=1000, max_reply_size=4)
        future = wire.ask()
        wire.feed(*cut(answer))
        error = outcome(future)
        assert isinstance(error, ReplyTooLarge)
        assert "max_reply_size" in error.message
        assert wire.budget.remaining == 1000
        assert wire.transport.ended == "abort"
        await settle()
        assert wire.owner.freed == []
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_endless_reply_is_cut_off_at_its_limit(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=100_000, max_reply_size=10_000)
        future = wire.ask()
        fed = 0
        wire.feed(b"HTTP/1.1 200 OK\r\n\r\n")
        while not wire.transport.ended:
            wire.feed(b"x" * 1000)
            fed += 1000
        assert isinstance(outcome(future), ReplyTooLarge)
        assert fed == 11_000

    runner.run(main())


def test_size_limit_counts_each_reply_alone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=1000, max_reply_size=5)
        for _ in range(3):
            future = wire.ask()
            wire.feed(*byte_by_byte(CHUNKED))
            assert future.result().body == b"hello"
        assert wire.budget.remaining == 985
        wire.close()

    runner.run(main())


@each_framing
def test_broken_answer_gives_its_bytes_back(runner: asyncio.Runner, answer: bytes) -> None:
    async def main() -> None:
        wire = Wire(budget=12)
        future = wire.ask()
        wire.feed(answer[: answer.index(b"hel") + 3])
        assert wire.budget.remaining == 9
        wire.end(ConnectionResetError())
        assert is_broken(future)
        assert wire.budget.remaining == 12

    runner.run(main())


def test_garbage_after_a_part_of_the_body_gives_its_bytes_back(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=12)
        future = wire.ask()
        wire.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
        assert is_broken(future)
        assert wire.budget.remaining == 12

    runner.run(main())


def test_timeout_gives_bytes_back(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=12)
        future = wire.ask()
        wire.feed(PLAIN[:-2])
        assert wire.budget.remaining == 9
        wire.connection.time_out()
        assert isinstance(outcome(future), UpstreamTimeout)
        assert wire.budget.remaining == 12

    runner.run(main())


def test_streamed_answer_costs_no_budget(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=1, max_reply_size=1)
        future = wire.ask(streamed=True)
        wire.feed(*byte_by_byte(PLAIN))
        assert await read(future.result()) == b"hello"
        assert wire.budget.remaining == 1
        wire.close()

    runner.run(main())


# --- nobody waits any more


def test_abandoned_exchange_closes_its_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=12)
        future = wire.ask()
        wire.feed(PLAIN[:-2])
        future.cancel()
        wire.connection.abandon(future)
        assert wire.transport.ended == "abort"
        assert wire.budget.remaining == 12
        await settle()
        assert wire.owner.lost_count == 1
        assert wire.owner.freed == []

    runner.run(main())


def test_late_answer_dies_with_its_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        future.cancel()
        wire.connection.abandon(future)
        wire.connection.data_received(PLAIN)  # as if it had been read before the close
        assert wire.owner.freed == []
        assert wire.budget.remaining == 1 << 20
        assert not wire.untouched()

    runner.run(main())


def test_abandoning_what_is_over_leaves_the_connection_alone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        first = wire.ask()
        wire.feed(PLAIN)
        wire.connection.abandon(first)
        assert wire.untouched()

        second = wire.ask()  # the connection has gone to somebody else
        wire.connection.abandon(first)
        assert wire.untouched()
        wire.feed(PLAIN)
        assert second.result().body == b"hello"
        assert wire.owner.freed == [True, True]
        wire.close()

    runner.run(main())


def test_cancelled_waiter_whose_answer_came_leaves_the_connection_alone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        future.cancel()
        wire.feed(PLAIN)  # before the waiter has heard of its cancellation
        wire.connection.abandon(future)
        assert wire.owner.freed == [True]
        assert wire.untouched()
        wire.close()

    runner.run(main())


def test_answer_that_nobody_takes_costs_nothing(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(budget=12)
        future = wire.ask()
        future.cancel()
        wire.feed(PLAIN)
        wire.connection.abandon(future)
        remaining = wire.budget.remaining
        wire.close()
        assert remaining == 12

    runner.run(main())


def test_stream_that_nobody_took_closes_its_connection(runner: asyncio.Runner) -> None:
    """The waiter was cancelled after its answer had begun and before it saw it."""

    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(PLAIN[:-2])
        assert future.done()
        wire.connection.abandon(future)
        assert wire.transport.ended == "abort"
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_abandoning_an_old_stream_leaves_the_next_alone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        first = wire.ask(streamed=True)
        wire.feed(PLAIN[:-2], PLAIN[-2:])
        second = wire.ask(streamed=True)
        wire.feed(PLAIN[:-2])
        wire.connection.abandon(first)
        assert wire.untouched()
        wire.feed(PLAIN[-2:])
        assert await read(first.result()) == b"hello"
        assert await read(second.result()) == b"hello"
        wire.close()

    runner.run(main())


def test_cancelling_the_task_that_waits_frees_the_slot(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()

        async def wait() -> None:
            future = wire.ask()
            try:
                await future
            except BaseException:
                wire.connection.abandon(future)
                raise

        task = asyncio.create_task(wait())
        await settle()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        await settle()
        assert wire.transport.ended == "abort"
        assert wire.owner.lost_count == 1

    runner.run(main())


# --- the end


def test_close_fails_what_runs(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.connection.close()
        assert isinstance(outcome(future), UpstreamBroken)
        assert wire.connection.closed
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_closing_twice_is_closing_once(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        wire.connection.close()
        wire.connection.close()
        await settle()
        assert wire.owner.lost_count == 1
        wire.connection.close()
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_time_out_ends_the_exchange(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        await pass_time(61)
        assert wire.connection.expires <= asyncio.get_running_loop().time()
        wire.connection.time_out()
        assert isinstance(outcome(future), UpstreamTimeout)
        assert wire.transport.ended == "abort"

    runner.run(main())


def test_each_piece_puts_the_expiry_off(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        loop = asyncio.get_running_loop()
        wire.ask()
        wire.feed(PLAIN[:-2])
        await pass_time(59)
        wire.feed(PLAIN[-2:-1])
        assert 59 < wire.connection.expires - loop.time() <= 60
        wire.feed(PLAIN[-1:])
        assert wire.connection.expires - loop.time() > 3600, "an idle connection waits for no answer"
        wire.close()

    runner.run(main())


def test_head_in_drops_does_not_put_the_expiry_off(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        loop = asyncio.get_running_loop()
        wire.ask()
        await pass_time(50)
        wire.feed(b"HTTP")
        assert wire.connection.expires - loop.time() <= 10
        wire.close()

    runner.run(main())


# --- is an idle connection still good?


def test_quiet_connection_is_usable(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        assert wire.connection.usable()
        wire.ask()
        wire.feed(PLAIN)
        assert wire.connection.usable()
        wire.close()
        assert not wire.connection.usable()

    runner.run(main())


def test_connection_with_something_to_read_is_not_usable(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        wire.transport.peer.send(b"H")
        assert not wire.connection.usable()
        wire.close()

    runner.run(main())


def test_connection_that_the_server_closed_is_not_usable(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        wire.transport.peer.close()
        assert not wire.connection.usable()
        wire.close()

    runner.run(main())
