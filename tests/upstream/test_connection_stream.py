"""Bodies that are passed on while they arrive: order, back-pressure, their end."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.errors import UpstreamBroken, UpstreamTimeout
from batchway.model import BodyStream, Response
from batchway.upstream.stream import HIGH_WATER_BYTES
from tests.loops import settle

from .fakes import Wire, read

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
UNTIL_END = b"HTTP/1.1 200 OK\r\n\r\n"


def stream_of(response: Response) -> BodyStream:
    body = response.body
    assert body is not None
    assert not isinstance(body, bytes), "expected a body in pieces"
    return body


def pieces_of(response: Response) -> AsyncIterator[bytes]:
    return aiter(stream_of(response))


async def next_of(pieces: AsyncIterator[bytes]) -> bytes:
    return await asyncio.wait_for(anext(pieces), 20)


async def end_of(pieces: AsyncIterator[bytes]) -> list[bytes]:
    """All that is still to come."""

    async def rest() -> list[bytes]:
        return [piece async for piece in pieces]

    return await asyncio.wait_for(rest(), 20)


def test_pieces_come_as_they_arrive(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 9)
        response = future.result()
        assert response.status == 200
        pieces = pieces_of(response)
        waiting = asyncio.create_task(next_of(pieces))
        await settle()
        assert not waiting.done()
        wire.feed(b"one")
        assert await waiting == b"one"
        wire.feed(b"two")
        assert await next_of(pieces) == b"two"
        assert wire.owner.freed == []
        wire.feed(b"end")
        assert wire.owner.freed == [True]
        assert await end_of(pieces) == [b"end"]
        assert wire.untouched()
        wire.close()

    runner.run(main())


def test_answer_that_came_at_once_is_bytes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 2 + b"hi")
        assert future.result().body == b"hi"
        wire.close()

    runner.run(main())


def test_stream_without_a_byte_ends(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(UNTIL_END)
        pieces = pieces_of(future.result())
        wire.end()
        assert await end_of(pieces) == []

    runner.run(main())


def test_next_exchange_does_not_disturb_what_is_still_unread(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        first = wire.ask(streamed=True)
        wire.feed(HEAD % 4, b"ab", b"cd")
        second = wire.ask(streamed=True)
        wire.feed(HEAD % 4, b"ef")
        assert await end_of(pieces_of(first.result())) == [b"ab", b"cd"]
        wire.feed(b"gh")
        assert await read(second.result()) == b"efgh"
        assert wire.owner.freed == [True, True]
        wire.close()

    runner.run(main())


# --- back-pressure


def test_slow_reader_keeps_the_upstream_waiting(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        piece = b"x" * 65536
        count = 0
        wire.feed(UNTIL_END)
        while wire.transport.reading:
            wire.feed(piece)
            count += 1
            assert count < 100, "reading never stopped"
        assert count == HIGH_WATER_BYTES // len(piece) + 1

        pieces = pieces_of(future.result())
        taken = 0
        while not wire.transport.reading:
            taken += len(await next_of(pieces))
        assert taken < count * len(piece), "it was read empty before more was asked for"

        wire.feed(b"last")
        wire.end()
        rest = await end_of(pieces)
        assert taken + sum(map(len, rest)) == count * len(piece) + 4
        assert rest[-1] == b"last"

    runner.run(main())


def test_reading_stops_again_and_again(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(UNTIL_END)
        pieces = pieces_of(future.result())
        sent = got = stops = 0
        for number in range(200):
            if wire.transport.reading:
                wire.feed(b"%c" % (number % 256) * 50_000)
                sent += 50_000
            else:
                stops += 1
                while not wire.transport.reading:
                    got += len(await next_of(pieces))
            assert sent - got <= HIGH_WATER_BYTES + 50_000, "more is kept than the high water"
        assert stops > 5
        wire.end()
        got += sum(map(len, await end_of(pieces)))
        assert got == sent

    runner.run(main())


def test_end_of_a_stream_that_is_behind_lets_the_connection_read_again(runner: asyncio.Runner) -> None:
    """What is unread is in our hands: the connection may serve others."""

    async def main() -> None:
        wire = Wire()
        size = 2 * HIGH_WATER_BYTES
        first = wire.ask(streamed=True)
        wire.feed(HEAD % size, b"x" * (size - 1))
        assert not wire.transport.reading
        wire.feed(b"y")  # was read before reading was stopped
        assert wire.transport.reading
        assert wire.owner.freed == [True]
        second = wire.ask()
        wire.feed(HEAD % 2 + b"hi")
        assert second.result().body == b"hi"
        assert await read(first.result()) == b"x" * (size - 1) + b"y"
        wire.close()

    runner.run(main())


def test_reader_that_is_slow_is_no_timeout_of_the_upstream(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(UNTIL_END, b"x" * (HIGH_WATER_BYTES + 1))
        assert not wire.transport.reading
        wire.connection.time_out()
        assert wire.untouched()
        pieces = pieces_of(future.result())
        await next_of(pieces)
        assert wire.transport.reading
        wire.connection.time_out()
        assert not wire.untouched()
        with pytest.raises(UpstreamTimeout):
            await next_of(pieces)

    runner.run(main())


# --- its end


def test_aclose_half_way_closes_the_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 9, b"one")
        stream = stream_of(future.result())
        assert await next_of(aiter(stream)) == b"one"
        await stream.aclose()
        assert wire.transport.ended == "abort"
        await settle()
        assert wire.owner.lost_count == 1
        assert wire.owner.freed == []

    runner.run(main())


def test_aclose_before_reading_closes_the_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 9)
        await stream_of(future.result()).aclose()
        assert wire.transport.ended == "abort"

    runner.run(main())


def test_aclose_of_a_whole_body_leaves_the_connection_alone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 4, b"ab", b"cd")
        stream = stream_of(future.result())
        second = wire.ask()
        await stream.aclose()
        await stream.aclose()
        assert wire.untouched()
        wire.feed(HEAD % 2 + b"hi")
        assert second.result().body == b"hi"
        wire.close()

    runner.run(main())


@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
def test_reader_gets_what_came_and_then_the_error(runner: asyncio.Runner, error: Exception | None) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 9, b"one", b"two")
        wire.end(error)
        pieces = pieces_of(future.result())
        assert [await next_of(pieces), await next_of(pieces)] == [b"one", b"two"]
        with pytest.raises(UpstreamBroken):
            await next_of(pieces)

    runner.run(main())


def test_error_wakes_a_reader_that_waits(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 9)
        waiting = asyncio.create_task(next_of(pieces_of(future.result())))
        await settle()
        wire.end()
        with pytest.raises(UpstreamBroken):
            await waiting

    runner.run(main())


def test_garbage_half_way_reaches_the_reader(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"garbage")
        pieces = pieces_of(future.result())
        assert await next_of(pieces) == b"hi"
        with pytest.raises(UpstreamBroken):
            await next_of(pieces)
        assert wire.transport.ended == "abort"

    runner.run(main())


def test_body_that_ends_with_the_connection_ends_whole(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(UNTIL_END, b"one", b"two")
        wire.end()
        assert await end_of(pieces_of(future.result())) == [b"one", b"two"]
        assert wire.owner.freed == [False]

    runner.run(main())


def test_reset_of_a_body_that_ends_with_the_connection_is_an_error(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(UNTIL_END, b"one")
        wire.end(ConnectionResetError())
        pieces = pieces_of(future.result())
        assert await next_of(pieces) == b"one"
        with pytest.raises(UpstreamBroken):
            await next_of(pieces)

    runner.run(main())


def test_cancelled_reader_may_close(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(HEAD % 9, b"one")
        stream = stream_of(future.result())

        async def reader() -> None:
            try:
                async for _ in stream:
                    pass
            finally:
                await stream.aclose()

        task = asyncio.create_task(reader())
        await settle()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert wire.transport.ended == "abort"

    runner.run(main())


@settings(max_examples=100)
@given(
    script=st.lists(
        st.one_of(st.integers(min_value=1, max_value=150_000), st.just("read")), min_size=1, max_size=30
    )
)
def test_any_interleaving_keeps_every_byte(script: list[int | str]) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(UNTIL_END)
        pieces = pieces_of(future.result())
        sent, got = bytearray(), bytearray()
        for number, step in enumerate(script):
            if isinstance(step, str):
                if len(got) < len(sent):
                    got += await next_of(pieces)
            elif wire.transport.reading:
                piece = bytes([number]) * step
                sent += piece
                wire.feed(piece)
        wire.end()
        for piece in await end_of(pieces):
            got += piece
        assert got == sent

    asyncio.run(main())
