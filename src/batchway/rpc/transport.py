"""What passes between an app and what carries its bytes."""

from collections.abc import Sequence

from msgspec import Struct

from batchway.rpc.background import Job


class Answered(Struct):
    """What a batch is answered with. `jobs` are for `RpcApp.release`, once the body is sent."""

    body: bytes | None
    """None if there is nothing to say."""
    status: int = 200
    """Where the transport is HTTP, and there is a body."""
    jobs: list[Job] = []
    headers: Sequence[tuple[bytes, bytes]] = ()
    """Where the transport is HTTP: those beyond what every response has."""


def as_line(body: bytes) -> bytes:
    """A body as one line of several. A line break in JSON is between values, and means nothing there."""
    if b"\n" in body or b"\r" in body:
        body = body.translate(_BREAKS_TO_SPACES)
    return body + b"\n"


_BREAKS_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")
