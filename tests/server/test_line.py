"""A worker's end of the line to its supervisor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from batchway.errors import ConfigError, StoreError
from batchway.server.channel import Channel
from batchway.server.line import Line
from batchway.server.messages import (
    Applied,
    Failed,
    Joining,
    Message,
    PleaseReload,
    ReloadDone,
    Settled,
    Stop,
    Welcome,
    Written,
    Wrote,
)
from tests.loops import settle, until


class Ends:
    """A line, and the supervisor's end of it."""

    def __init__(self) -> None:
        self.supervisor, mine = Channel.pair()
        self.mine = mine
        self.obeyed: list[Message] = []
        self.lost = 0
        self.line = Line(mine, self.obeyed.append, self.on_lost)
        self.line.open()

    def on_lost(self) -> None:
        self.lost += 1

    async def heard(self, count: int = 1) -> list[Message]:
        """What the line says."""
        got: list[Message] = []

        def all_of_it() -> bool:
            got.extend(self.supervisor.receive())
            return len(got) >= count

        await until(all_of_it)
        return got


@asynccontextmanager
async def ends() -> AsyncIterator[Ends]:
    both = Ends()
    try:
        yield both
    finally:
        both.line.close()
        both.supervisor.close()
        both.mine.close()
        await settle()


def test_who_joins_is_told_what_was_written(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            joining = asyncio.create_task(both.line.join())
            assert await both.heard() == [Joining()]
            both.supervisor.send(Welcome(7))
            assert await joining == 7
            both.line.joined(7)
            assert await both.heard() == [Applied(7)]

    each_loop.run(check())


def test_welcome_of_a_worker_that_has_been_told_to_end_meanwhile(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            joining = asyncio.create_task(both.line.join())
            assert await both.heard() == [Joining()]
            joining.cancel()
            await asyncio.wait([joining])
            both.supervisor.send(Welcome(7))
            both.supervisor.send(Written(8))
            await until(lambda: both.obeyed == [Written(8)])

    each_loop.run(check())


def test_a_write_waits_for_its_own_answer(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            one, other = (asyncio.create_task(both.line.applied(revision)) for revision in (8, 9))
            assert await both.heard(2) == [Wrote(8), Wrote(9)]
            both.supervisor.send(Settled(9))
            await other
            assert not one.done()
            both.supervisor.send(Settled(8))
            await one

    each_loop.run(check())


def test_an_answer_that_nobody_waits_for_any_more(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            waiting = asyncio.create_task(both.line.applied(8))
            await both.heard()
            waiting.cancel()
            await asyncio.wait((waiting,))
            for message in (Settled(8), ReloadDone(3, None), Stop()):
                both.supervisor.send(message)
            await until(lambda: both.obeyed)
            assert both.obeyed == [Stop()]

    each_loop.run(check())


def test_orders_are_obeyed_in_turn(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            orders: list[Message] = [Written(1), Written(2), Stop()]
            for order in orders:
                both.supervisor.send(order)
            await until(lambda: len(both.obeyed) == 3)
            assert both.obeyed == orders

    each_loop.run(check())


def test_reloads_are_asked_for(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            one, other = (asyncio.create_task(both.line.reload()) for _ in range(2))
            first, second = await both.heard(2)
            assert isinstance(first, PleaseReload)
            assert isinstance(second, PleaseReload)
            both.supervisor.send(ReloadDone(second.request, "no: this is wrong"))
            both.supervisor.send(ReloadDone(first.request, None))
            await one
            with pytest.raises(ConfigError, match="no: this is wrong"):
                await other

    each_loop.run(check())


def test_without_a_supervisor_nobody_waits(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            joining = asyncio.create_task(both.line.join())
            writing = asyncio.create_task(both.line.applied(8))
            reloading = asyncio.create_task(both.line.reload())
            await both.heard(3)
            both.supervisor.close()
            await writing
            with pytest.raises(StoreError, match="gone"):
                await joining
            with pytest.raises(ConfigError, match="gone"):
                await reloading
            await both.line.applied(9)
            with pytest.raises(ConfigError, match="gone"):
                await both.line.reload()
            assert both.lost == 1

    each_loop.run(check())


def test_what_does_not_fit_is_said_later(each_loop: asyncio.Runner) -> None:
    async def check() -> None:
        async with ends() as both:
            large = [Failed("x" * 1_000_000, is_config=False) for _ in range(3)]
            for message in large:
                both.line.say(message)
            assert await both.heard(3) == large
            both.line.joined(1)
            assert await both.heard() == [Applied(1)]

    each_loop.run(check())
