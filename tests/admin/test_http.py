"""What any request meets, whatever its kind: paths, methods, bodies, errors."""

import asyncio
from asyncio import Runner
from typing import Any

import pytest
import structlog

from batchway.admin.app import AdminApp
from batchway.admin.call import MAX_BODY_BYTES
from batchway.store.sqlite import SqliteStore

from .client import Client

ROUTE = {"uri": "/a", "plugins": {}}


# --- paths and methods


@pytest.mark.parametrize("path", ["/routes", "/routes/", "/routes/1", "/routes/1/"])
def test_a_trailing_slash_makes_no_difference(call: Client, path: str) -> None:
    call("PUT", "/routes/1", ROUTE)
    assert call("GET", path).status == 200


@pytest.mark.parametrize("name", ["credentials", "route", "Routes", "x%00", ""])
def test_an_unknown_kind_is_named(call: Client, name: str) -> None:
    answer = call("GET", f"/{name}")

    assert answer.status == 404
    assert answer.json()["error_msg"].startswith("Unsupported resource type: ")


@pytest.mark.parametrize("target", ["/", "/apisix", "/apisix/routes", "/routes", "/healthz/x"])
def test_nothing_is_outside_the_admin_prefix(call: Client, target: str) -> None:
    assert call.raw("GET", target).status == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("OPTIONS", "/routes", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("OPTIONS", "/consumers/jack", "GET, HEAD, PUT, DELETE"),
        ("TRACE", "/consumers/jack/credentials/1", "GET, HEAD, PUT, DELETE"),
        ("GET", "/consumers/jack/plugins", ""),
        ("TRACE", "/routes/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET", "/routes/1/uri", "PATCH"),
        ("PUT", "/routes/1/uri", "PATCH"),
    ],
)
def test_a_method_without_meaning_says_what_is_allowed(
    call: Client, method: str, path: str, allow: str
) -> None:
    answer = call(method, path, ROUTE)

    assert answer.status == 405
    assert answer.headers["allow"] == allow
    assert "method not allowed" in answer.json()["error_msg"]


