"""Slots that event loops in several threads share."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from batchway.rpc import Context, RpcApp
from batchway.rpc.slots import Slots
from tests.loops import settle

from .asking import ask, call, run


async def take(slots: Slots, party: object, taken: list[object]) -> None:
    await slots.acquire(party)
    taken.append(party)


def test_turns_go_round_between_parties() -> None:
    async def main() -> None:
        slots, taken = Slots(1), list[object]()
        await slots.acquire("first")
        waiting = [asyncio.ensure_future(take(slots, party, taken)) for party in "aaabc"]
        await settle()
        assert slots.waiting == 5
        for _ in waiting:
            slots.release()
            await settle()
        assert taken == ["a", "b", "c", "a", "a"]
        assert slots.waiting == 0

    run(main())


@pytest.mark.parametrize("is_given", [False, True])
def test_cancelled_waiter_holds_no_slot(is_given: bool) -> None:
    async def main() -> None:
        slots, taken = Slots(1), list[object]()
        await slots.acquire("first")
        waiting = [asyncio.ensure_future(take(slots, party, taken)) for party in "ab"]
        await settle()
        if is_given:
            slots.release()
        waiting[0].cancel()
        await settle()
        if not is_given:
            slots.release()
        await waiting[1]
        assert taken == ["b"]
        slots.release()
        await slots.acquire("last")

    run(main())


def test_slot_passes_to_a_loop_in_another_thread() -> None:
    slots, taken = Slots(1), list[object]()
    thread = threading.Thread(target=lambda: asyncio.run(take(slots, "other", taken)))

    async def main() -> None:
        await slots.acquire("main")
        thread.start()
        while not slots.waiting:
            await asyncio.sleep(0)
        slots.release()

    run(main())
    thread.join(10)
    assert taken == ["other"]


def test_slot_is_not_given_to_a_loop_that_is_closed() -> None:
    slots, taken = Slots(1), list[object]()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        await slots.acquire("main")

    run(main())
    left: Coroutine[Any, Any, None] = take(slots, "left", taken)
    task = loop.create_task(left)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    slots.release()
    run(take(slots, "next", taken))
    assert taken == ["next"]
    left.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined] # what its loop has left undone


def test_an_app_serves_loops_of_several_threads_at_once() -> None:
    app = RpcApp(threads=1, background_concurrency=1)
    done: list[int] = []

    @app.method
    def threaded(context: Context) -> None:
        context.after(done.append, 1)

    @app.method(concurrency=1)
    async def guarded() -> None:
        await asyncio.sleep(0.001)

    said: list[Any] = []

    async def main() -> None:
        said.extend(await ask(app, [call("threaded"), call("guarded")]))
        await app.finish_background()

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    run(app.aclose())
    assert ["result" in one for one in said] == [True] * 24
    assert len(done) == 12
