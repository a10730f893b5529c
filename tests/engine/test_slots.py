"""Slots: so many holders and no more, turns between parties, and none lost."""

import asyncio
import threading

import pytest

from batchway.engine.slots import Slots

from .clock import play, settle


def test_no_more_holders_than_slots() -> None:
    async def main() -> None:
        slots = Slots(2)
        running = most = 0

        async def work() -> None:
            nonlocal running, most
            await slots.acquire("party")
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            slots.release()

        await asyncio.gather(*[work() for _ in range(7)])
        assert most == 2
        assert asyncio.get_running_loop().time() == 4
        assert slots.waiting == 0

    play(main())


def test_turns_go_round_between_parties() -> None:
    async def main() -> None:
        slots = Slots(1)
        order = []

        async def work(party: str) -> None:
            await slots.acquire(party)
            order.append(party)
            await asyncio.sleep(1)
            slots.release()

        await asyncio.gather(*[work(party) for party in ["a", "a", "a", "b", "b", "c"]])
        assert order == ["a", "a", "b", "c", "a", "b"]

    play(main())


@pytest.mark.parametrize("given", [True, False], ids=["given_a_slot", "waiting"])
def test_waiter_that_is_cancelled_leaves_its_slot_to_the_next(given: bool) -> None:
    async def main() -> None:
        slots = Slots(1)
        await slots.acquire("a")
        first = asyncio.create_task(slots.acquire("b"))
        second = asyncio.create_task(slots.acquire("c"))
        await settle()
        assert slots.waiting == 2
        if given:
            slots.release()
            first.cancel()
        else:
            first.cancel()
            await settle()
            slots.release()
        await second
        assert first.cancelled()
        assert slots.waiting == 0
        slots.release()
        await slots.acquire("d")

    play(main())


def waiter_of_a_closed_loop(slots: Slots) -> asyncio.Task[None]:
    """One that waits for the only slot, which is taken, in a loop that has ended without it."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(slots.acquire("a"))
    waiting = loop.create_task(slots.acquire("b"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    return waiting


def test_waiters_of_a_loop_that_is_closed_are_passed_over() -> None:
    slots = Slots(1)
    waiting = waiter_of_a_closed_loop(slots)

    async def main() -> None:
        slots.release()
        await slots.acquire("c")

    play(main())
    waiting.get_coro().close()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined] # it is what this is about


def test_end_of_a_waiter_that_was_passed_over_frees_no_slot() -> None:
    slots = Slots(1)
    waiting = waiter_of_a_closed_loop(slots)

    async def main() -> None:
        slots.release()
        await slots.acquire("c")
        waiting.get_coro().close()  # what the collector does
        another = asyncio.create_task(slots.acquire("d"))
        await settle()
        assert not another.done()
        slots.release()
        await another

    play(main())
    waiting._log_destroy_pending = False  # type: ignore[attr-defined] # it is what this is about


def test_slot_passes_to_a_loop_in_another_thread() -> None:
    slots = Slots(1)
    has_asked = threading.Event()

    async def work() -> None:
        asyncio.get_running_loop().call_soon(has_asked.set)
        await slots.acquire("b")

    asyncio.run(slots.acquire("a"))
    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    assert has_asked.wait(10)
    slots.release()
    thread.join(10)
    assert not thread.is_alive()
    assert slots.waiting == 0
