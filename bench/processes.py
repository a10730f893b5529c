"""Processes under test: each pinned to a core, in a group of its own, ended when the bench ends."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.errors import BenchError

START_S = 20.0
STOP_S = 10.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Server:
    """A process that listens on a port of 127.0.0.1, with all that it forks."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.name = name
        self.process = process
        self.port = port

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def cpu_s(self) -> float:
        """Seconds of CPU that its whole group has used."""
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in self._stat())
        return ticks / TICKS_PER_S

    def rss_bytes(self) -> int:
        """Resident memory of its whole group."""
        return sum(int(fields[21]) for fields in self._stat()) * PAGE_BYTES

    def _stat(self) -> Iterator[list[str]]:
        """What /proc/N/stat says, from the state on, of every process of the group. See proc(5)."""
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid:
                    yield fields


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running(
    name: str, command: list[str], *, core: int, port: int, log: Path, wait_for: int | None = None
) -> Iterator[Server]:
    """The server, once it accepts connections (on port `wait_for`, where that is another one)."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        _wait_until_open(wait_for or port, process, log)
        yield Server(name, process, port)
    finally:
        _stop(process)


def run_tool(command: list[str], environment: Mapping[str, str], timeout_s: float) -> str:
    """What the tool printed. Raises BenchError if it failed or took too long."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise BenchError(f"{command[0]}: {error}") from error
    return done.stdout


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > give_up:
            tail = log.read_text(errors="replace")[-2000:]
            raise BenchError(f"{log.stem} does not listen on port {port}:\n{tail}")
        time.sleep(0.02)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the whole group, politely first."""
    for number, wait_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