@pytest.mark.parametrize(
    ("method", "path", "singular", "allow"),
    [
        ("POST", "/plugin_configs", "plugin config", "GET, HEAD, PUT, PATCH, DELETE"),
        ("POST", "/consumer_groups/1", "consumer group", "GET, HEAD, PUT, PATCH, DELETE"),
        ("POST", "/global_rules", "global rule", "GET, HEAD, PUT, PATCH, DELETE"),
        ("POST", "/plugin_metadata", "plugin metadata", "GET, HEAD, PUT, PATCH, DELETE"),
        ("POST", "/consumers", "consumer", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/consumers/jack", "consumer", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/consumers/jack/plugins/key", "consumer", ""),
        ("POST", "/consumers/jack/credentials", "credential", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/consumers/jack/credentials/1", "credential", "GET, HEAD, PUT, DELETE"),
    ],
)
def test_a_method_that_a_kind_has_not_is_refused_by_name(
    call: Client, method: str, path: str, singular: str, allow: str
) -> None:
    answer = call(method, path, {"plugins": {}})

    assert answer.status == 405
    assert answer.json() == {"error_msg": f"not supported `{method}` method for {singular}"}
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize("kind", ["routes", "services", "upstreams"])
def test_post_takes_no_id(call: Client, kind: str) -> None:
    answer = call("POST", f"/{kind}/1", {"plugins": {}})
    expected = {"error_msg": f"wrong {kind[:-1]} id, do not need it"}
    assert (answer.status, answer.json()) == (400, expected)


@pytest.mark.parametrize("name", ["protos", "ssls", "stream_routes", "secrets"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_what_only_apisix_has_is_refused_by_name(call: Client, name: str, method: str) -> None:
    for path in (f"/{name}", f"/{name}/1", f"/{name}/vault/1"):
        answer = call(method, path, {})
        assert answer.status == 404
        assert answer.json()["error_msg"].startswith(f"{name} are not supported by batchway: ")


def test_head_of_the_api_itself_asks_for_no_key(call: Client) -> None:
    call.key = None
    assert call("HEAD", "").status == 200
    call.address = ("203.0.113.9", 1)
    assert call("HEAD", "").status == 403


def test_refusals_tell_the_api_version_too(call: Client) -> None:
    assert call("PUT", "/routes/1", {}).headers["x-api-version"] == "v3"
    assert call("GET", "/routes/1").headers["x-api-version"] == "v3"


def test_health_is_only_read(call: Client) -> None:
    assert call.raw("POST", "/healthz").status == 405


@pytest.mark.parametrize("path", ["/routes", "/routes/1", "/routes/2", "/nothing"])
def test_head_is_get_without_the_body(call: Client, path: str) -> None:
    call("PUT", "/routes/1", ROUTE)
    head, get = call("HEAD", path), call("GET", path)

    assert head.body == b""
    assert (head.status, head.headers) == (get.status, get.headers)
    assert head.headers["content-length"] == str(len(get.body))


def test_answers_are_json_and_tell_the_api_version(call: Client) -> None:
    headers = call("GET", "/routes").headers

    assert headers["content-type"] == "application/json"
    assert headers["x-api-version"] == "v3"


@pytest.mark.parametrize("id_", ["*invalid", "a%20b", "a%2Fb", "ä", "x" * 65, "a%00"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_bad_id_is_refused(call: Client, method: str, id_: str) -> None:
    answer = call(method, f"/routes/{id_}", ROUTE)

    assert answer.status == 400
    assert answer.json()["error_msg"].startswith("invalid route id: expected 1 to 64 of ")


@pytest.mark.parametrize("id_", ["1", "a-b-c-ABC_0123", "a.b", "x" * 64, "..."])
def test_a_good_id_is_taken(call: Client, id_: str) -> None:
    assert call("PUT", f"/routes/{id_}", ROUTE).json()["key"] == f"/apisix/routes/{id_}"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_write_needs_an_id(call: Client, method: str) -> None:
    answer = call(method, "/routes", ROUTE)
    assert (answer.status, answer.json()) == (400, {"error_msg": "missing route id"})

    answer = call(method, "/plugin_metadata", {})
    assert (answer.status, answer.json()) == (400, {"error_msg": "missing plugin name"})


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/routes/1?page=1"),
        ("GET", "/routes/1?name=x"),
        ("GET", "/routes?force=true"),
        ("PUT", "/routes/1?force=true"),
        ("DELETE", "/routes/1?ttl=60"),
        ("GET", "/routes?x"),
    ],
)
def test_an_argument_that_would_be_ignored_is_refused(call: Client, method: str, target: str) -> None:
    answer = call(method, target, ROUTE)

    assert answer.status == 400
    assert "is not supported by batchway" in answer.json()["error_msg"]


# --- bodies


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_a_missing_body_is_refused(call: Client, body: bytes) -> None:
    call("PUT", "/routes/1", ROUTE)

    for method, target, message in [
        ("PUT", "/routes/1", "missing configurations"),
        ("POST", "/routes", "missing configurations"),
        ("PATCH", "/routes/1", "missing new configuration"),
        ("PATCH", "/routes/1/uri", "missing new configuration"),
    ]:
        answer = call.raw(method, f"/apisix/admin{target}", [body])
        assert (answer.status, answer.json()) == (400, {"error_msg": message})


def test_a_whole_float_is_an_integer(call: Client) -> None:
    """As in APISIX, whose Lua has one type for all numbers: Java's Gson says 1.0 for 1."""
    body = b'{"uri": "/a", "plugins": {}, "priority": 2.0, "id": 1.0}'
    answer = call.raw("PUT", "/apisix/admin/routes", [body])

    assert answer.status == 201
    assert b'"priority":2,' in answer.body
    assert answer.json()["key"] == "/apisix/routes/1"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'uri': '/a'}",
        b'{"uri": "/a",}',
        b"uri: /a",
        b"\xff",
        b'{"uri": "/\xff"}',
        b"{} {}",
        b'{"n": 1e999}',
        b'{"n": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b"[" * 100 + b"]" * 100,
    ],
)
def test_a_body_that_is_no_json_is_refused(call: Client, body: bytes) -> None:
    answer = call.raw("PUT", "/apisix/admin/routes/1", [body])

    assert answer.status == 400
    assert answer.json()["error_msg"].startswith("invalid request body: ")
    assert len(answer.json()["error_msg"]) < 200


