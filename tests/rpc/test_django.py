"""An app as a view of Django, under ASGI and under WSGI."""

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]  # Django ships no types
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]
from django.test import RequestFactory, override_settings  # type: ignore[import-untyped]
from django.urls import path  # type: ignore[import-untyped]

from batchway.rpc import Context, RpcApp
from batchway.rpc.django import rpc_view
from tests.asgi import django_site as _settings  # noqa: F401 - configures Django

from .asking import call
from .exchange import Exchange, exchange

app = RpcApp(max_body_bytes=4_000_000)
later: list[str] = []
NDJSON = "application/x-ndjson"


@app.method
async def ping() -> str:
    """Answers."""
    return "pong"


@app.method
async def look(context: Context) -> list[Any]:
    """What it sees of its caller."""
    return [context.client, context.headers.get("x-a")]


@app.method
async def put_off(context: Context) -> str:
    """Does something after the response."""
    context.after(later.append, "done")
    return "soon"


urlpatterns = [path("rpc", rpc_view(app))]


@pytest.fixture(autouse=True)
def urls() -> Iterator[None]:
    later.clear()
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"]):
        yield


def post(said: Any, *headers: tuple[bytes, bytes], **scope: Any) -> Exchange:
    body = json.dumps(said).encode()
    length = (b"content-length", b"%d" % len(body))
    return exchange(
        get_asgi_application(), [body], path="/rpc", raw_path=b"/rpc", headers=[*headers, length], **scope
    )


def test_batch() -> None:
    found = post([call("ping", None, 1), call("none", None, 2)], (b"content-type", b"application/json"))
    assert found.status == 200
    first, second = json.loads(found.body)
    assert (first["result"], second["error"]["code"]) == ("pong", -32601)
    assert (
        found.headers[b"content-type" if b"content-type" in found.headers else b"Content-Type"]
        == b"application/json"
    )


def test_caller() -> None:
    found = post(call("look"), (b"x-a", b"b"), client=("192.0.2.1", 5))
    assert json.loads(found.body)["result"] == ["192.0.2.1", "b"]


def test_notification_and_page() -> None:
    assert (post(call("ping", None, ...)).status, post(call("ping", None, ...)).body) == (204, b"")
    page = exchange(
        get_asgi_application(),
        [b""],
        method="GET",
        path="/rpc",
        raw_path=b"/rpc",
        headers=[(b"accept", b"text/html")],
    )
    assert page.status == 200
    assert b"ping" in page.body


def test_answers_as_they_finish() -> None:
    found = post([call("ping", None, 1), call("ping", None, 2)], (b"accept", b"application/x-ndjson"))
    assert sorted(json.loads(line)["id"] for line in found.body.splitlines()) == [1, 2]


def test_work_that_was_put_off() -> None:
    assert json.loads(post(call("put_off")).body)["result"] == "soon"
    assert later == ["done"]


def under_wsgi(said: Any, **more: str) -> tuple[str, bytes]:
    body = json.dumps(said).encode()
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/rpc",
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "HTTP_HOST": "testserver",
        "REMOTE_ADDR": "192.0.2.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.url_scheme": "http",
        **more,
    }
    response = get_wsgi_application()(environ, lambda status, _headers: statuses.append(status))
    return statuses[0], b"".join(response)


def test_under_wsgi() -> None:
    status, body = under_wsgi([call("ping"), call("put_off")])
    assert status == "200 OK"
    assert [answer["result"] for answer in json.loads(body)] == ["pong", "soon"]
    assert later == ["done"]


@pytest.mark.parametrize("size", [3_000_000, 5_000_000])
def test_a_body_may_be_as_large_as_the_app_says(size: int) -> None:
    """Django would answer what is above its own limit of 2.5 MB with a page."""
    said = [call("ping"), {"more": "x" * size}]
    for status, body in ((post(said).status, post(said).body), under_wsgi(said)):
        if size > app.limits.max_body_bytes:
            assert str(status).startswith("413")
            assert json.loads(body)["error"]["code"] == -32053
        else:
            assert str(status).startswith("200")
            assert json.loads(body)[0]["result"] == "pong"


async def ask(request: Any) -> Any:
    return await rpc_view(app)(request)


def test_body_is_there_for_middleware_after_it() -> None:
    body = json.dumps(call("ping")).encode()
    request = RequestFactory().post("/rpc", body, content_type="application/json")
    response = asyncio.run(ask(request))
    assert json.loads(response.content)["result"] == "pong"
    assert request.body == body


def test_answers_in_lines_under_wsgi() -> None:
    """Their calls run in a loop that ends with the view, before the server reads the response."""
    status, body = under_wsgi([call("ping", None, number) for number in range(5)], HTTP_ACCEPT=NDJSON)
    assert status == "200 OK"
    assert sorted(json.loads(line)["id"] for line in body.splitlines()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("port", ["", "None", "0"])
def test_socket_without_a_port(port: str) -> None:
    """A Unix socket has none."""
    status, body = under_wsgi(call("ping"), SERVER_PORT=port)
    assert (status, json.loads(body)["result"]) == ("200 OK", "pong")


def test_unix_socket_under_asgi() -> None:
    found = post(call("ping"), (b"host", b"a.test"), server=("/run/site.sock", None))
    assert json.loads(found.body)["result"] == "pong"
