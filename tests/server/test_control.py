"""The control API: paths, statuses and shapes, without a socket."""

import asyncio
import json
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from batchway.errors import ConfigError
from batchway.plugins import Registry
from batchway.server.control import ControlApp
from batchway.store.base import Entry
from batchway.upstream import UpstreamHealth
from batchway.upstream.health import NodeHealth
from batchway.upstream.target import Counter

NODES = (
    NodeHealth("a.test", "10.0.0.1", 80, "healthy", Counter()),
    NodeHealth("b.test", "::1", 8080, "mostly_unhealthy", Counter(success=1, tcp_failure=2)),
)
FOUND = [
    UpstreamHealth("upstreams", "1", "http", NODES),
    UpstreamHealth("routes", "<r>", "tcp", ()),
]


class Served:
    """A gateway and what it serves."""

    def __init__(
        self, *entries: Entry, health: Callable[[], Iterable[UpstreamHealth]] = lambda: FOUND
    ) -> None:
        self.registry = Registry()
        self.health = health
        self.entries = entries

    def app(self, reload: Callable[[], Awaitable[None]] | None = None) -> ControlApp:
        app = ControlApp(self, lambda: self.entries)
        if reload is not None:
            app.reload = reload
        return app


def entry(key: str, document: object, revision: int = 1) -> Entry:
    return Entry(key, json.dumps(document).encode(), revision, revision + 10)


def ask(
    app: ControlApp, path: str, method: str = "GET", server: str = "", **headers: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer. `server` is the address that was asked."""
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": given}
    if server:
        scope["server"] = (server, 9090)
    asyncio.run(app(scope, receive, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def get(
    path: str,
    accept: str = "*/*",
    method: str = "GET",
    health: Callable[[], Iterable[UpstreamHealth]] = lambda: FOUND,
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer."""
    return ask(Served(health=health).app(), path, method, accept=accept)


def told(*entries: Entry, path: str) -> Any:
    """The JSON that a gateway that serves these answers."""
    status, headers, body = ask(Served(*entries).app(), path)
    assert (status, headers[b"Content-Type"]) == (200, b"application/json")
    return json.loads(body)


def test_all() -> None:
    status, headers, body = get("/v1/healthcheck")
    assert (status, headers[b"Content-Type"]) == (200, b"application/json")
    assert json.loads(body) == [
        {
            "name": "/apisix/upstreams/1",
            "type": "http",
            "nodes": [
                {
                    "hostname": "a.test",
                    "ip": "10.0.0.1",
                    "port": 80,
                    "status": "healthy",
                    "counter": {"success": 0, "http_failure": 0, "tcp_failure": 0, "timeout_failure": 0},
                },
                {
                    "hostname": "b.test",
                    "ip": "::1",
                    "port": 8080,
                    "status": "mostly_unhealthy",
                    "counter": {"success": 1, "http_failure": 0, "tcp_failure": 2, "timeout_failure": 0},
                },
            ],
        },
        {"name": "/apisix/routes/<r>", "type": "tcp", "nodes": []},
    ]


def test_one() -> None:
    status, _, body = get("/v1/healthcheck/upstreams/1")
    assert status == 200
    assert json.loads(body) == json.loads(get("/v1/healthcheck")[2])[0]


def test_page() -> None:
    for path in ("/v1/healthcheck", "/v1/healthcheck/upstreams/1"):
        status, headers, body = get(path, "text/html,application/xhtml+xml")
        assert (status, headers[b"Content-Type"]) == (200, b"text/html; charset=utf-8")
        page = body.decode()
        assert "<td>10.0.0.1:80</td><td>healthy</td>" in page
        assert page.count("bgcolor=#FF0000") == 1


def test_page_escapes_names() -> None:
    odd = UpstreamHealth("routes", "<script>", "http", NODES)
    page = get("/v1/healthcheck", "text/html", health=lambda: [odd])[2]
    assert b"<script>" not in page
    assert b"&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/healthcheck/upstreams/2", 404, "upstreams[2] not found"),
        ("/v1/healthcheck/upstreams", 404, "missing src id for src type upstreams"),
        ("/v1/healthcheck/consumers/1", 400, "invalid src type consumers"),
        ("/v1/healthcheck/upstreams/1/2", 404, "404 Not Found"),
        ("/v1/other", 404, "404 Not Found"),
        ("/", 404, "404 Not Found"),
        ("/v1/route/1", 404, "route[1] not found"),
        ("/v1/route/\u00fc \0", 404, "route[\u00fc \0] not found"),
        ("/v1/service/1", 404, "service[1] not found"),
        ("/v1/upstream/1", 404, "upstream[1] not found"),
        ("/v1/plugin_metadata/1", 404, "plugin metadata[1] not found"),
        ("/v1/route", 404, "404 Not Found"),
        ("/v1/routes/1", 404, "404 Not Found"),
        ("/v1/consumers", 404, "404 Not Found"),
        ("/v1/discovery/dns/dump", 404, "404 Not Found"),
    ],
)
def test_refusals(path: str, status: int, message: str) -> None:
    found, _, body = get(path)
    assert (found, json.loads(body)) == (status, {"error_msg": message})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize(
    "path", ["schema", "healthcheck", "routes", "route/1", "plugin_metadatas", "plugin_metadata/cors"]
)
def test_nothing_can_be_changed(method: str, path: str) -> None:
    status, headers, _ = get(f"/v1/{path}", method=method)
    assert (status, headers[b"Allow"]) == (405, b"GET")


