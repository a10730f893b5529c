"""What is asked of a connection to an upstream, and what the headers of the answer mean for it."""

from msgspec import Struct

from batchway.model import Budget


class Exchange(Struct, gc=False):
    """What is asked of a connection."""

    head: bytes
    """Request line and headers, with the empty line."""
    body: bytes
    """The whole body, or b"" when it is written piece by piece."""
    no_body: bool
    """A HEAD request: its answer has no body whatever its headers say."""
    budget: Budget | None
    """Set when the answer is to be read whole; otherwise its body is streamed."""
    read_timeout_s: float
    send_timeout_s: float


# What a header of the answer means. Content-Length stays in the answer: it is part of it.
KEPT, DROPPED, LENGTH, CODED, NOMINATES = range(5)
_MEANINGS = dict.fromkeys(b"keep-alive proxy-connection te trailer upgrade".split(), DROPPED)
_MEANINGS |= {b"content-length": LENGTH, b"transfer-encoding": CODED, b"connection": NOMINATES}
_MAX_SPELLED = 1024
_MAX_NAME = 64

spelled: dict[bytes, int] = {}
"""Meanings by name as it was spelled: upstreams spell few names, and each the same way every time."""


def meaning_of(name: bytes) -> int:
    """What the header means; it is then among `spelled`, unless it is a long one."""
    meaning = _MEANINGS.get(name.lower(), KEPT)
    if len(name) <= _MAX_NAME:
        if len(spelled) >= _MAX_SPELLED:
            spelled.clear()
        spelled[name] = meaning
    return meaning
