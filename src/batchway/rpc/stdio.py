"""An RpcApp over a stream of bytes: standard input and output, or those of a socket."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Protocol, get_args

from batchway.errors import ConfigError
from batchway.rpc import connection
from batchway.rpc.blocking import Reader, Writer
from batchway.rpc.connection import Connection
from batchway.rpc.context import Context
from batchway.rpc.framing import Frame, Framing, FramingName, Newline, choose

READ_BYTES = 64 * 1024


class App(connection.App, Protocol):
    """The service."""

    async def aclose(self) -> None: ...


class Source(Protocol):
    """Where bytes come from, such as asyncio.StreamReader."""

    async def read(self, n: int, /) -> bytes: ...


class Sink(Protocol):
    """Where bytes go."""

    async def write(self, data: bytes, /) -> None: ...


async def serve_stdio(app: App, framing: FramingName) -> None:
    """Serve standard input until it ends, then finish what runs, background work too."""
    with own_descriptors() as (stdin, stdout):
        await serve_descriptors(app, stdin, stdout, framing)


async def serve_descriptors(app: App, stdin: int, stdout: int, framing: FramingName) -> None:
    """As `serve_stdio`, over two descriptors, which are closed."""
    reader, writer = Reader(stdin), Writer(stdout)
    try:
        await serve(app, reader, writer, framing)
    finally:
        reader.close()
        writer.close()
        await app.aclose()


async def serve(app: App, source: Source, sink: Sink, framing: FramingName = "auto") -> None:
    """As `serve_stdio`, over any two ends of a stream. Ends at once where nobody reads what is written.

    Raises ConfigError for a framing that is none.
    """
    if framing not in get_args(FramingName):
        message = f"framing: expected {', '.join(get_args(FramingName))}"
        raise ConfigError(message)
    max_bytes = app.limits.max_body_bytes
    start, chosen = b"", choose(framing, b"", max_bytes)
    while chosen is None and (data := await source.read(READ_BYTES)):
        start = (start + data).lstrip()
        chosen = choose(framing, start, max_bytes)
    frames = chosen or Newline(max_bytes)  # what it was to be, nobody will know

    async def write(body: bytes, _: connection.Body | None) -> None:
        await sink.write(frames.wrap(body))

    client = Connection(app, write, Context(transport="stdio"))
    await client.serve(_bodies(source, frames, start), finish=app.aclose)


async def _bodies(source: Source, frames: Framing, start: bytes) -> AsyncIterator[Frame]:
    data = start or await source.read(READ_BYTES)
    while data:
        for frame in frames.feed(data):
            yield frame
        data = await source.read(READ_BYTES)
    for frame in frames.end():
        yield frame


@contextlib.contextmanager
def own_descriptors() -> Iterator[tuple[int, int]]:
    """Standard input and output, for the caller alone: what else is printed goes to standard error.

    Also what child processes and libraries print, as the descriptors themselves are exchanged.
    """
    kept = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield os.dup(kept[0]), os.dup(kept[1])
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()  # what was printed before belongs to standard error as well
        os.dup2(kept[0], 0)
        os.dup2(kept[1], 1)
        for fd in (nothing, *kept):
            os.close(fd)
