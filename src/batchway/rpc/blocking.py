"""File descriptors of any kind, read and written in threads: pipes, sockets, terminals and plain files.

The event loop has no way to wait for a plain file. For the others it would set O_NONBLOCK, which all
processes that share the descriptor then have to live with.
"""

import asyncio
import os
import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Reader:
    """Reads a descriptor, which is its own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._thread = _Thread("batchway-reader")

    async def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, as soon as there are any; none at the end. Cancelled, they are lost."""
        return await self._thread.run(partial(_read, self._fd, size))

    def close(self) -> None:
        """Close the descriptor, once nobody reads it."""
        self._thread.end(partial(os.close, self._fd))


class Writer:
    """Writes a descriptor, which is its own."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._thread = _Thread("batchway-writer")

    async def write(self, data: bytes, /) -> None:
        """Write all of `data`; cancelled, all or nothing. Raises OSError if nobody reads it."""
        await self._thread.run(partial(_write, self._fd, data))

    def close(self) -> None:
        """Close the descriptor, once all is written."""
        self._thread.end(partial(os.close, self._fd))


class _Thread:
    """Calls one function after another. A process may end while one of them does not."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, function: Callable[[], T]) -> T:
        """What `function` returns."""
        return await asyncio.wrap_future(self._put(function))

    def end(self, function: Callable[[], Any]) -> None:
        """Call one last function."""
        self._put(function)
        self._jobs.put(None)

    def _put(self, function: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put((future, function))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                future.set_exception(error)


def _read(fd: int, size: int) -> bytes:
    while True:
        try:
            return os.read(fd, size)
        except BlockingIOError:  # somebody else has made it so
            _wait(fd, select.POLLIN)


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT)


def _wait(fd: int, event: int) -> None:
    poll = select.poll()
    poll.register(fd, event)
    poll.poll()
