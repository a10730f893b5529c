"""Context variables and tasks: an item is a task of its own, as under a server."""

import asyncio
from contextvars import ContextVar
from typing import Any

from batchway.asgi import BatchMiddleware
from batchway.wire import Receive, Scope, Send

from .client import Client, reply, run

user: ContextVar[str] = ContextVar("user", default="nobody")


def test_an_item_sees_what_was_set_outside_and_its_own_alone() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(user.get())
        user.set(scope["path"])
        await asyncio.sleep(0)
        seen.append(user.get())
        await reply(send)

    batch = BatchMiddleware(app)

    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        user.set("ada")
        await batch(scope, receive, send)
        assert user.get() == "ada"

    run(Client(outside).batch(["/a", "/b"]))
    assert seen == ["ada", "ada", "/a", "/b"]


def test_an_item_that_never_waits_keeps_its_variables_to_itself() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(user.get())
        user.set(scope["path"])
        await reply(send)

    run(Client(BatchMiddleware(app)).batch(["/a", "/b"], concurrency=1))
    assert seen == ["nobody", "nobody"]


def test_each_item_is_the_current_task_from_its_first_step_to_its_last() -> None:
    tasks: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        first = asyncio.current_task()
        await asyncio.sleep(0)
        await receive()
        await reply(send)
        assert asyncio.current_task() is first
        tasks.append(first)

    async def main() -> None:
        tasks.append(asyncio.current_task())
        await Client(BatchMiddleware(app)).batch(["/"] * 3)

    run(main())
    assert len(set(tasks)) == 4


def test_timeouts_of_an_item_are_its_own() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(0.01 if scope["path"] == "/short" else 5):
                await asyncio.sleep(0.05)
        except TimeoutError:
            await reply(send, b"timed out", 503)
        else:
            await reply(send)

    replies = run(Client(BatchMiddleware(app)).batch(["/short", "/long"]))
    assert [one["status"] for one in replies] == [503, 200]


def test_an_eager_task_factory_changes_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        user.set(scope["path"])
        await reply(send, user.get().encode() * (1 if scope["path"] != "/large" else 1000))

    async def main() -> None:
        factory = getattr(asyncio, "eager_task_factory", None)  # Python 3.12
        asyncio.get_running_loop().set_task_factory(factory)
        middleware = BatchMiddleware(app, max_reply_size=1000)
        replies = await Client(middleware).batch(["/a", "/large", "/b"])
        assert [one["status"] for one in replies] == [200, 502, 200]
        assert [one["body"] for one in replies[::2]] == ["/a", "/b"]
        assert user.get() == "nobody"

    run(main())
