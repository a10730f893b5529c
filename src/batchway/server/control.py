"""The control API: how the nodes of upstreams are, for people and programs on this machine.

Source: apisix/control/v1.lua (3.x), for paths, statuses and shapes. Whoever reaches it may read it: it
listens on the loopback address unless told otherwise.
"""

from collections.abc import Callable, Iterable
from html import escape

import structlog

from batchway.errors import InternalError
from batchway.model import Response, error_response, json_response
from batchway.upstream import UpstreamHealth
from batchway.wire import Receive, Scope, Send, serve_reads

log = structlog.get_logger(__name__)

_KINDS = ("routes", "services", "upstreams")
_COLUMNS = (
    *("Index", "Upstream", "Check type", "Host", "Status"),
    *("Success counts", "TCP Failures", "HTTP Failures", "TIMEOUT Failures"),
)


class ControlApp:
    """`GET /v1/healthcheck`, and `/v1/healthcheck/{kind}/{id}` for one resource."""

    def __init__(self, health: Callable[[], Iterable[UpstreamHealth]]) -> None:
        """`health` tells of every upstream that has checks, whatever resource it stands in."""
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's lifespan."""
        await serve_reads(scope, receive, send, self._answer)

    def _answer(self, scope: Scope) -> Response:
        if scope["method"] != "GET":
            refusal = json_response(405, {"error_msg": "method not allowed, expected GET"})
            refusal.headers.append((b"Allow", b"GET"))
            return refusal
        try:
            return self._found(scope)
        except Exception:
            log.exception("control request failed", path=scope["path"])
            return error_response(InternalError())

    def _found(self, scope: Scope) -> Response:
        match scope["path"].strip("/").split("/"):
            case ["v1", "healthcheck"]:
                found = list(self._health())
                return (
                    _page(found)
                    if _is_for_people(scope)
                    else json_response(200, list(map(_document, found)))
                )
            case ["v1", "healthcheck", kind, *_] if kind not in _KINDS:
                return json_response(400, {"error_msg": f"invalid src type {kind}"})
            case ["v1", "healthcheck", kind]:
                return json_response(404, {"error_msg": f"missing src id for src type {kind}"})
            case ["v1", "healthcheck", kind, id_]:
                return self._one(kind, id_, scope)
            case _:
                return json_response(404, {"error_msg": "404 Not Found"})

    def _one(self, kind: str, id_: str, scope: Scope) -> Response:
        for found in self._health():
            if (found.kind, found.id) == (kind, id_):
                return _page([found]) if _is_for_people(scope) else json_response(200, _document(found))
        return json_response(404, {"error_msg": f"no checker for {kind}[{id_}]"})


def _is_for_people(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _name(health: UpstreamHealth) -> str:
    return f"/apisix/{health.kind}/{health.id}"


def _document(health: UpstreamHealth) -> dict[str, object]:
    return {"name": _name(health), "type": health.type, "nodes": health.nodes}


def _page(found: Iterable[UpstreamHealth]) -> Response:
    """The same as a page, with a row for each node."""
    rows = [
        (
            _name(health),
            health.type,
            f"{node.ip}:{node.port}",
            node.status,
            node.counter.success,
            node.counter.tcp_failure,
            node.counter.http_failure,
            node.counter.timeout_failure,
        )
        for health in found
        for node in health.nodes
    ]
    lines = [
        "<!doctype html><html><head><title>batchway upstream check status</title></head><body>",
        "<h1>batchway upstream check status</h1><table cellpadding=3 border=1>",
        _row("th", _COLUMNS),
        *(_row("td", (index, *row), is_down="unhealthy" in row[3]) for index, row in enumerate(rows, 1)),
        "</table></body></html>",
    ]
    body = "\n".join(lines).encode()
    return Response(200, "OK", [(b"Content-Type", b"text/html; charset=utf-8")], body)


def _row(cell: str, values: Iterable[object], *, is_down: bool = False) -> str:
    cells = "".join(f"<{cell}>{escape(str(value))}</{cell}>" for value in values)
    return f"<tr{' bgcolor=#FF0000' if is_down else ''}>{cells}</tr>"
