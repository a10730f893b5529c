"""A batch inside a Starlette app: routes, mounts, middleware, sessions, streams, lifespan."""

import asyncio
import contextlib
import gzip
import json
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route

from batchway.asgi import BatchEndpoint, BatchMiddleware
from batchway.wire import App, Message, Receive, Scope, Send

from .client import Client, Lifespan, overdue, run

BATCH = Middleware(BatchMiddleware, path="/batch")


async def show(request: Request) -> Response:
    """What the app makes of the request."""
    return JSONResponse(
        {
            "params": request.path_params,
            "url": str(request.url),
            "link": str(request.url_for("show", **request.path_params)),
        }
    )


def replies_of(app: App, *items: Any, **batch: Any) -> list[Any]:
    return run(Client(app).batch(items, **batch))


# --- where the endpoint stands


def test_items_are_routed() -> None:
    app = Starlette(routes=[Route("/users/{id:int}", show, name="show")])
    app.add_middleware(BatchMiddleware, path="/batch")
    user, missing, wrong = replies_of(app, "/users/7?a=b", "/no", {"path": "/users/7", "method": "PUT"})
    assert json.loads(user["body"]) == {
        "params": {"id": 7},
        "url": "http://example.org/users/7?a=b",
        "link": "http://example.org/users/7",
    }
    assert (missing["status"], wrong["status"]) == (404, 405)
    assert sorted(wrong["headers"]["allow"].split(", ")) == ["GET", "HEAD"]


def test_inside_of_a_mount_paths_are_those_that_the_client_knows() -> None:
    inner = Starlette(routes=[Route("/users/{id}", show, name="show")], middleware=[BATCH])
    app = Starlette(routes=[Mount("/api/{tenant}", inner), Route("/users/{id}", show, name="outer")])
    path = "/api/acme/batch"
    user, beyond, other = replies_of(app, "/api/acme/users/7", "/users/7", "/api/x/users/7", path=path)
    params = json.loads(user["body"])["params"]
    assert params == {"tenant": "acme", "id": "7"}
    assert (beyond["status"], other["status"]) == (404, 404)
    assert run(Client(app).request("POST", "/batch")).status == 404


def test_a_mount_leaves_links_as_they_are_without_a_batch() -> None:
    inner = Starlette(routes=[Route("/users/{id}", show, name="show")], middleware=[BATCH])
    app = Starlette(routes=[Mount("/api", inner, name="api"), Route("/elsewhere/{id}", show, name="show")])
    alone = run(Client(app).request("GET", "/api/users/7")).json()
    [one] = replies_of(app, "/api/users/7", path="/api/batch")
    assert json.loads(one["body"]) == alone


def routed(mount: bool) -> Starlette:
    app = Starlette(routes=[Route("/users/{id}", show, name="show")])
    app.add_middleware(Timing)
    endpoint = BatchEndpoint(app)
    app.router.routes.append(Mount("/batch", endpoint) if mount else Route("/batch", endpoint))
    return app


@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize("mount", [False, True])
def test_an_endpoint_on_a_route_takes_items_through_the_whole_app(mount: bool, root_path: str) -> None:
    path = root_path + ("/batch/" if mount else "/batch")
    nested = {"path": path, "method": "POST", "body": '{"pipeline":[{"path":"/users/7"}]}'}
    client = Client(routed(mount), root_path=root_path)
    user, refused = run(client.batch([root_path + "/users/7", nested], path=path))
    assert json.loads(user["body"]) == {
        "params": {"id": "7"},
        "url": f"http://example.org{root_path}/users/7",
        "link": f"http://example.org{root_path}/users/7",
    }
    assert refused["status"] == 400


# --- middleware


class Stamp:
    """Pure ASGI middleware that counts and adds a header."""

    def __init__(self, app: App, name: str, seen: list[str]) -> None:
        self.app = app
        self.name = name
        self.seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append(f"{self.name} {scope['path']}")
        await self.app(scope, receive, send)


def test_middleware_added_before_sees_items_and_added_after_sees_the_batch() -> None:
    seen: list[str] = []
    app = Starlette(routes=[Route("/a", show, name="show")])
    app.add_middleware(Stamp, name="inside", seen=seen)
    app.add_middleware(BatchMiddleware, path="/batch")
    app.add_middleware(Stamp, name="outside", seen=seen)
    replies_of(app, "/a", "/b")
    assert seen == ["outside /batch", "inside /a", "inside /b"]


