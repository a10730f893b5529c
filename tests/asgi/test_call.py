"""What an app may expect of `receive` and `send`, and what becomes of one that fails."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from batchway.asgi import BatchMiddleware
from batchway.asgi import call as call_module
from batchway.wire import App, Message, Receive, Scope, Send

from .client import Client, by_path, echo, overdue, reply, run

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
MORE: Message = {"type": "http.response.body", "body": b"a", "more_body": True}
END: Message = {"type": "http.response.body", "body": b"z"}
INTERNAL = {
    "status": 500,
    "reason": "Internal Server Error",
    "body": '{"error_msg":"internal error"}',
    "headers": {"Content-Type": "application/json"},
}
TIMED_OUT = {"status": 504, "reason": "upstream timeout"}


def replies_of(
    app: App, items: Sequence[Any] = ("/",), *, timeout: int = 5000, **options: Any
) -> list[Any]:
    """The replies to a batch of `items`."""
    return run(Client(BatchMiddleware(app, **options)).batch(items, timeout=timeout))


def sender(*messages: Message) -> App:
    """An app that sends these."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def ok(scope: Scope, receive: Receive, send: Send) -> None:
    await reply(send, b"ok")


# --- receive


def test_the_body_comes_once_and_a_disconnect_after_the_response() -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(await receive())
        later = asyncio.create_task(_next(receive))
        await asyncio.sleep(0)
        assert not later.done()
        await reply(send)
        got.extend([await later, await receive()])

    replies_of(app, [{"path": "/", "method": "POST", "body": "hello"}])
    assert got == [
        {"type": "http.request", "body": b"hello", "more_body": False},
        {"type": "http.disconnect"},
        {"type": "http.disconnect"},
    ]


def test_a_body_that_nobody_read_is_gone_after_the_response() -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send)
        got.append(await receive())

    replies_of(app, [{"path": "/", "method": "POST", "body": "hello"}])
    assert got == [{"type": "http.disconnect"}]


async def _next(receive: Receive) -> Message:
    return await receive()


# --- send


def test_a_stream_is_collected() -> None:
    [one] = replies_of(sender(START, MORE, MORE, {"type": "http.response.body", "more_body": True}, END))
    assert one["body"] == "aaz"


def test_a_piece_may_be_any_buffer() -> None:
    [one] = replies_of(sender(START, {**MORE, "body": memoryview(b"ab")}, {**END, "body": bytearray(b"c")}))
    assert one["body"] == "abc"


def test_headers_are_as_the_app_gives_them_but_for_framing() -> None:
    headers = [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"content-length", b"1"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"close"),
        (b"X-Spelled", b"y"),
    ]
    [one] = replies_of(sender({**START, "headers": iter(headers)}, END))
    assert one["headers"] == {"set-cookie": ["a=1", "b=2"], "content-length": "1", "X-Spelled": "y"}


@pytest.mark.parametrize(("status", "reason"), [(207, "Multi-Status"), (599, ""), (700, "")])
def test_a_reason_goes_with_the_status(status: int, reason: str) -> None:
    [one] = replies_of(sender({**START, "status": status}, END))
    assert (one["status"], one["reason"]) == (status, reason)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_no_body_where_http_has_none(method: str, status: int) -> None:
    start = {**START, "status": status, "headers": [(b"content-length", b"5")]}
    items = [{"path": "/", "method": method}]
    [one] = replies_of(sender(start, MORE, END), items, max_reply_size=1)
    assert one == {"status": status, "reason": one["reason"], "headers": {"content-length": "5"}}


