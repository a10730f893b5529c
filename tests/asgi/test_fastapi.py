"""A batch inside a FastAPI app: endpoints of both kinds, dependencies, handlers, context variables."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.middleware.base import RequestResponseEndpoint

from batchway.asgi import BatchMiddleware
from batchway.wire import App, Message

from .client import Client, Lifespan, http_scope, overdue, run

user: ContextVar[str] = ContextVar("user", default="nobody")


def replies_of(app: App, *items: Any, **batch: Any) -> list[Any]:
    return run(Client(app).batch(items, **batch))


def bodies(replies: list[Any]) -> list[Any]:
    return [json.loads(one["body"]) for one in replies]


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(BatchMiddleware, path="/batch")
    return app


def test_async_and_def_endpoints_answer(app: FastAPI) -> None:
    @app.get("/async/{number}")
    async def waits(number: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"number": number}

    @app.get("/def/{number}")
    def blocks(number: int, factor: int = 1) -> dict[str, int]:
        time.sleep(0.001)
        return {"number": number * factor}

    replies = replies_of(app, "/async/1", "/def/2", {"path": "/def/3", "query": {"factor": 2}})
    assert bodies(replies) == [{"number": 1}, {"number": 2}, {"number": 6}]
    assert replies[0]["headers"] == {"content-length": "12", "content-type": "application/json"}


class Order(BaseModel):
    """The body of a POST."""

    item: str
    count: int


def test_a_body_that_does_not_validate_is_a_422_for_its_item(app: FastAPI) -> None:
    @app.post("/orders", status_code=201)
    async def create(order: Order) -> Order:
        return order

    def post(document: object) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        return {"path": "/orders", "method": "POST", "headers": headers, "body": json.dumps(document)}

    good, bad = replies_of(app, post({"item": "tea", "count": 2}), post({"item": "tea", "count": "x"}))
    assert (good["status"], good["reason"], json.loads(good["body"])["count"]) == (201, "Created", 2)
    assert bad["status"] == 422
    assert json.loads(bad["body"])["detail"][0]["loc"] == ["body", "count"]


def test_handlers_of_exceptions_answer(app: FastAPI) -> None:
    @app.exception_handler(KeyError)
    async def on_key_error(request: Request, error: KeyError) -> Response:
        return JSONResponse({"path": request.url.path}, 410)

    @app.get("/key")
    async def key() -> None:
        raise KeyError

    @app.get("/http")
    async def http() -> None:
        raise HTTPException(418, headers={"x-tea": "yes"})

    key_reply, http_reply = replies_of(app, "/key", "/http")
    assert (key_reply["status"], json.loads(key_reply["body"])) == (410, {"path": "/key"})
    assert (http_reply["status"], http_reply["headers"]["x-tea"]) == (418, "yes")


def test_each_item_has_its_own_dependencies_and_they_end(app: FastAPI) -> None:
    events: list[str] = []

    async def session(x_name: Annotated[str, Header()] = "") -> AsyncIterator[str]:
        events.append(f"open {x_name}")
        yield x_name
        events.append(f"close {x_name}")

    def connection() -> Iterator[str]:
        yield "sync"
        events.append("close sync")

    @app.get("/name")
    async def name(
        own: Annotated[str, Depends(session)], other: Annotated[str, Depends(connection)]
    ) -> str:
        return own + other

    async def main() -> list[Any]:
        items = [{"path": "/name", "headers": {"X-Name": name}} for name in "ab"]
        replies = await Client(app).batch(items)
        await asyncio.sleep(0.05)
        return replies

    assert bodies(run(main())) == ["async", "bsync"]
    assert sorted(events) == ["close a", "close b", "close sync", "close sync", "open a", "open b"]


def test_a_dependency_ends_when_its_item_is_cancelled(app: FastAPI) -> None:
    events: list[str] = []

    async def session() -> AsyncIterator[None]:
        try:
            yield
        finally:
            events.append("closed")

    @app.get("/slow", dependencies=[Depends(session)])
    async def slow() -> None:
        await asyncio.sleep(10_000)

    late = run(overdue(Client(app), ["/slow"]))
    assert late == [{"status": 504, "reason": "upstream timeout"}]
    assert events == ["closed"]


def test_a_def_endpoint_that_hangs_is_a_504_in_time(app: FastAPI) -> None:
    release = threading.Event()

    @app.get("/stuck")
    def stuck() -> None:
        release.wait(30)

    answered = asyncio.Event()

    @app.get("/ok")
    async def ok() -> str:
        answered.set()
        return "ok"

    async def main() -> list[Any]:
        try:
            return await overdue(Client(app), ["/stuck", "/ok"], answered.is_set)
        finally:
            release.set()

    started = time.monotonic()
    assert [one["status"] for one in run(main())] == [504, 200]
    assert time.monotonic() - started < 20, "it did not wait for the thread"


@pytest.mark.parametrize("kind", ["async", "def"])
def test_a_context_variable_of_a_middleware_reaches_the_endpoint(kind: str) -> None:
    app = FastAPI()

    @app.middleware("http")
    async def inside(request: Request, call_next: RequestResponseEndpoint) -> Response:
        user.set(user.get() + ">" + request.url.path)
        return await call_next(request)

    app.add_middleware(BatchMiddleware, path="/batch")

    @app.middleware("http")
    async def outside(request: Request, call_next: RequestResponseEndpoint) -> Response:
        user.set("ada")
        response = await call_next(request)
        assert user.get() == "ada"
        return response

    @app.get("/async/{n}")
    async def waits(n: int) -> str:
        return user.get()

    @app.get("/def/{n}")
    def blocks(n: int) -> str:
        return user.get()

    assert bodies(replies_of(app, f"/{kind}/1", f"/{kind}/2")) == [f"ada>/{kind}/1", f"ada>/{kind}/2"]


def test_background_tasks_run_and_the_shutdown_waits_for_them() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        yield {"db": "open"}
        events.append("db closed")

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(BatchMiddleware, path="/batch")

    async def work(name: str) -> None:
        await asyncio.sleep(0.02)
        events.append(name)

    @app.get("/{name}")
    async def start(name: str, request: Request, tasks: BackgroundTasks) -> str:
        tasks.add_task(work, name)
        db: str = request.state.db
        return db

    async def main() -> list[Any]:
        async with Lifespan(app) as state:
            replies = await Client(app, state=dict(state)).batch(["/a", "/b"])
            assert events == []
            return replies

    assert bodies(run(main())) == ["open", "open"]
    assert events == ["a", "b", "db closed"]


def test_one_item_that_fails_is_only_itself(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/fails")
    async def fails() -> None:
        message = "secret"
        raise RuntimeError(message)

    @app.get("/ok")
    async def ok() -> str:
        return "ok"

    bad, good = replies_of(app, "/fails", "/ok")
    assert (bad["status"], bad["body"]) == (500, '{"error_msg":"internal error"}')
    assert good["status"] == 200
    assert "secret" in caplog.text


def test_root_path_of_the_server_is_understood(app: FastAPI) -> None:
    @app.get("/a")
    async def a(request: Request) -> str:
        return str(request.url_for("a"))

    client = Client(app, root_path="/api")
    link = "http://example.org/api/a"
    assert bodies(run(client.batch(["/api/a"], path="/api/batch"))) == [link]


def test_a_mounted_app_has_a_batch_of_its_own() -> None:
    outer, inner = FastAPI(), FastAPI()
    inner.add_middleware(BatchMiddleware, path="/batch")
    outer.mount("/v1", inner)

    @inner.get("/a")
    @outer.get("/a")
    async def a(request: Request) -> str:
        return request.url.path

    inside, beyond = replies_of(outer, "/v1/a", "/a", path="/v1/batch")
    assert (json.loads(inside["body"]), beyond["status"]) == ("/v1/a", 404)


def test_websockets_go_to_the_app(app: FastAPI) -> None:
    @app.websocket("/batch")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    async def main() -> list[Message]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {**http_scope("GET", "/batch"), "type": "websocket", "scheme": "ws", "subprotocols": []}
        await app(scope, receive, send)
        return sent

    assert [message["type"] for message in run(main())] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
