"""Calls that outlast their item: background work, the shutdown, the bound on all of them."""

import asyncio
import gc
import logging
import tracemalloc
from typing import Any

import pytest

from batchway.asgi import BatchEndpoint, BatchMiddleware
from batchway.wire import Receive, Scope, Send
from tests.loops import settle, until

from .client import Client, Lifespan, overdue, reply, run


class Background:
    """An app that works on for as long as it is let, once it has answered."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.done: list[str] = []
        self.running = 0
        self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
            return
        self.running += 1
        self.most = max(self.most, self.running)
        await reply(send, b"answered")
        try:
            await self.go.wait()
            self.done.append(scope["path"])
        except asyncio.CancelledError:
            self.done.append("cancelled")
            raise
        finally:
            self.running -= 1

    async def live(self, receive: Receive, send: Send) -> None:
        for _ in range(2):
            kind = (await receive())["type"]
            self.done.append(kind)
            await send({"type": kind + ".complete"})


def test_a_reply_does_not_wait_for_background_work() -> None:
    async def main() -> None:
        app = Background()
        replies = await Client(BatchMiddleware(app)).batch(["/a", "/b"])
        assert [one["body"] for one in replies] == ["answered", "answered"]
        assert app.running == 2
        app.go.set()
        await settle()
        assert sorted(app.done) == ["/a", "/b"]

    run(main())


def test_neither_the_deadline_nor_the_end_of_the_batch_stops_background_work() -> None:
    async def main() -> None:
        app = Background()

        async def mixed(scope: Scope, receive: Receive, send: Send) -> None:
            await (asyncio.sleep(10_000) if scope["path"] == "/slow" else app(scope, receive, send))

        replies = await overdue(Client(BatchMiddleware(mixed)), ["/a", "/slow"])
        assert [one["status"] for one in replies] == [200, 504]
        await settle()
        assert app.running == 1
        app.go.set()
        await settle()
        assert app.done == ["/a"]

    run(main())


def test_an_app_that_is_done_as_the_batch_is_cancelled_works_on_in_peace() -> None:
    async def main() -> None:
        ends: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            batch.cancel()
            await reply(send)
            await asyncio.sleep(0.01)
            ends.append("done")

        batch = asyncio.create_task(Client(BatchMiddleware(app)).batch(["/"]))
        with pytest.raises(asyncio.CancelledError):
            await batch
        await asyncio.sleep(0.05)
        assert ends == ["done"]

    run(main())


def test_background_work_holds_on_to_no_response() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await reply(send, b"x" * 100_000)
            await go.wait()

        tracemalloc.start()
        try:
            await Client(BatchMiddleware(app)).batch(["/"] * 20)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 1_000_000
        finally:
            tracemalloc.stop()
            go.set()

    run(main())


def test_the_shutdown_waits_for_background_work_before_the_app_hears_of_it() -> None:
    async def main() -> None:
        app = Background()
        middleware = BatchMiddleware(app)
        async with Lifespan(middleware):
            await Client(middleware).batch(["/a"])
            asyncio.get_running_loop().call_later(0.02, app.go.set)
        assert app.done == ["lifespan.startup", "/a", "lifespan.shutdown"]

    run(main())


def test_background_work_beyond_the_grace_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = Background()
        middleware = BatchMiddleware(app, background_grace_s=0.01)
        async with Lifespan(middleware):
            await Client(middleware).batch(["/a"])
        assert app.done == ["lifespan.startup", "cancelled", "lifespan.shutdown"]

    with caplog.at_level(logging.WARNING):
        run(main())
    assert "1 calls cancelled at shutdown" in caplog.text


def test_an_endpoint_without_a_lifespan_is_closed_by_hand() -> None:
    async def main() -> None:
        app = Background()
        endpoint = BatchEndpoint(app)
        await endpoint.aclose()
        await Client(endpoint).batch(["/a"])
        asyncio.get_running_loop().call_later(0.02, app.go.set)
        await endpoint.aclose()
        assert app.done == ["/a"]

    run(main())


def test_calls_under_way_have_a_bound_over_all_batches() -> None:
    async def main() -> None:
        app = Background()
        client = Client(BatchMiddleware(app, max_calls=3))
        batches = asyncio.gather(*(client.batch(["/a"] * 4) for _ in range(3)))
        await until(lambda: app.running == 3)
        await settle(50)
        assert app.running == 3
        assert not batches.done()
        app.go.set()
        assert all(one["status"] == 200 for replies in await batches for one in replies)
        assert app.most == 3
        assert len(app.done) == 12

    run(main())


def test_an_item_that_waits_for_room_meets_the_deadline() -> None:
    async def main() -> None:
        app = Background()
        client = Client(BatchMiddleware(app, max_calls=1))
        replies = await overdue(client, ["/a", "/b", "/c"])
        assert [one["status"] for one in replies] == [200, 504, 504]
        app.go.set()
        replies = await client.batch(["/d", "/e"])
        assert [one["status"] for one in replies] == [200, 200]

    run(main())


def test_concurrency_bounds_the_items_of_one_batch() -> None:
    running: list[int] = [0, 0]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0.001)
        running[0] -= 1
        await reply(send)

    run(Client(BatchMiddleware(app, concurrency=3)).batch(["/"] * 10))
    assert running == [0, 3]


def test_items_run_at_once() -> None:
    all_of_them = asyncio.Barrier(50)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await all_of_them.wait()
        await reply(send)

    replies = run(Client(BatchMiddleware(app)).batch(["/"] * 50))
    assert [one["status"] for one in replies] == [200] * 50


def test_nothing_of_an_item_stays_when_it_is_over() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send)

    async def main() -> Any:
        middleware = BatchMiddleware(app)
        await Client(middleware).batch(["/"] * 20)
        await settle()
        return middleware

    endpoint = run(main()).endpoint
    assert len(endpoint._calls) == 0