@pytest.mark.parametrize(
    "messages",
    [
        [END],
        [START, START, END],
        [START, {"type": "http.response.trailers", "headers": []}],
        [{"type": "http.response.push", "path": "/a"}],
        [{**START, "status": 101}, END],
        [{**START, "status": "ok"}, END],
        [{**START, "headers": [("content-type", "text/plain")]}, END],
        [START, {**END, "body": "text"}],
        [],
        [START],
        [START, MORE],
    ],
)
def test_an_app_that_breaks_the_protocol_gets_a_500(
    messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    assert replies_of(by_path(bad=sender(*messages), good=ok), ["/bad", "/good"]) == [
        INTERNAL,
        {"status": 200, "reason": "OK", "headers": {"content-type": "text/plain"}, "body": "ok"},
    ]
    [record] = caplog.records
    assert record.name == "batchway.asgi"
    assert record.getMessage().startswith("GET /bad: the app ")


# --- apps that fail


async def _fails(scope: Scope, receive: Receive, send: Send) -> None:
    message = "secret"
    raise ValueError(message)


async def _fails_half_way(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(MORE)
    await _fails(scope, receive, send)


async def _fails_at_the_end(scope: Scope, receive: Receive, send: Send) -> None:
    await reply(send, b"done", 500)
    await _fails(scope, receive, send)


@pytest.mark.parametrize("app", [_fails, _fails_half_way])
def test_an_app_that_raises_gets_a_500_and_a_trace_in_the_log(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    assert replies_of(app, ["/a/b?token=x"]) == [INTERNAL]
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "GET /a/b: the app failed")
    assert record.exc_info is not None


def test_a_response_that_is_whole_stands_when_the_app_raises(caplog: pytest.LogCaptureFixture) -> None:
    [one] = replies_of(_fails_at_the_end)
    assert (one["status"], one["body"]) == (500, "done")
    assert [record.getMessage() for record in caplog.records] == ["GET /: the app failed"]


def test_an_app_that_sends_too_much_is_told(caplog: pytest.LogCaptureFixture) -> None:
    [one] = replies_of(sender(START, END, END))
    assert one["body"] == "z"
    assert "after response already completed" in caplog.text


def test_an_app_that_is_cancelled_by_itself_gets_a_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    assert replies_of(app) == [INTERNAL]
    assert "ended without a whole response" in caplog.text


# --- bounds


def test_a_reply_that_is_too_large_is_refused_and_its_app_stopped() -> None:
    ends: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        try:
            while True:
                await send({**MORE, "body": b"x" * 100})
        except OSError as error:
            ends.append(error)
            raise

    bad, good = replies_of(by_path(bad=app, good=ok), ["/bad", "/good"], max_reply_size=1000)
    assert bad["status"] == 502
    assert bad["body"] == '{"error_msg":"the reply is larger than max_reply_size"}'
    assert good["status"] == 200
    assert len(ends) == 1


def test_a_reply_that_is_refused_leaves_its_bytes_to_the_others() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for _ in range(9):
            await send({**MORE, "body": b"x" * 200})
        await send(END)

    bad = {"path": "/bad"}
    replies = replies_of(
        by_path(bad=app, good=ok), [bad, bad, bad, "/good"], max_reply_size=1000, max_response_size=3600
    )
    assert [one["status"] for one in replies] == [502, 502, 502, 200]


def test_all_replies_together_have_a_bound() -> None:
    big = sender(START, {**END, "body": b"x" * 600})
    replies = replies_of(big, ["/"] * 3, max_response_size=1000, concurrency=1)
    assert [one["status"] for one in replies] == [200, 502, 502]
    assert "max_response_size" in replies[1]["body"]


def test_an_app_that_swallows_the_refusal_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "LISTENER_GRACE_S", 0.01)

    async def main() -> None:
        cancelled = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(START)
            try:
                while True:
                    with contextlib.suppress(OSError):
                        await send(MORE)
                    await asyncio.sleep(0.001)
            finally:
                cancelled.set()

        [one] = await Client(BatchMiddleware(app, max_reply_size=1)).batch(["/"])
        assert one["status"] == 502
        await asyncio.wait_for(cancelled.wait(), 30)

    run(main())


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_a_stream_without_end_meets_the_deadline(piece: bytes) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send({**MORE, "body": piece})

    assert replies_of(app, timeout=30) == [TIMED_OUT]


# --- the deadline


def test_an_item_without_an_answer_at_the_deadline_is_cancelled() -> None:
    ends: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(MORE)
        try:
            await asyncio.sleep(10_000)
        finally:
            ends.append("cancelled")
            with pytest.raises(OSError, match="not wanted"):
                await send(END)

    client = Client(BatchMiddleware(by_path(slow=slow, fast=ok)))
    fast, late = run(overdue(client, ["/fast", "/slow"]))
    assert (fast["status"], late) == (200, TIMED_OUT)
    assert ends == ["cancelled"]


def test_an_app_that_listens_stops_in_its_own_way() -> None:
    ends: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        try:
            ends.append((await receive())["type"])
            await asyncio.sleep(0.005)
            ends.append("tidy")
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    assert run(overdue(Client(BatchMiddleware(app)), ["/"])) == [TIMED_OUT]
    assert ends == ["http.disconnect", "tidy"]


def test_an_app_that_listens_but_goes_on_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "LISTENER_GRACE_S", 0.01)

    async def main() -> None:
        cancelled = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await receive()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        assert await overdue(Client(BatchMiddleware(app)), ["/"]) == [TIMED_OUT]
        await asyncio.wait_for(cancelled.wait(), 30)

    run(main())


def test_a_thread_that_cannot_be_stopped_does_not_hold_up_the_batch() -> None:
    release = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.ensure_future(asyncio.to_thread(release.wait, 30))
        while not work.done():  # as anyio does: the thread is waited for, come what may
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                continue
        await reply(send)

    async def main() -> None:
        try:
            started = time.monotonic()
            client = Client(BatchMiddleware(by_path(stuck=app, echo=echo)))
            assert await client.batch(["/stuck"], timeout=30) == [TIMED_OUT]
            assert time.monotonic() - started < 20
            assert (await client.batch(["/echo"]))[0]["status"] == 200
        finally:
            release.set()
        await asyncio.sleep(0.05)

    run(main())