@pytest.mark.parametrize(("path", "allowed"), [("gc", b"POST"), ("plugins/reload", b"PUT")])
@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_reading_does_nothing(method: str, path: str, allowed: bytes) -> None:
    status, headers, _ = get(f"/v1/{path}", method=method)
    assert (status, headers[b"Allow"]) == (405, allowed)


def test_fault_is_told_without_details() -> None:
    def health() -> Iterable[UpstreamHealth]:
        message = "secret"
        raise RuntimeError(message)

    status, _, body = get("/v1/healthcheck", health=health)
    assert status == 500
    assert b"secret" not in body


# --- what is served

NODES_OF_IT = {"nodes": {"127.0.0.1:1980": 1}}
ROUTE = entry("/routes/1", {"uri": "/hello", "id": "1", "status": 1, "upstream": NODES_OF_IT}, 4)
SHOWN = {
    "key": "/apisix/routes/1",
    "value": {
        "uri": "/hello",
        "id": "1",
        "status": 1,
        "upstream": {"nodes": [{"host": "127.0.0.1", "port": 1980, "weight": 1}]},
    },
    "createdIndex": 4,
    "modifiedIndex": 14,
    "has_domain": False,
    "clean_handlers": {},
}


def test_routes_are_told_as_apisix_does() -> None:
    assert told(ROUTE, path="/v1/route/1") == SHOWN
    younger = entry("/routes/0", {"uri": "/", "plugins": {}}, 9)
    found = told(younger, ROUTE, entry("/services/1", {}), path="/v1/routes")
    assert [one["key"] for one in found] == ["/apisix/routes/1", "/apisix/routes/0"], "the oldest first"
    assert told(path="/v1/routes") == []


@pytest.mark.parametrize("kind", ["service", "upstream"])
def test_services_and_upstreams_are_told(kind: str) -> None:
    named = {"nodes": [{"host": "a.test", "port": 80, "weight": 2}]}
    one = entry(f"/{kind}s/1", named if kind == "upstream" else {"upstream": named})
    found = told(one, path=f"/v1/{kind}/1")
    assert (found["key"], found["has_domain"]) == (f"/apisix/{kind}s/1", True)
    assert json.dumps(named) in json.dumps(found["value"])
    assert told(one, path=f"/v1/{kind}s") == [found]


