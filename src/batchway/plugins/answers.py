"""Answers that plugins make: framed as HTTP asks for, and paid for by the batch they belong to."""

from batchway.errors import ReplyTooLarge
from batchway.model import REASONS, BodyStream, Response
from batchway.plugins.context import Context
from batchway.plugins.names import hyphened

Pairs = list[tuple[bytes, bytes]]

_BODILESS = (204, 304)
"""RFC 9110, section 6.4.1; so are 1xx, which no answer of ours has."""


def respond(context: Context, status: int, headers: Pairs, body: bytes) -> Response:
    """An answer without an upstream. Raises ReplyTooLarge if its batch has no room for it."""
    response = Response(status, REASONS.get(status, ""), headers, None)
    put_body(context, response, body)
    return response


def put_body(context: Context, response: Response, body: bytes) -> None:
    """Give `response` this body in place of one that is in memory; none where HTTP has none.

    A stream is to be closed before. Raises ReplyTooLarge.
    """
    old = response.body
    response.body = None if is_bodiless(context, response) else body
    budget = context.original.batch
    if budget is not None:
        budget.give_back(len(old) if isinstance(old, bytes) else 0)
        budget.take(len(response.body or b""))


async def pay_for_body(context: Context, response: Response) -> None:
    """Of an item, have the body read whole and its batch pay for it, as if an upstream had sent it.

    Raises ReplyTooLarge.
    """
    batch, body = context.original.batch, response.body
    if batch is None or body is None:
        return
    if not isinstance(body, bytes):
        body = response.body = await _whole(body, batch.max_reply_size)
    _check_size(len(body), batch.max_reply_size)
    batch.take(len(body))


async def _whole(body: BodyStream, max_bytes: int) -> bytes:
    pieces, size = [], 0
    try:
        async for piece in body:
            size += len(piece)
            _check_size(size, max_bytes)
            pieces.append(piece)
    finally:
        await body.aclose()
    return b"".join(pieces)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        message = "the reply is larger than max_reply_size"
        raise ReplyTooLarge(message)


def is_bodiless(context: Context, response: Response) -> bool:
    """Whether the client expects no body, whatever the headers say of one."""
    return context.original.method == "HEAD" or response.status in _BODILESS


async def drop_body(response: Response) -> None:
    """Close the body if it is a stream: nobody will read it."""
    body = response.body
    if body is not None and not isinstance(body, bytes):
        response.body = None
        await body.aclose()


def remove_header(response: Response, *names: str) -> None:
    """Take out all headers of these names, in any case."""
    wanted = {name.lower().encode("latin-1", "replace") for name in names}
    response.headers[:] = [pair for pair in response.headers if pair[0].lower() not in wanted]


def set_header(response: Response, name: str, value: bytes) -> None:
    """Put this header in place of all of its name; an empty value leaves none, as in nginx."""
    name = hyphened(name)
    remove_header(response, name)
    if value:
        response.headers.append((name.encode("latin-1", "replace"), value))
