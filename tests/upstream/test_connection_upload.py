"""Request bodies that are written piece by piece."""

import asyncio

import pytest

from batchway.errors import UpstreamTimeout
from tests.loops import pass_time, settle

from .fakes import Wire, is_broken, outcome

HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def test_pieces_are_written_in_order(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(head=HEAD)
        wire.connection.begin_upload()
        assert await wire.connection.write(b"abc")
        assert await wire.connection.write(b"def")
        wire.connection.end_upload()
        assert bytes(wire.transport.written) == HEAD + b"abcdef"
        wire.feed(PLAIN)
        assert future.result().body == b"hi"
        assert wire.owner.freed == [True]
        wire.close()

    runner.run(main())


@pytest.mark.parametrize("streamed", [False, True])
def test_early_answer_stops_the_upload(runner: asyncio.Runner, streamed: bool) -> None:
    """The rest of the body would be taken for the next request: the connection ends here."""

    async def main() -> None:
        wire = Wire()
        future = wire.ask(head=HEAD, streamed=streamed)
        wire.connection.begin_upload()
        assert await wire.connection.write(b"abc")
        wire.feed(PLAIN)
        assert future.result().body == b"hi"
        assert wire.owner.freed == [False]
        assert wire.transport.ended
        assert not await wire.connection.write(b"def")
        assert bytes(wire.transport.written) == HEAD + b"abc"
        wire.connection.end_upload()
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_answer_that_only_begins_lets_the_upload_go_on(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(head=HEAD)
        wire.connection.begin_upload()
        wire.feed(PLAIN[:-1])
        assert await wire.connection.write(b"abcdef")
        wire.connection.end_upload()
        wire.feed(PLAIN[-1:])
        assert future.result().body == b"hi"
        assert wire.owner.freed == [True]
        wire.close()

    runner.run(main())


def test_interim_answer_lets_the_upload_go_on(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(head=HEAD)
        wire.connection.begin_upload()
        wire.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await wire.connection.write(b"abcdef")
        wire.connection.end_upload()
        wire.feed(PLAIN)
        assert future.result().body == b"hi"
        assert wire.owner.freed == [True]
        wire.close()

    runner.run(main())


def test_full_buffer_keeps_the_writer_waiting(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        wire.ask(head=HEAD)
        wire.connection.begin_upload()
        wire.connection.pause_writing()
        writing = asyncio.create_task(wire.connection.write(b"abc"))
        await settle()
        assert not writing.done()
        wire.connection.resume_writing()
        assert await asyncio.wait_for(writing, 20)
        assert await asyncio.wait_for(wire.connection.write(b"def"), 20)
        wire.close()

    runner.run(main())


@pytest.mark.parametrize("how", ["closed by us", "closed by the upstream", "reset", "answered"])
def test_waiting_writer_hears_of_the_end(runner: asyncio.Runner, how: str) -> None:
    async def main() -> None:
        wire = Wire()
        wire.ask(head=HEAD)
        wire.connection.begin_upload()
        wire.connection.pause_writing()
        writing = asyncio.create_task(wire.connection.write(b"abc"))
        await settle()
        match how:
            case "closed by us":
                wire.connection.close()
            case "closed by the upstream":
                wire.end()
            case "reset":
                wire.end(ConnectionResetError())
            case _:
                wire.feed(PLAIN)
        assert not await asyncio.wait_for(writing, 20)
        wire.close()

    runner.run(main())


def test_nothing_is_written_after_the_end(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(head=HEAD)
        wire.connection.begin_upload()
        wire.end(BrokenPipeError())
        assert is_broken(future)
        assert not await wire.connection.write(b"abc")

    runner.run(main())


def test_upload_needs_no_answer_until_it_ends(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        loop = asyncio.get_running_loop()
        wire.ask(head=HEAD)
        assert wire.connection.expires - loop.time() <= 60
        wire.connection.begin_upload()
        assert wire.connection.expires - loop.time() > 3600
        await wire.connection.write(b"abcdef")
        assert wire.connection.expires - loop.time() > 3600
        wire.connection.end_upload()
        assert wire.connection.expires - loop.time() <= 60
        wire.close()

    runner.run(main())


def test_upstream_that_takes_no_more_times_out(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        loop = asyncio.get_running_loop()
        future = wire.ask(head=HEAD)
        wire.connection.begin_upload()
        wire.connection.pause_writing()
        assert wire.connection.expires - loop.time() <= 60
        await pass_time(61)
        wire.connection.time_out()
        assert isinstance(outcome(future), UpstreamTimeout)
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_upstream_that_takes_more_again_does_not(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        loop = asyncio.get_running_loop()
        wire.ask(head=HEAD)
        wire.connection.begin_upload()
        wire.connection.pause_writing()
        wire.connection.resume_writing()
        assert wire.connection.expires - loop.time() > 3600
        wire.close()

    runner.run(main())


def test_body_in_one_piece_has_the_send_timeout_while_it_waits(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        loop = asyncio.get_running_loop()
        wire.ask(head=HEAD, body=b"abcdef")
        wire.connection.pause_writing()
        await pass_time(50)
        wire.connection.resume_writing()
        assert 59 < wire.connection.expires - loop.time() <= 60, "the read timeout begins when all is sent"
        wire.close()

    runner.run(main())
