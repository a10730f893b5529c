"""The outer request: its body, its response, its client; and BatchEndpoint on its own."""

import asyncio
from typing import Any

import pytest

from batchway import endpoint as core
from batchway.asgi import BatchEndpoint, BatchMiddleware
from batchway.wire import Message, Receive, Scope, Send

from .client import Answer, Client, Lifespan, echo, http_scope, reply, run

ONE = b'{"pipeline":[{"path":"/a"}]}'


def post(body: bytes, headers: Any = (), *, pieces: int = 1, **options: Any) -> Answer:
    """The answer to a batch of these bytes."""
    return run(
        Client(BatchMiddleware(echo, **options)).request("POST", "/batch", body, headers, pieces=pieces)
    )


def test_the_response_is_json_with_its_length() -> None:
    answer = post(ONE)
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"pipeline":[]}', b'{"pipeline":[{"path":"/a b"}]}'])
def test_a_malformed_batch_is_refused(body: bytes) -> None:
    answer = post(body)
    assert answer.status == 400
    assert list(answer.json()) == ["error_msg"]


def test_a_body_that_no_header_announces_is_read() -> None:
    assert post(ONE, pieces=3).json()[0]["status"] == 200


def test_a_body_that_is_announced_as_too_large_is_not_read() -> None:
    async def main() -> None:
        async def receive() -> Message:
            raise AssertionError

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope = http_scope("POST", "/batch", [("content-length", "2000000")])
        await BatchMiddleware(echo)(scope, receive, send)
        assert sent[0]["status"] == 413

    run(main())


def test_a_large_response_is_compressed_for_who_accepts_it() -> None:
    body = b'{"pipeline":[' + b",".join([b'{"path":"/a"}'] * 50) + b"]}"
    answer = post(body, [("Accept-Encoding", "gzip")])
    assert answer.header("content-encoding") == "gzip"
    assert answer.header("content-length") == str(len(answer.body))
    replies = answer.json()
    assert len(replies) == 50
    assert "accept-encoding" not in replies[0]["body"]
    assert post(body).header("content-encoding") is None


def test_a_fault_of_ours_is_a_500_without_its_trace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(*_: object) -> None:
        message = "secret"
        raise KeyError(message)

    monkeypatch.setattr(core, "answer", answer)
    response = post(ONE)
    assert (response.status, response.json()) == (500, {"error_msg": "internal error"})
    assert "the batch failed" in caplog.text


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain;charset=UTF-8", "multipart/form-data", "TEXT/PLAIN"]
)
def test_a_page_of_another_site_cannot_send_a_batch_unasked(content_type: str | None) -> None:
    headers = [("Origin", "https://evil.example")]
    if content_type is not None:
        headers.append(("Content-Type", content_type))
    answer = post(ONE, headers)
    assert answer.status == 415
    assert answer.json() == {"error_msg": "a page of another site must send a batch as application/json"}


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "application/x-www-form-urlencoded")],  # curl --data
        [("Origin", "https://other.example"), ("Content-Type", "application/json; charset=utf-8")],
        [("Origin", "https://example.org")],  # its own site
    ],
)
def test_others_may_send_a_batch_as_what_they_like(headers: Any) -> None:
    assert post(ONE, headers).status == 200


# --- a client that leaves


class Slow:
    """An app that takes its time, and notes what ends it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.ends: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.started.set()
        try:
            if scope["path"] == "/listens":
                await receive()
                self.ends.append((await receive())["type"])
            else:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise


@pytest.mark.parametrize(("path", "end"), [("/", "cancelled"), ("/listens", "http.disconnect")])
def test_a_client_that_leaves_takes_its_items_with_it(path: str, end: str) -> None:
    async def main() -> None:
        app = Slow()
        client = Client(BatchMiddleware(app))
        document = b'{"pipeline":[{"path":"%b"},{"path":"%b"}]}' % (path.encode(), path.encode())
        work = asyncio.create_task(client.request("POST", "/batch", document))
        await app.started.wait()
        client.gone.set()
        assert (await work).status == 499  # nobody hears it; but an access log outside has it
        assert work.cancelling() == 0
        for _ in range(5):
            await asyncio.sleep(0)
        assert app.ends == [end, end]

    run(main())


def test_a_client_that_leaves_before_its_batch_is_whole_starts_nothing() -> None:
    async def main() -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            message_text = "the client is gone"
            raise OSError(message_text)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise AssertionError

        await BatchMiddleware(app)(http_scope("POST", "/batch"), receive, send)
        assert [message.get("status") for message in sent] == [499]

    run(main())


def test_cancelling_the_batch_cancels_the_items() -> None:
    async def main() -> None:
        app = Slow()
        work = asyncio.create_task(Client(BatchMiddleware(app)).batch(["/"]))
        await app.started.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        for _ in range(5):
            await asyncio.sleep(0)
        assert app.ends == ["cancelled"]

    run(main())


def test_a_timeout_outside_of_the_batch_holds() -> None:
    async def main() -> None:
        app = Slow()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await Client(BatchMiddleware(app)).batch(["/"])
        for _ in range(5):
            await asyncio.sleep(0)
        assert app.ends == ["cancelled"]

    run(main())


# --- on its own


def test_an_endpoint_answers_on_any_path() -> None:
    async def main() -> None:
        client = Client(BatchEndpoint(echo))
        assert (await client.batch(["/a"], path="/x/y"))[0]["status"] == 200
        assert (await client.request("GET", "/x/y")).status == 405

    run(main())


def test_the_lifespan_of_an_endpoint_is_its_apps() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["db"] = "open"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await reply(send, scope["state"]["db"].encode())

    async def main() -> None:
        endpoint = BatchEndpoint(app)
        async with Lifespan(endpoint) as state:
            [one] = await Client(endpoint, state=state).batch(["/"])
            assert one["body"] == "open"

    run(main())


def test_an_endpoint_takes_no_websockets() -> None:
    async def main() -> None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        await BatchEndpoint(echo)({"type": "websocket", "path": "/"}, receive, send)
        assert sent == [{"type": "websocket.close", "code": 1000}]

    run(main())
