"""An event loop in a thread of its own, for clients that are called from code that is not async."""

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

import uvloop

from batchway.rpc.client.errors import ClientClosed

T = TypeVar("T")


class _Running:
    """A loop at work. Knows nothing of who uses it, so that it ends with them."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self._work, name="batchway-rpc-client", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(_cancel_all(asyncio.all_tasks(self.loop)))
        finally:
            self.loop.close()

    def stop(self) -> None:
        """Cancel what runs, and end the thread."""
        if threading.current_thread() is self.thread:  # the collector may find the client there
            self.loop.stop()
        elif self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()


async def _cancel_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_threads: "weakref.WeakSet[LoopThread]" = weakref.WeakSet()
_inherited: list[Any] = []
"""What a forked process has of its parent's loops. Never touched, nor collected: closing an inherited
connection would take it out of the parent's epoll set, which both processes have."""


class LoopThread:
    """Runs coroutines. The thread starts with the first, and ends with `stop`, or with the process.

    A forked process has no thread of its parent's: there it starts anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_stopped = False
        self._running: _Running | None = None
        self._at_end: weakref.finalize[[], LoopThread] | None = None
        _threads.add(self)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns. Interrupted, it cancels the work. Raises ClientClosed."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop())
        except BaseException:
            work.close()
            raise
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            message = "the client was closed while the call ran"
            raise ClientClosed(message) from None
        except BaseException:
            future.cancel()
            raise

    def _loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._is_stopped:
                message = "the client is closed"
                raise ClientClosed(message)
            if self._running is None:
                self._running = _Running()
                # Before the interpreter takes its modules apart, too: that is what finalize does.
                self._at_end = weakref.finalize(self, self._running.stop)
            return self._running.loop

    def stop(self) -> None:
        """End the thread; what runs fails with ClientClosed."""
        with self._lock:
            self._is_stopped = True
            running, self._running = self._running, None
        if running is not None and self._at_end is not None:
            self._at_end.detach()
            running.stop()

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._running is not None

    def forget(self) -> None:
        """In a forked process: leave the parent's thread to the parent."""
        if self._at_end is not None:
            self._at_end.detach()
        _inherited.append(self._running)
        self._lock = threading.Lock()
        self._running = self._at_end = None


def keep_inherited(thing: Any) -> None:
    """Never collect what belongs to the loop of a parent process."""
    _inherited.append(thing)


def _forget_all() -> None:
    for one in list(_threads):
        one.forget()


os.register_at_fork(after_in_child=_forget_all)
