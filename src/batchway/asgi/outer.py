"""The outer request and its response, between ASGI and ours."""

from urllib.parse import quote

from batchway.asgi.scopes import ITEM
from batchway.errors import BatchRefused
from batchway.model import Headers, Origin, Request, Response, end_to_end
from batchway.wire import Scope, WireBody

# Content types that a page may send to another site without asking it first. Source: Fetch, 2.2.2,
# "CORS-safelisted request-header".
_SENT_UNASKED = frozenset(
    {b"", b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"}
)


class ForgedByPage(BatchRefused):
    """A page of any site could have sent this batch in its visitor's name.

    The items have the visitor's cookies, and whatever headers the page likes: also those that an app
    takes as a proof that no other site's page is behind a request.
    """

    status = 415
    code = "forged_by_page"

    def __init__(self) -> None:
        super().__init__("a browser must send a batch as application/json")


def read_request(scope: Scope, body: WireBody) -> Request:
    """The request that carries the batch. Raises ForgedByPage."""
    headers = Headers(end_to_end(scope["headers"]))
    content_type = (headers.get(b"content-type") or b"").partition(b";")[0].strip().lower()
    # Browsers name their page's origin in every POST; other clients have no visitor to speak for.
    if headers.get(b"origin") is not None and content_type in _SENT_UNASKED:
        raise ForgedByPage
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
