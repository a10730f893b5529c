"""Descriptors of any kind: pipes, files, sockets, and those that somebody has made non-blocking."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchway.rpc.blocking import Reader, Writer

from .asking import run

Ends = tuple[int, int]


@pytest.fixture(params=["pipe", "socket"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A descriptor to read and one to write; who is tested closes its copy, the test these."""
    if request.param == "pipe":
        found = os.pipe()
    else:
        one, other = socket.socketpair()
        found = one.detach(), other.detach()
    yield found
    for fd in found:
        os.close(fd)


@pytest.mark.parametrize("blocking", [True, False])
def test_what_is_written_is_read(ends: Ends, blocking: bool) -> None:
    for fd in ends:
        os.set_blocking(fd, blocking)
    data = os.urandom(500_000)  # more than a pipe holds

    async def main() -> None:
        reader, writer = Reader(os.dup(ends[0])), Writer(os.dup(ends[1]))
        writing = asyncio.ensure_future(writer.write(data))
        found = b""
        while len(found) < len(data):
            found += await reader.read(70_000)
        await writing
        assert found == data
        reader.close()
        writer.close()

    run(main())
    assert [os.get_blocking(fd) for fd in ends] == [blocking, blocking]


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "file"

    async def main() -> None:
        writer = Writer(os.open(path, os.O_WRONLY | os.O_CREAT))
        await writer.write(b"x" * 100_000)
        writer.close()
        reader = Reader(os.open(path, os.O_RDONLY))
        assert [len(await reader.read(70_000)) for _ in range(4)] == [70_000, 30_000, 0, 0]
        reader.close()

    run(main())


def test_write_that_is_cancelled_is_written_whole(ends: Ends) -> None:
    async def main() -> None:
        writer = Writer(os.dup(ends[1]))
        writing = asyncio.ensure_future(writer.write(b"x" * 500_000))
        reader = Reader(os.dup(ends[0]))
        assert await reader.read(1) == b"x"  # it has begun
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        after = asyncio.ensure_future(writer.write(b"y"))
        found = b"x"
        while not found.endswith(b"y"):
            found += await reader.read(70_000)
        assert found == b"x" * 500_000 + b"y"
        await after
        reader.close()
        writer.close()

    run(main())


def test_reader_that_is_gone_is_told_of() -> None:
    async def main() -> None:
        end, start = os.pipe()
        os.close(end)
        writer = Writer(start)
        with pytest.raises(BrokenPipeError):
            await writer.write(b"x")
        writer.close()

    run(main())


def test_threads_end(ends: Ends) -> None:
    before = set(threading.enumerate())

    async def main() -> None:
        writer = Writer(os.dup(ends[1]))
        await writer.write(b"x")
        writer.close()

    run(main())
    for thread in set(threading.enumerate()) - before:
        if thread.name == "batchway-writer":
            thread.join(30)
            assert not thread.is_alive()
