"""Processes that a test has started, and those that these have: who is there, and who may run."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .waiting import wait


def children(pid: int) -> list[int]:
    """The processes that it has started, the oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie: nobody may be there to wait for it."""
    return _state(pid) not in ("", "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """They do nothing in here: what listeners that they share are asked, others have to answer."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            wait(lambda pid=pid: _state(pid) == "T", f"{pid} stops")  # type: ignore[misc] # its type is not inferred
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def hail(
    process: "subprocess.Popen[str] | subprocess.Popen[bytes]", number: signal.Signals, patience_s: float
) -> int:
    """Send it signal after signal until it has ended, as people without patience do; its exit code."""
    give_up = time.monotonic() + patience_s
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.0002)
        assert time.monotonic() < give_up, "it goes on"
    return process.returncode
