"""An app over HTTP: what comes in, what goes out, and what becomes of calls whose client leaves."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount, Route

from batchway.rpc import Context, RpcApp
from batchway.wire import Message
from tests.loops import settle, until

from .asking import call, run
from .exchange import Exchange, exchange

BODY = json.dumps(call("ping")).encode()
PONG = b'{"jsonrpc":"2.0","result":"pong","id":1}'


def make_app(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def ping() -> str:
        return "pong"

    @app.method
    async def look(context: Context) -> list[Any]:
        return [context.client, context.transport, context.headers.get("x-a"), context.state]

    return app


def test_call_by_post() -> None:
    found = exchange(make_app(), [BODY])
    assert (found.status, found.body) == (200, PONG)
    assert found.headers == {b"content-type": b"application/json", b"content-length": b"40"}


@pytest.mark.parametrize(
    "pieces", [[BODY[:5], BODY[5:]], [b"", BODY, b""], [bytes([byte]) for byte in BODY]]
)
def test_body_in_pieces(pieces: list[bytes]) -> None:
    assert exchange(make_app(), pieces).body == PONG


@pytest.mark.parametrize("said", [call("ping", None, ...), [call("ping", None, ...)] * 2])
def test_notifications_have_no_content(said: Any) -> None:
    found = exchange(make_app(), [json.dumps(said).encode()])
    assert (found.status, found.body, found.headers) == (204, b"", {})


def test_notifications_of_the_sajya_profile_have_an_empty_one() -> None:
    note = json.dumps(call("ping", None, ...)).encode()
    found = exchange(make_app(profile="sajya"), [note])
    assert (found.status, found.body) == (200, b"{}")
    found = exchange(make_app(profile="sajya"), [b"[" + note + b"]"])
    assert (found.status, found.body) == (200, b"[]")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1"])
def test_errors_are_200(body: bytes) -> None:
    found = exchange(make_app(), [body])
    assert found.status == 200
    assert json.loads(found.body)["error"]["code"] in (-32700, -32600)


@pytest.mark.parametrize("content_type", [None, b"application/x-www-form-urlencoded", b"text/plain", b"x"])
def test_any_content_type_will_do_unless_it_must_be_json(content_type: bytes | None) -> None:
    headers = [] if content_type is None else [(b"content-type", content_type)]
    assert exchange(make_app(), [BODY], headers=headers).body == PONG
    found = exchange(make_app(strict_content_type=True), [BODY], headers=headers)
    assert found.status == 415
    assert json.loads(found.body) == {
        "jsonrpc": "2.0",
        "error": {"code": -32056, "message": "Unsupported media type"},
        "id": None,
    }


@pytest.mark.parametrize(
    "content_type", [b"application/json", b"Application/JSON; charset=utf-8", b"application/json-rpc"]
)
def test_json_is_json(content_type: bytes) -> None:
    found = exchange(make_app(strict_content_type=True), [BODY], headers=[(b"content-type", content_type)])
    assert found.body == PONG


@pytest.mark.parametrize("announced", [True, False])
def test_body_that_is_too_large_is_refused(announced: bool) -> None:
    app = make_app(max_body_bytes=100)
    headers = [(b"content-length", b"1000")] if announced else []
    found = exchange(app, [b" " * 60] * 10, headers=headers)
    assert found.status == 413
    assert json.loads(found.body) == {
        "jsonrpc": "2.0",
        "error": {"code": -32053, "message": "Request too large"},
        "id": None,
    }


@pytest.mark.parametrize("http_method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_calls_come_by_post(http_method: str) -> None:
    found = exchange(make_app(page=False), [BODY], method=http_method)
    assert found.status == 405
    assert found.headers[b"allow"] == b"POST"
    assert found.body == b"" if http_method == "HEAD" else json.loads(found.body)["error"]["code"] == -32057


def test_context_tells_of_the_request() -> None:
    state = {"database": "db"}
    body = json.dumps(call("look")).encode()
    found = exchange(make_app(), [body], headers=[(b"x-a", b"b")], state=state)
    assert json.loads(found.body)["result"] == ["10.0.0.1", "http", "b", state]
    found = exchange(make_app(), [body], client=None)
    assert json.loads(found.body)["result"] == ["", "http", None, {}]


def test_client_that_leaves_takes_its_calls_with_it() -> None:
    app = make_app()
    begun: list[int] = []
    stopped: list[int] = []

    @app.method
    async def work() -> None:
        begun.append(1)
        try:
            await asyncio.sleep(100)
        finally:
            stopped.append(1)

    async def main() -> None:
        leaving = Exchange(app, [json.dumps([call("work")]).encode()])
        serving = asyncio.create_task(leaving.run())
        await until(lambda: begun)
        leaving.leave.set()
        await asyncio.wait_for(serving, 30)
        assert stopped == [1]
        assert leaving.status == 499

    run(main())


def test_client_that_leaves_half_way_is_no_error() -> None:
    async def main() -> None:
        leaving = Exchange(make_app(), [])
        leaving.leave.set()
        await leaving.run()
        assert leaving.status == 499

    run(main())


def test_server_that_cancels_is_heard() -> None:
    app = make_app()

    @app.method
    async def work() -> None:
        await asyncio.sleep(100)

    async def main() -> None:
        serving = asyncio.create_task(Exchange(app, [json.dumps(call("work")).encode()]).run())
        await settle()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    run(main())


def test_work_begins_when_the_response_is_sent() -> None:
    app = make_app()

    async def main() -> None:
        asking = Exchange(app, [json.dumps(call("order")).encode()])

        async def work() -> None:
            asking.events.append("worked")

        @app.method
        async def order(context: Context) -> None:
            context.after(work)

        await asking.run()
        await app.aclose()
        assert asking.events == ["sent", "sent", "worked"]

    run(main())


def test_shutdown_waits_for_work() -> None:
    app = make_app()
    done = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append(1)

    @app.method
    async def order(context: Context) -> None:
        context.after(work)

    async def main() -> None:
        await Exchange(app, [json.dumps(call("order")).encode()]).run()
        sent = []
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Message:
            return messages.pop(0)

        async def send(message: Message) -> None:
            sent.append((message["type"], list(done)))

        await app({"type": "lifespan"}, receive, send)
        assert sent == [("lifespan.startup.complete", []), ("lifespan.shutdown.complete", [1])]

    run(main())


def test_app_inside_another() -> None:
    class Outside(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["x-outside"] = "1"
            return response

    outer = Starlette(routes=[Mount("/rpc", make_app())], middleware=[Middleware(Outside)])
    found = exchange(outer, [BODY], path="/rpc/", query_string=b"")
    assert (found.status, found.body) == (200, PONG)
    assert found.headers[b"x-outside"] == b"1"
    note = json.dumps(call("ping", None, ...)).encode()
    assert exchange(outer, [note], path="/rpc/", query_string=b"").status == 204


@pytest.mark.parametrize(
    ("origin", "content_type", "status"),
    [
        ("https://evil.test", None, 415),
        ("https://evil.test", "text/plain", 415),
        ("https://evil.test", "application/x-www-form-urlencoded; charset=utf-8", 415),
        ("null", "text/plain", 415),
        ("https://evil.test", "application/json", 200),  # its browser has asked first
        ("http://service.test", "text/plain", 200),
        ("https://friend.test", "text/plain", 200),
        (None, "application/x-www-form-urlencoded", 200),  # curl
    ],
)
def test_page_of_another_site_cannot_call_in_its_visitor_s_name(
    origin: str | None, content_type: str | None, status: int
) -> None:
    headers = [(b"host", b"service.test")]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if content_type is not None:
        headers.append((b"content-type", content_type.encode()))
    app = make_app(allowed_origins=["https://friend.test"])
    found = exchange(app, [BODY], headers=headers)
    assert found.status == status
    assert (found.body == PONG) == (status == 200)


def test_route_and_mount_in_fastapi() -> None:
    site = FastAPI()
    site.routes.append(Route("/rpc", make_app()))
    site.mount("/mounted", make_app())
    for path in ("/rpc", "/mounted/"):
        found = exchange(site, [BODY], path=path, raw_path=path.encode())
        assert (found.status, found.body) == (200, PONG)


class Refused(Exchange):
    """A body whose rest is never sent: what follows its first piece is the end, after the response."""

    def __init__(self, app: Any) -> None:
        super().__init__(app, [b"x" * 20])
        self.is_over = asyncio.Event()

    async def receive(self) -> Message:
        if self.pieces:
            await asyncio.sleep(0)
            return {"type": "http.request", "body": self.pieces.pop(), "more_body": True}
        await self.is_over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await super().send(message)
        if message["type"] == "http.response.body":
            self.is_over.set()


def test_client_that_leaves_once_it_is_refused_is_no_failure() -> None:
    async def main() -> Exchange:
        return await Refused(make_app(max_body_bytes=10)).run()

    assert run(main()).status == 413
