"""Signals as something that a loop or a selector can wait for.

Whoever has waited for them is about to end, and the handlers of before are not put back, as
`loop.add_signal_handler` does it when the loop closes: one more signal, of someone without patience or of a
service manager that tells all processes, would make a process that ends well look like one that was killed.
"""

import asyncio
import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Self

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
HANDLED = (*ASKING, signal.SIGCHLD)


@contextmanager
def heard(acts: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
    """Have the running loop, which is the main thread's, call what belongs to a signal whenever it comes.

    What runs in here is the work of the process: after it, SIGTERM and SIGINT end the process at once.
    """
    loop = asyncio.get_running_loop()

    def note(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(acts[signal.Signals(number)])

    for number in acts:
        signal.signal(number, note)
    code = 1
    try:
        yield
        code = 0
    finally:
        _end_by(acts, code)


def _end_by(numbers: Iterable[signal.Signals], code: int) -> None:
    """End with `code` when one of these comes: what is still waited for may be a thread that is stuck."""

    def end(*_: object) -> None:
        with suppress(Exception):  # a signal may have come in the middle of a flush
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)

    for number in numbers:
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else end)
    atexit.register(_ignore, numbers)  # or the interpreter would put their defaults back as it ends


def _ignore(numbers: Iterable[signal.Signals]) -> None:
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


class Signals:
    """The signals that have come and were not taken. Only for the main thread, and one at a time."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._reads, self._writes = os.pipe()
        os.set_blocking(self._reads, False)
        os.set_blocking(self._writes, False)
        self._fd_before = -1

    def __enter__(self) -> Self:
        self._fd_before = signal.set_wakeup_fd(self._writes, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        _ignore(ASKING)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
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
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        _ignore((signal.SIGINT, signal.SIGHUP))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        self.close()

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
