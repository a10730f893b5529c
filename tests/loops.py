"""Event loops for tests: what a loop complains of, or a task left behind, fails the test."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop


class Clock(asyncio.SelectorEventLoop):
    """asyncio's loop, whose time can be put forward: what falls due then runs without a wait."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        super().__init__()

    def time(self) -> float:
        return super().time() + self._ahead_s

    async def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._ahead_s += seconds
        await settle()


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": Clock,
    "uvloop": uvloop.new_event_loop,
}


async def settle(rounds: int = 10) -> None:
    """Let everything run that needs no waiting."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def pass_time(seconds: float) -> None:
    """Let so many seconds pass at once. Only on asyncio's loop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Clock)
    await loop.pass_time(seconds)


async def until(condition: Callable[[], Any], what: str = "", patience_s: float = 5.0) -> None:
    """Return as soon as `condition` holds; fails after `patience_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not condition():
        assert loop.time() < deadline, f"still not: {what or condition}"
        await asyncio.sleep(0.001)


@contextmanager
def running(loop: str = "asyncio") -> Iterator[asyncio.Runner]:
    """A runner over the loop of that name."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        yield runner
        runner.run(settle())
        left = asyncio.all_tasks(runner.get_loop())
    assert not complaints
    assert not left, "tasks were left behind"
