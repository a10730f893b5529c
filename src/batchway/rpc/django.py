"""An RpcApp as a view of Django: `path("rpc", rpc_view(app))`. Needs Django; nothing else here does."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig  # type: ignore[import-untyped]
from django.http import HttpResponse, StreamingHttpResponse  # type: ignore[import-untyped]
from django.views.decorators.csrf import csrf_exempt  # type: ignore[import-untyped]

from batchway.model import Headers, Origin, Request, Response, end_to_end
from batchway.rpc.app import RpcApp
from batchway.rpc.inside import ask

View = Callable[[Any], Awaitable[Any]]
_WRITTEN_BY_DJANGO = frozenset({b"content-length"})


def rpc_view(app: RpcApp) -> View:
    """An async view that answers with the app, under ASGI and under WSGI.

    Django's CSRF check does not hold for it: calls sent as JSON need none, and pages of other sites that
    send them as text are refused. Under WSGI what calls have put off is done before the response is sent.
    """

    async def view(request: Any) -> Any:
        response = await ask(app, _request(request, app.limits.max_body_bytes), {})
        if not hasattr(request, "scope"):
            await _finish(response)
            await app.finish_background()
        return _response(response)

    return csrf_exempt(view)  # type: ignore[no-any-return]  # Django ships no types


async def _finish(response: Response) -> None:
    """Read the body whole: under WSGI the loop that its calls run in ends with the view."""
    body = response.body
    if body is not None and not isinstance(body, bytes):
        response.body = b"".join([piece async for piece in body])


def _request(request: Any, max_bytes: int) -> Request:
    meta = request.META
    origin = Origin(
        meta.get("REMOTE_ADDR") or "",
        request.scheme,
        request.get_host(),
        _port(meta.get("SERVER_PORT")),
    )
    pairs = (
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()
    )
    return Request(
        request.method,
        request.path,
        meta.get("QUERY_STRING", ""),
        Headers(end_to_end(pairs)),
        _body(request, max_bytes),
        origin,
    )


def _body(request: Any, max_bytes: int) -> bytes:
    """The body, or as much as shows that it is too large. It stays there for middleware, if it can."""
    try:
        body: bytes = request.body
    except RequestDataTooBig:  # for Django's own taste; the app has a limit, and words for it
        body = request.read(max_bytes + 1)
    return body


def _port(said: str | None) -> int:
    """On a Unix socket there is none, which Django puts in various words."""
    return int(said) if said is not None and said.isdecimal() else 80


def _response(response: Response) -> Any:
    body = response.body
    if body is None or isinstance(body, bytes):
        found = HttpResponse(body or b"", status=response.status, reason=response.reason or None)
    else:
        found = StreamingHttpResponse(aiter(body), status=response.status, reason=response.reason or None)
    del found["Content-Type"]  # text/html, unless the app has another word
    for name, value in response.headers:
        if name.lower() not in _WRITTEN_BY_DJANGO:
            found[name.decode("latin-1")] = value.decode("latin-1")
    return found
