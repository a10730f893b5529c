"""Taking note of a request once its answer is sent, however it is sent."""

from collections.abc import AsyncIterator, Callable

from batchway.model import BodyStream, Response
from batchway.plugins import Context

Observer = Callable[[Context], None]
"""Takes note of a request that is over: `status`, `body_bytes` and the rest of its context are set."""


class ObservedBody:
    """A body that says when it was sent, and how much of it."""

    def __init__(self, body: BodyStream, context: Context, over: Callable[[Context], None]) -> None:
        self._body = body
        self._context = context
        self._over: Callable[[Context], None] | None = over

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            self._context.body_bytes += len(piece)
            yield piece

    async def aclose(self) -> None:
        """Close the body within; the request is over."""
        over, self._over = self._over, None
        try:
            await self._body.aclose()
        finally:
            if over is not None:
                over(self._context)


def observed(response: Response, context: Context, over: Callable[[Context], None]) -> Response:
    """`response`, and `over` is called once it is sent: at once if its body is there already."""
    context.status = response.status
    body = response.body
    if body is None or isinstance(body, bytes):
        context.body_bytes = len(body or b"")
        over(context)
        return response
    response.body = ObservedBody(body, context, over)
    return response
