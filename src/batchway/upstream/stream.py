"""A response body that is passed on while it arrives, in constant memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from batchway.errors import BatchwayError
from batchway.model import Response

HIGH_WATER_BYTES = 256 * 1024
"""With more than this unread, nothing more is read from the upstream."""


class Source(Protocol):
    """The connection that the body comes from."""

    @property
    def transport(self) -> asyncio.Transport: ...

    def close(self) -> None: ...


class ResponseStream:
    """The pieces of a body in order. Read by one reader, once."""

    def __init__(self, source: Source, future: "asyncio.Future[Response]") -> None:
        self._source: Source | None = source
        self._future = future
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._error: BatchwayError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._over: Callable[[], None] | None = None

    def when_over(self, call: Callable[[], None]) -> None:
        """Have `call` called once when nothing more will come: at once if that is so already."""
        if self._source is None:
            call()
        else:
            self._over = call

    def answers(self, future: "asyncio.Future[Response]") -> bool:
        """Whether this is the body of the response that `future` was given."""
        return self._future is future

    @property
    def paused(self) -> bool:
        """Whether the reader is behind, so that the upstream is kept waiting."""
        return self._paused

    def feed(self, pieces: list[bytes]) -> None:
        """More of the body has arrived."""
        self._pieces.extend(pieces)
        self._size += sum(map(len, pieces))
        if self._size > HIGH_WATER_BYTES and not self._paused and self._source is not None:
            self._paused = True
            if not self._source.transport.is_closing():
                self._source.transport.pause_reading()
        self._wake()

    def end(self, error: BatchwayError | None) -> None:
        """Nothing more will come, for the reason of `error` if the body is not whole."""
        self._resume()  # the connection may serve others by now, whatever is still unread here
        self._source = None
        self._error = error
        over, self._over = self._over, None
        if over is not None:
            over()
        self._wake()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._size -= len(piece)
                if self._size <= HIGH_WATER_BYTES // 2:
                    self._resume()
                yield piece
            if self._source is None:
                break
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # with this frame, which it holds, a circle

    async def aclose(self) -> None:
        """Read no more. A body that is not whole takes its connection with it."""
        if self._source is not None:
            self._source.close()

    def _resume(self) -> None:
        if self._paused and self._source is not None:
            self._paused = False
            if not self._source.transport.is_closing():
                self._source.transport.resume_reading()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
