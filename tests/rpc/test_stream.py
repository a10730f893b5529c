"""Answers as they finish: what a transport that can send them one by one is given."""

import asyncio
import json
from typing import Any

import pytest

from batchway.rpc import Context, Proceed, RpcApp, RpcError

from .asking import call, play


def make_app(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def sleep(seconds: float, size: int = 0) -> str:
        if seconds:
            await asyncio.sleep(seconds)
        return "x" * size

    return app


async def stream(app: RpcApp, said: Any, context: Context | None = None) -> tuple[list[Any], Any]:
    """What is sent, each with its time, and what is returned."""
    sent: list[Any] = []

    async def send(response: bytes) -> None:
        sent.append((asyncio.get_running_loop().time(), json.loads(response)))

    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return sent, await app.stream(body, send, context)


def test_answers_come_as_they_finish() -> None:
    async def main() -> None:
        calls = [
            call("sleep", [3], 1),
            call("sleep", [0], 2),
            1,
            call("sleep", [1], 3),
            call("sleep", [2], ...),
        ]
        sent, answered = await stream(make_app(), calls)
        assert [(time, one["id"]) for time, one in sent] == [(0, 2), (0, None), (1, 3), (3, 1)]
        assert answered.body is None

    play(main())


def test_what_is_not_ready_in_time_is_told() -> None:
    async def main() -> None:
        sent, _ = await stream(make_app(timeout_s=2), [call("sleep", [3], 1), call("sleep", [1], 2)])
        assert [(time, one["id"], "error" in one) for time, one in sent] == [(1, 2, False), (2, 1, True)]
        assert sent[1][1]["error"]["code"] == -32050
        await asyncio.sleep(0)

    play(main())


@pytest.mark.parametrize("size", [100, 6000])
def test_answers_beyond_what_all_may_take_are_left_out(size: int) -> None:
    async def main() -> None:
        app = make_app(max_response_bytes=size * 3)
        sent, _ = await stream(app, [call("sleep", [0, size], id) for id in range(6)])
        assert ["result" in one for _, one in sent] == [True, True, False, False, False, False]
        assert sent[-1][1]["error"]["code"] == -32052

    play(main())


@pytest.mark.parametrize(("body", "code"), [(b"{", -32700), (b"[]", -32600), (b" " * 2000, -32053)])
def test_refused_body_is_returned_and_not_sent(body: bytes, code: int) -> None:
    async def main() -> None:
        sent, answered = await stream(make_app(max_body_bytes=1000), body)
        assert sent == []
        assert json.loads(answered.body)["error"]["code"] == code

    play(main())


def test_batch_middleware_is_around_a_stream_too() -> None:
    async def refuse(context: Context, proceed: Proceed) -> None:
        if not context.headers:
            raise RpcError(401, "Unauthorized")
        await proceed()

    async def main() -> None:
        app = make_app(batch_middleware=[refuse])
        sent, _ = await stream(app, [call("sleep", [0])])
        assert [one for _, one in sent] == [
            {"jsonrpc": "2.0", "error": {"code": 401, "message": "Unauthorized"}, "id": None}
        ]
        sent, _ = await stream(app, [call("sleep", [0], ...)])
        assert sent == []
        sent, _ = await stream(app, [call("sleep", [0])], Context(headers={"a": "b"}))
        assert ["result" in one for _, one in sent] == [True]

    play(main())


def test_batch_that_middleware_does_not_run_is_an_internal_error() -> None:
    async def forget(context: Context, proceed: Proceed) -> None: ...

    async def main() -> None:
        sent, _ = await stream(make_app(batch_middleware=[forget]), [call("sleep", [0])])
        assert [one["error"]["code"] for _, one in sent] == [-32603]

    play(main())


def test_reader_that_is_gone_cancels_the_calls() -> None:
    async def main() -> None:
        app = RpcApp()
        stopped = []

        @app.method
        async def work(seconds: float) -> None:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                stopped.append(seconds)
                raise

        async def send(response: bytes) -> None:
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await app.stream(json.dumps([call("work", [1]), call("work", [9])]).encode(), send)
        await asyncio.sleep(0)
        assert stopped == [9]

    play(main())


def test_work_that_was_put_off_waits_for_release() -> None:
    async def main() -> None:
        app = RpcApp()
        done = []

        async def work() -> None:
            done.append(1)

        @app.method
        async def order(context: Context) -> None:
            context.after(work)

        _, answered = await stream(app, [call("order")])
        await asyncio.sleep(1)
        assert done == []
        app.release(answered)
        await app.aclose()
        assert done == [1]

    play(main())