class Timing(BaseHTTPMiddleware):
    """Middleware of the kind that runs the rest of the app in a task group."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-timing"] = "0"
        return response


async def echo_body(request: Request) -> Response:
    return PlainTextResponse(await request.body())


@pytest.mark.parametrize("inside", [True, False])
def test_base_http_middleware_works_on_both_sides(inside: bool) -> None:
    around = [Middleware(Timing), Middleware(Timing)]
    app = Starlette(
        routes=[Route("/echo", echo_body, methods=["POST"])],
        middleware=[BATCH, *around] if inside else [*around, BATCH],
    )
    item = {"path": "/echo", "method": "POST", "body": "hello"}
    replies = replies_of(app, item, item)
    assert [one["body"] for one in replies] == ["hello", "hello"]
    assert [one["headers"].get("x-timing") for one in replies] == (["0"] * 2 if inside else [None] * 2)


def test_a_client_that_leaves_is_heard_through_base_http_middleware() -> None:
    async def slow(request: Request) -> Response:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        return Response()

    ends: list[str] = []
    started = asyncio.Event()

    async def main() -> None:
        app = Starlette(routes=[Route("/slow", slow)], middleware=[Middleware(Timing), BATCH])
        client = Client(app)
        work = asyncio.create_task(client.request("POST", "/batch", b'{"pipeline":[{"path":"/slow"}]}'))
        await started.wait()
        client.gone.set()
        assert (await work).status == 499
        for _ in range(5):
            await asyncio.sleep(0)
        assert ends == ["cancelled"]

    run(main())


@pytest.mark.parametrize("inside", [True, False])
def test_nothing_is_compressed_twice(inside: bool) -> None:
    async def big(request: Request) -> Response:
        return PlainTextResponse("x" * 5000)

    squeeze = Middleware(GZipMiddleware)
    app = Starlette(
        routes=[Route("/big", big)], middleware=[BATCH, squeeze] if inside else [squeeze, BATCH]
    )
    body = b'{"pipeline":[{"path":"/big","headers":{"accept-encoding":"gzip"}}]}'
    answer = run(Client(app).request("POST", "/batch", body, [("Accept-Encoding", "gzip")]))
    assert answer.header("content-encoding") == "gzip"
    [one] = json.loads(gzip.decompress(answer.body))
    assert one["body"] == "x" * 5000
    assert "content-encoding" not in one["headers"]


def test_cors_stands_outside_to_let_browsers_in() -> None:
    cors = Middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["POST"])
    app = Starlette(routes=[Route("/a", show, name="show")], middleware=[cors, BATCH])
    asked = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")]
    answer = run(Client(app).request("OPTIONS", "/batch", b"", asked))
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "https://a.example")


# --- sessions and cookies


class Sessions:
    """What Starlette's SessionMiddleware does to the scope and the response, unsigned."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = b"session=" + b64encode(json.dumps(scope["session"]).encode())
                message["headers"] = [*message["headers"], (b"set-cookie", cookie)]
            await send(message)

        if scope["type"] == "http":
            session = HTTPConnection(scope).cookies.get("session")
            scope["session"] = json.loads(b64decode(session)) if session else {}
        await self.app(scope, receive, send_with_cookie)


async def count(request: Request) -> Response:
    request.session["n"] = request.session.get("n", 0) + 1
    return PlainTextResponse(str(request.session["n"]))


def test_a_session_inside_is_each_items_own() -> None:
    session = Middleware(Sessions)
    app = Starlette(routes=[Route("/count", count)], middleware=[BATCH, session])
    first = replies_of(app, "/count", "/count")
    assert [one["body"] for one in first] == ["1", "1"]
    cookie = first[0]["headers"]["set-cookie"].partition(";")[0]
    again = replies_of(
        app, "/count", {"path": "/count", "headers": {"Cookie": None}}, outer=[("Cookie", cookie)]
    )
    assert [one["body"] for one in again] == ["2", "1"]


def test_a_session_outside_is_the_batchs() -> None:
    session = Middleware(Sessions)
    app = Starlette(routes=[Route("/count", count)], middleware=[session, BATCH])
    body = b'{"pipeline":[{"path":"/count"},{"path":"/count"}]}'
    answer = run(Client(app).request("POST", "/batch", body))
    assert [one["body"] for one in answer.json()] == ["1", "2"]
    assert (answer.header("set-cookie") or "").startswith("session=")