@pytest.mark.parametrize("document", [None, 1, "text", [], [ROUTE], True])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/routes/1"),
        ("PUT", "/routes"),
        ("POST", "/routes"),
        ("PATCH", "/routes/1"),
        ("PUT", "/plugin_metadata/known"),
    ],
)
def test_a_body_that_is_no_object_is_refused(
    call: Client, method: str, path: str, document: object
) -> None:
    call("PUT", "/routes/1", ROUTE)
    answer = call(method, path, document)

    assert answer.status == 400
    assert answer.json()["error_msg"].endswith(": expected object")


def test_a_body_may_come_in_pieces(call: Client) -> None:
    pieces = [bytes([byte]) for byte in b'{"uri":"/a","plugins":{}}']
    answer = call.raw("PUT", "/apisix/admin/routes/1", pieces)

    assert answer.status == 201


def padded(size: int) -> bytes:
    body = b'{"uri":"/a","plugins":{}}'
    return body + b" " * (size - len(body))


def test_a_body_may_be_as_large_as_the_limit(call: Client) -> None:
    assert call.raw("PUT", "/apisix/admin/routes/1", [padded(MAX_BODY_BYTES)]).status == 201


def test_a_body_over_the_limit_is_refused(call: Client) -> None:
    answer = call.raw("PUT", "/apisix/admin/routes/1", [padded(MAX_BODY_BYTES + 1)])

    assert answer.status == 413
    expected = "request size 1572865 is greater than the maximum size 1572864 allowed"
    assert answer.json() == {"error_msg": f"invalid request body: {expected}"}


def test_an_endless_body_is_refused_once_it_is_over_the_limit(call: Client) -> None:
    piece = b" " * 65536
    answer = call.raw("PUT", "/apisix/admin/routes/1", [piece] * 25, stays=False)

    assert answer.status == 413


def test_an_announced_body_over_the_limit_is_not_even_read(call: Client) -> None:
    headers = [("content-length", "1572865")]
    answer = call.raw("PUT", "/apisix/admin/routes/1", [], headers, stays=False)

    assert answer.status == 413


def test_a_client_that_leaves_half_way_has_written_nothing(call: Client, runner: Runner) -> None:
    body = [b'{"uri":"/a","plugins":{}}']
    answer = runner.run(call.send("PUT", "/apisix/admin/routes/1", body, stays=False))

    assert answer is None
    assert call("GET", "/routes/1").status == 404


# --- errors


def test_a_store_that_does_not_answer_is_503(call: Client, store: SqliteStore, runner: Runner) -> None:
    runner.run(store.close())
    answer = call("GET", "/routes")

    assert (answer.status, answer.json()) == (503, {"error_msg": "the store is closed"})


def test_what_is_no_json_in_the_store_is_503(call: Client, store: SqliteStore, runner: Runner) -> None:
    runner.run(store.put("/routes/1", b"[]"))

    assert call("PATCH", "/routes/1", {"desc": "x"}).status == 503


def test_a_fault_of_ours_is_told_to_the_log_only(
    call: Client, app: AdminApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        message = "secret detail"
        raise RuntimeError(message)

    monkeypatch.setattr(app._resources, "get", broken)
    with structlog.testing.capture_logs() as logs:
        answer = call("GET", "/routes/1?api_key=admin-key")

    assert (answer.status, answer.json()) == (500, {"error_msg": "internal error"})
    assert [(log["event"], log["exc_info"]) for log in logs] == [("admin request failed", True)]
    assert "admin-key" not in str(logs)


# --- other scopes


def converse(app: AdminApp, runner: Runner, scope: str, *incoming: str) -> list[Any]:
    messages = [{"type": kind} for kind in incoming]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    runner.run(asyncio.wait_for(app({"type": scope}, receive, send), 10))
    return sent


def test_the_lifespan_completes(app: AdminApp, runner: Runner) -> None:
    sent = converse(app, runner, "lifespan", "lifespan.startup", "lifespan.shutdown")

    expected = ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [message["type"] for message in sent] == expected


def test_a_websocket_is_closed(app: AdminApp, runner: Runner) -> None:
    sent = converse(app, runner, "websocket", "websocket.connect")

    assert [message["type"] for message in sent] == ["websocket.close"]
