"""A request to an app of this process: what each may do wrong must leave nothing behind."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from batchway.errors import InternalError, UpstreamBroken
from batchway.model import Response
from batchway.rpc import inside
from tests import loops
from tests.loops import settle
from tests.plugins.gateways import request

START = {"type": "http.response.start", "status": 200, "headers": []}


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def streams(_scope: Any, _receive: Any, send: Any) -> None:
    await send(START)
    for _ in range(10):
        await send(piece(b"a", more=True))
    await send(piece(b"", more=False))


async def breaks(_scope: Any, _receive: Any, send: Any) -> None:
    await send(START)
    await send(piece(b"a", more=True))
    raise ValueError


async def fails(_scope: Any, _receive: Any, send: Any) -> None:
    await send(START)
    raise ValueError


async def is_silent(_scope: Any, _receive: Any, _send: Any) -> None:
    pass


async def waits(_scope: Any, receive: Any, _send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def run(test: Callable[[], Awaitable[None]]) -> None:
    """On a loop where no task may be left behind."""
    with loops.running() as runner:
        runner.run(test())  # type: ignore[arg-type]  # each of them is a coroutine function
    assert not inside._running


async def ask(app: Any) -> Response:
    return await inside.ask(app, request("/", "POST", body=b"x"), {})


def test_body_in_pieces() -> None:
    async def test() -> None:
        response = await ask(streams)
        assert b"".join([piece async for piece in response.body]) == b"a" * 10  # type: ignore[union-attr]

    run(test)


def test_app_that_breaks_off() -> None:
    async def test() -> None:
        response = await ask(breaks)
        with pytest.raises(UpstreamBroken):
            [piece async for piece in response.body]  # type: ignore[union-attr]

    run(test)


@pytest.mark.parametrize("app", [fails, is_silent])
def test_app_without_an_answer(app: Any) -> None:
    async def test() -> None:
        with pytest.raises(InternalError):
            await ask(app)

    run(test)


def test_reader_that_closes_half_way() -> None:
    async def test() -> None:
        response = await ask(streams)
        await response.body.aclose()  # type: ignore[union-attr]

    run(test)


def test_reader_that_just_stops() -> None:
    """As Django does when its client leaves: it knows of no `aclose`."""

    async def test() -> None:
        response = await ask(streams)
        pieces = aiter(response.body)  # type: ignore[arg-type]
        await anext(pieces)
        del pieces, response
        gc.collect()
        await settle()

    run(test)


def test_asker_that_leaves() -> None:
    async def test() -> None:
        task = asyncio.ensure_future(ask(waits))
        await settle()
        task.cancel()
        await asyncio.wait({task})

    run(test)


def test_loop_that_ends_meanwhile() -> None:
    """Its end waits for all tasks: none may wait for a reader then."""

    async def main() -> Response:
        response = await ask(streams)
        await settle()
        return response

    async def bounded() -> None:
        response = await main()
        (task,) = inside._running
        task.cancel()
        await asyncio.wait({task}, timeout=30)
        assert task.done()
        with pytest.raises(UpstreamBroken):
            [piece async for piece in response.body]  # type: ignore[union-attr]

    run(bounded)
