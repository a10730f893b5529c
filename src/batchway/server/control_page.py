"""How the nodes of upstreams are, as a page for people."""

from collections.abc import Iterable
from html import escape

from batchway.model import Response
from batchway.upstream import UpstreamHealth

_COLUMNS = (
    *("Index", "Upstream", "Check type", "Host", "Status"),
    *("Success counts", "TCP Failures", "HTTP Failures", "TIMEOUT Failures"),
)


def page(found: Iterable[UpstreamHealth]) -> Response:
    """A row for each node."""
    rows = [
        (
            f"/apisix/{health.kind}/{health.id}",
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