# --- responses


async def numbers() -> AsyncIterator[str]:
    for number in range(3):
        await asyncio.sleep(0)
        yield str(number)


def blocking_numbers() -> Iterator[bytes]:
    for number in range(3):
        time.sleep(0.001)
        yield b"%d" % number


def test_streams_and_files_are_collected(tmp_path: Path) -> None:
    async def stream(request: Request) -> Response:
        return StreamingResponse(
            numbers() if request.path_params["kind"] == "async" else blocking_numbers()
        )

    async def file(request: Request) -> Response:
        return FileResponse(tmp_path / "page.html")

    (tmp_path / "page.html").write_text("<p>" + "x" * 100_000)
    app = Starlette(
        routes=[Route("/stream/{kind}", stream), Route("/file", file)],
        middleware=[BATCH, Middleware(Timing)],
    )
    replies = replies_of(app, "/stream/async", "/stream/sync", "/file", {"path": "/file", "method": "HEAD"})
    assert [one.get("body", "")[:3] for one in replies] == ["012", "012", "<p>", ""]
    assert replies[3]["headers"]["content-length"] == "100003"
    assert "body" not in replies[3]


def test_an_endless_stream_is_stopped_and_tidied_up() -> None:
    ends: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                await asyncio.sleep(0)
                yield b"x" * 100
        finally:
            ends.append("tidy")

    async def stream(request: Request) -> Response:
        return StreamingResponse(endless())

    app = Starlette(routes=[Route("/", stream)])
    [one] = replies_of(BatchMiddleware(app, max_reply_size=1000), "/")
    assert one["status"] == 502
    [one] = run(overdue(Client(BatchMiddleware(app)), ["/"]))
    assert one["status"] == 504
    assert ends == ["tidy", "tidy"]


@pytest.mark.parametrize("around", [[], [Middleware(Timing)]])
def test_a_background_task_runs_after_the_reply(around: list[Middleware]) -> None:
    async def main() -> None:
        go = asyncio.Event()
        done: list[str] = []

        async def work() -> None:
            await go.wait()
            done.append("done")

        async def hello(request: Request) -> Response:
            return PlainTextResponse("hello", background=BackgroundTask(work))

        app = Starlette(routes=[Route("/", hello)], middleware=[BATCH, *around])
        [one] = await Client(app).batch(["/"])
        assert (one["body"], done) == ("hello", [])
        go.set()
        await asyncio.sleep(0.01)
        assert done == ["done"]

    run(main())


def test_an_error_is_answered_by_the_handlers_that_stand_inside(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(request: Request) -> Response:
        raise {"key": KeyError, "value": ValueError}[request.path_params["kind"]]

    async def on_key_error(request: Request, error: Exception) -> Response:
        return PlainTextResponse("no such key", 404)

    async def on_any_error(request: Request, error: Exception) -> Response:
        return PlainTextResponse("sorry", 500)

    def app(*middleware: Middleware) -> App:
        handlers = {KeyError: on_key_error, Exception: on_any_error}
        return Starlette(
            routes=[Route("/{kind}", fails)], exception_handlers=handlers, middleware=middleware
        )

    handled, unhandled = replies_of(BatchMiddleware(app()), "/key", "/value")
    assert (handled["status"], handled["body"]) == (404, "no such key")
    assert (unhandled["status"], unhandled["body"]) == (500, "sorry")
    assert [record.getMessage() for record in caplog.records] == ["GET /value: the app failed"]

    # All that is added stands inside of Starlette's handler of any error, which the batch then misses.
    handled, unhandled = replies_of(app(BATCH), "/key", "/value")
    assert handled["body"] == "no such key"
    assert unhandled["body"] == '{"error_msg":"internal error"}'


# --- lifespan


def test_items_have_the_state_of_the_lifespan() -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        events.append("up")
        yield {"db": "open"}
        events.append("down")

    async def db(request: Request) -> Response:
        before = request.state.db
        request.state.db = "changed"
        return PlainTextResponse(before)

    app = Starlette(routes=[Route("/db", db)], lifespan=lifespan, middleware=[BATCH])

    async def main() -> list[Any]:
        async with Lifespan(app) as state:
            return await Client(app, state=dict(state)).batch(["/db", "/db"])

    assert [one["body"] for one in run(main())] == ["open", "open"]
    assert events == ["up", "down"]
