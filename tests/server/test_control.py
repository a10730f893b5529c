"""The control API: paths, statuses and shapes, without a socket."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest

from batchway.server.control import ControlApp
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


def get(
    path: str,
    accept: str = "*/*",
    method: str = "GET",
    health: Any = lambda: FOUND,
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"accept", accept.encode())]}
    asyncio.run(ControlApp(health)(scope, receive, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


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
        ("/v1/healthcheck/upstreams/2", 404, "no checker for upstreams[2]"),
        ("/v1/healthcheck/upstreams", 404, "missing src id for src type upstreams"),
        ("/v1/healthcheck/consumers/1", 400, "invalid src type consumers"),
        ("/v1/healthcheck/upstreams/1/2", 404, "404 Not Found"),
        ("/v1/other", 404, "404 Not Found"),
        ("/", 404, "404 Not Found"),
    ],
)
def test_refusals(path: str, status: int, message: str) -> None:
    found, _, body = get(path)
    assert (found, json.loads(body)) == (status, {"error_msg": message})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(method: str) -> None:
    status, headers, _ = get("/v1/healthcheck", method=method)
    assert (status, headers[b"Allow"]) == (405, b"GET")


def test_fault_is_told_without_details() -> None:
    def health() -> Iterable[UpstreamHealth]:
        message = "secret"
        raise RuntimeError(message)

    status, _, body = get("/v1/healthcheck", health=health)
    assert status == 500
    assert b"secret" not in body
