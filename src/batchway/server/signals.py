"""Signals as something that a selector can wait for."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """The signals that have come and were not taken. Only for the main thread, and one at a time."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)
        os.set_blocking(self._writes, False)
        self._before: dict[int, signal._HANDLER] = {}
        self._fd_before = -1

    def __enter__(self) -> Self:
        self._fd_before = signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._note) for number in HANDLED}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore(self._before)
        signal.set_wakeup_fd(self._fd_before)
        self.close()

    def _note(self, number: int, _: FrameType | None) -> None:
        self._came.append(number)

    def fileno(self) -> int:
        """Readable as soon as there is something to take."""
        return self._reads

    def take(self) -> list[int]:
        """Those that have come since the last time, in their order."""
        with suppress(BlockingIOError):
            while os.read(self._reads, 4096):
                pass
        came, self._came = self._came, []
        return came

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let none come in here; a child that is forked in here lets them come by `forget`."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def forget(self) -> None:
        """In a forked child: what comes is no longer ours.

        What a terminal sends to all its processes, Ctrl-C and the hang-up, is for the parent, which
        tells its children.
        """
        signal.set_wakeup_fd(-1)
        self._restore(dict.fromkeys(HANDLED, signal.SIG_DFL))
        self._restore(dict.fromkeys((signal.SIGINT, signal.SIGHUP), signal.SIG_IGN))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        self.close()

    @staticmethod
    def _restore(handlers: "dict[int, signal._HANDLER]") -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def close(self) -> None:
        """Free the descriptors."""
        for descriptor in (self._reads, self._writes):
            os.close(descriptor)


WELL = "exit code 0"


def how_it_ended(status: int) -> str:
    """How a process with this wait status has ended, for people."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
