"""The scope that the app sees for an item."""

from typing import Any

import pytest

from batchway.asgi import BatchMiddleware
from batchway.wire import Receive, Scope, Send

from .client import Client, echo, reply, run


class Recorder:
    """An app that keeps the scopes it was called with."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await reply(send)


def scopes_of(
    items: list[Any], scope: dict[str, Any] | None = None, outer: Any = (), **options: Any
) -> list[Scope]:
    """The scopes that the items of a batch reach the app with."""
    app = Recorder()
    run(Client(BatchMiddleware(app, **options), **(scope or {})).batch(items, outer=outer))
    return app.scopes


def test_method_path_and_query_are_the_items_own() -> None:
    [scope] = scopes_of([{"method": "PUT", "path": "/a%20b/%C3%A9/ü", "query": {"q": "1 2"}}])
    assert scope["type"] == "http"
    assert scope["method"] == "PUT"
    assert scope["path"] == "/a b/é/ü"
    assert scope["raw_path"] == b"/a%20b/%C3%A9/%C3%BC"
    assert scope["query_string"] == b"q=1%202"


def test_the_rest_is_the_outer_requests() -> None:
    outer = {
        "client": ("203.0.113.9", 1234),
        "server": ("example.org", 443),
        "scheme": "https",
        "http_version": "2",
        "app": object(),
        "user": object(),
        "correlation_id": "abc",
    }
    [scope] = scopes_of(["/"], outer)
    assert {key: scope[key] for key in outer} == outer


def test_headers_are_merged_and_lower_case() -> None:
    item = {"path": "/", "headers": {"X-Own": "1", "X-Both": "item"}}
    [scope] = scopes_of([item], outer=[("Cookie", "a=b"), ("X-Both", "outer"), ("Content-Type", "x/y")])
    assert scope["headers"] == [
        (b"host", b"example.org"),
        (b"cookie", b"a=b"),
        (b"x-both", b"item"),
        (b"x-own", b"1"),
    ]


def test_a_body_has_its_own_length() -> None:
    item = {"path": "/", "method": "POST", "body": "é", "headers": {"Content-Length": "99"}}
    with_body, without = scopes_of([item, "/"])
    assert (b"content-length", b"2") in with_body["headers"]
    assert b"content-length" not in dict(without["headers"])


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "Forwarded"])
def test_an_item_cannot_say_who_the_client_is(name: str) -> None:
    [scope] = scopes_of(
        [{"path": "/", "headers": {name: "198.51.100.1"}}], outer=[("X-Forwarded-For", "192.0.2.7")]
    )
    assert scope["headers"][1:] == [(b"x-forwarded-for", b"192.0.2.7")]


@pytest.mark.parametrize("own", ["X-Remote-User", "x_remote_user"])
def test_protected_headers_are_the_outer_requests(own: str) -> None:
    item = {"path": "/", "headers": {own: "root", "X-Other": "1"}}
    options: Any = {"protected": ["X-Remote-User"]}
    [scope] = scopes_of([item], outer=[("X-Remote-User", "ada")], **options)
    assert scope["headers"][1:] == [(b"x-other", b"1"), (b"x-remote-user", b"ada")]
    [scope] = scopes_of([item], **options)
    assert scope["headers"][1:] == [(b"x-other", b"1")]


def test_an_item_cannot_drop_a_protected_header() -> None:
    item = {"path": "/", "headers": {"X-Anonymous": None}}
    [scope] = scopes_of([item], outer=[("X-Anonymous", "yes")], protected=("x-anonymous",))
    assert (b"x-anonymous", b"yes") in scope["headers"]


def test_each_item_has_a_state_of_its_own() -> None:
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["state"]))
        scope["state"]["own"] = scope["path"]
        scope["state"]["pool"].append(scope["path"])
        scope["headers"].append((b"x", b"y"))
        await reply(send)

    state = {"pool": list[str]()}
    run(Client(BatchMiddleware(app), state=state).batch(["/a", "/b"]))
    assert seen == [{"pool": ["/a", "/b"]}] * 2
    assert state == {"pool": ["/a", "/b"]}


def test_what_only_the_servers_send_can_do_is_not_offered() -> None:
    extensions = {"http.response.push": {}, "http.response.pathsend": {}, "tls": {"server_cert": "x"}}
    [scope] = scopes_of(["/"], {"extensions": extensions})
    assert scope["extensions"] == {"tls": {"server_cert": "x"}}
    assert extensions.keys() > {"tls"}


def test_notes_of_frameworks_on_the_outer_request_stay_behind() -> None:
    notes = {"fastapi_inner_astack": 1, "starlette.exception_handlers": 2, "fastapi.telemetry": 3}
    [scope] = scopes_of(["/"], notes)
    assert not notes.keys() & scope.keys()


def test_an_item_is_a_request_for_send_and_receive_of_asgi_2_4() -> None:
    [scope] = scopes_of(["/"])
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}


def test_a_server_may_leave_out_what_is_optional() -> None:
    app = Recorder()
    client = Client(BatchMiddleware(app), client=None, server=None, extensions=None)
    optional = ("raw_path", "query_string", "root_path", "scheme", "state")

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        for name in optional:
            del scope[name]
        await BatchMiddleware(app)(scope, receive, send)

    client.app = bare
    run(client.batch(["/a"]))
    assert app.scopes[0]["path"] == "/a"
    assert app.scopes[0]["client"] is None


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_methods_that_mean_a_connection_are_refused(method: str) -> None:
    replies = run(Client(BatchMiddleware(echo)).batch([{"path": "/", "method": method}, "/"]))
    assert [one["status"] for one in replies] == [405, 200]
