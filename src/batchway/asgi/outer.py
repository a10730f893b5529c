"""The outer request and its response, between ASGI and ours."""

from urllib.parse import quote

from batchway.asgi.scopes import ITEM
from batchway.model import Headers, Origin, Request, Response, end_to_end
from batchway.wire import Scope, WireBody


def read_request(scope: Scope, body: WireBody) -> Request:
    """The request that carries the batch."""
    headers = Headers(end_to_end(scope["headers"]))
    client = (scope.get("client") or ("",))[0]
    server = scope.get("server") or ("", None)
    host = (headers.get(b"host") or b"").decode("latin-1")
    return Request(
        "POST",
        quote(scope["path"], errors="replace"),
        scope.get("query_string", b"").decode("latin-1"),
        headers,
        body,
        Origin(client, scope.get("scheme", "http"), host, server[1] or 80),
        scope.get(ITEM),
    )


def lowered(response: Response) -> Response:
    """`response` with names as ASGI wants them, so that middlewares outside of us find them."""
    headers = [(name.lower(), value) for name, value in response.headers]
    if isinstance(response.body, bytes):
        headers.append((b"content-length", b"%d" % len(response.body)))
    return Response(response.status, response.reason, headers, response.body)