def test_many_are_told_whole() -> None:
    entries = [entry(f"/routes/{number}", {"uri": "/"}, number) for number in range(1000)]
    found = told(*entries, path="/v1/routes")
    assert [one["createdIndex"] for one in found] == list(range(1000))


def test_node_without_checks_is_another_thing_than_no_upstream() -> None:
    _, _, body = ask(Served(entry("/upstreams/9", NODES_OF_IT)).app(), "/v1/healthcheck/upstreams/9")
    assert json.loads(body) == {"error_msg": "no checker for upstreams[9]"}


def test_metadata_of_plugins_that_are_on_is_told() -> None:
    ours = entry("/plugin_metadata/batch-requests", {"max_body_size": 10})
    off = entry("/plugin_metadata/elsewhere", {"a": 1})
    shown = {"id": "batch-requests", "max_body_size": 10}
    assert told(ours, off, path="/v1/plugin_metadatas") == [shown]
    assert told(ours, path="/v1/plugin_metadata/batch-requests") == shown


def test_schemas_are_those_of_the_plugins_that_are_on() -> None:
    served = Served()
    app = served.app()
    found = json.loads(ask(app, "/v1/schema")[2])
    assert found.keys() == {"main", "plugins", "stream_plugins"}
    assert {"route", "service", "upstream", "consumer", "plugin_config"} <= found["main"].keys()
    assert "uri" in found["main"]["route"]["properties"]
    key_auth = found["plugins"]["key-auth"]
    assert (key_auth["priority"], key_auth["type"]) == (2500, "auth")
    assert {"schema", "consumer_schema", "metadata_schema", "version"} <= key_auth.keys()
    served.registry = Registry(["cors"])
    assert json.loads(ask(app, "/v1/schema")[2])["plugins"].keys() == {"cors"}


# --- secrets

SECRET = "do-not-tell"


@pytest.mark.parametrize(
    "document",
    [
        {"upstream": {**NODES_OF_IT, "tls": {"client_cert": "c", "client_key": SECRET}}},
        {"plugins": {"proxy-rewrite": {"headers": {"set": {"Authorization": f"Bearer {SECRET}"}}}}},
        {"plugins": {"proxy-rewrite": {"headers": {"X-Api-Key": SECRET}}}},
        {"plugins": {"proxy-rewrite": {"headers": {"add": {"X-Auth-Key": SECRET}}}}},
        {"plugins": {"response-rewrite": {"headers": {"add": [f"Set-Cookie: a={SECRET}"]}}}},
        {"plugins": {"proxy-rewrite": {"uri": f"/a?apikey={SECRET}&b=1"}}},
        {"plugins": {"proxy-rewrite": {"headers": {"set": {"X-Auth": SECRET, "x-jwt": SECRET}}}}},
        {"plugins": {"proxy-rewrite": {"uri": f"/a?auth={SECRET}&pwd={SECRET}"}}},
        {"plugins": {"redirect": {"uri": f"https://user:{SECRET}@a.test/"}}},
        {"plugins": {"redirect": {"uri": f"https://user:p@{SECRET}@a.test/"}}},
        {
            "plugins": {
                "elsewhere": {"redis_password": SECRET, "keys": {"secrets": [SECRET, {"a": SECRET}]}}
            }
        },
        {"plugins": {"traffic": {"rules": [{"vars": [["arg_token", "!", "==", SECRET]]}]}}},
        {"plugins": {"cors": {"_meta": {"filter": ["OR", [["cookie_token", "in", [SECRET]]]]}}}},
        {"vars": [["uri", "==", "/"], ["http_x_api_key", SECRET]]},
        {"upstream": {**NODES_OF_IT, "checks": {"active": {"req_headers": [f"authorization:{SECRET}"]}}}},
    ],
)
def test_no_secret_is_shown(document: dict[str, Any]) -> None:
    for path in ("/v1/routes", "/v1/route/1"):
        assert SECRET not in json.dumps(told(entry("/routes/1", {"uri": "/", **document}), path=path))


def test_what_is_encrypted_is_not_shown_either() -> None:
    tls = {"client_cert": "c", "client_key": "encrypted:abc"}
    found = told(entry("/upstreams/1", {**NODES_OF_IT, "tls": tls}), path="/v1/upstream/1")
    assert found["value"]["tls"] == {"client_cert": "c", "client_key": "***"}


def test_no_secret_of_metadata_is_shown() -> None:
    found = told(
        entry("/plugin_metadata/cors", {"token": SECRET, "allow": {"a": "https://a.test"}}),
        path="/v1/plugin_metadatas",
    )
    assert found == [{"id": "cors", "token": "***", "allow": {"a": "https://a.test"}}]


def test_what_is_no_secret_is_shown() -> None:
    document = {
        "uri": "/a?b=c",
        "vars": [["http_x_user", "==", "jack"], ["arg_a", "in", ["x", "y"]]],
        "plugins": {
            "key-auth": {"hide_credentials": True, "header": "x-token"},
            "csrf-token": {"name": "it"},
            "limit-count": {"count": 5, "time_window": 60, "key": "remote_addr", "key_type": "var"},
            "cors": {"allow_headers": "Authorization,X-Token", "allow_credential": False},
            "proxy-rewrite": {"headers": {"remove": ["Authorization", "X-Token"], "set": {"X-A": "at: 5"}}},
            "redirect": {"uri": "https://a.test/@b?author=c"},
        },
    }
    assert told(entry("/routes/1", document), path="/v1/route/1")["value"] == document


def test_consumers_are_told_nowhere() -> None:
    jack = entry("/consumers/jack", {"username": "jack", "plugins": {"key-auth": {"key": SECRET}}})
    app = Served(jack).app()
    for path in (
        "consumers",
        "consumer/jack",
        "routes",
        "services",
        "upstreams",
        "plugin_metadatas",
        "schema",
    ):
        assert SECRET.encode() not in ask(app, f"/v1/{path}")[2]


# --- who asks


@pytest.mark.parametrize(
    ("server", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:9090", 200),
        ("127.0.0.1", "localhost:9090", 200),
        ("127.0.0.1", "LOCALHOST", 200),
        ("::1", "[::1]:9090", 200),
        ("127.0.0.1", "evil.test:9090", 403),  # a name of somebody else's that leads here
        ("::1", "evil.test", 403),
        ("127.0.0.1", "localhost.evil.test", 403),
        ("127.0.0.1", "", 403),
        ("10.0.0.5", "gateway.internal:9090", 200),
    ],
)
def test_a_name_that_leads_to_loopback_is_not_answered(server: str, host: str, status: int) -> None:
    assert ask(Served().app(), "/v1/routes", server=server, host=host)[0] == status


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/gc"), ("PUT", "/v1/plugins/reload")])
def test_no_page_can_have_something_done(method: str, path: str) -> None:
    async def reload() -> None:
        raise AssertionError

    app = Served().app(reload)
    status, _, body = ask(app, path, method, host="localhost", origin="http://evil.test")
    assert (status, json.loads(body)) == (403, {"error_msg": "refused: a page in a browser has sent this"})


# --- what does something


def test_garbage_is_collected() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

    gone = weakref.ref(Cycle())
    assert ask(Served().app(), "/v1/gc", "POST")[0] == 200
    assert gone() is None


def test_reload() -> None:
    times = 0

    async def reload() -> None:
        nonlocal times
        times += 1

    status, _, body = ask(Served().app(reload), "/v1/plugins/reload", "PUT")
    assert (status, body, times) == (200, b"done", 1)


def test_reload_that_cannot_be_used_says_no_details() -> None:
    async def reload() -> None:
        message = f"conf/config.yaml: {SECRET}"
        raise ConfigError(message)

    status, _, body = ask(Served().app(reload), "/v1/plugins/reload", "PUT")
    assert status == 503
    assert json.loads(body) == {"error_msg": "the configuration cannot be used: the log says why"}
