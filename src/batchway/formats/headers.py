"""How the headers of an item come together: its own, then the batch's, then the outer request's.

Source: APISIX `batch-requests` (precedence; outer `Content-*` stay behind), which Google's batch took
up as well. What an item may not say, whoever it is from, is dropped: framing and hop-by-hop headers
(RFC 9110, section 7.6.1) and the headers that carry the client's address.
"""

import re
from collections.abc import Mapping
from typing import Any

from batchway.model import HOP_BY_HOP, NO_HOST, Headers

Wanted = dict[bytes, tuple[bytes, ...]]
"""Lower-case name to values; no value: that header is not to be inherited."""

PROTECTED = frozenset(
    b"""x-real-ip forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port
    x-forwarded-prefix""".split()
)
"""Headers by which servers learn who the client is: only a proxy may say that, never an item."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search


class BadHeader(ValueError):
    """A header that cannot be sent; the text says what is wrong, without the value."""


def parse(given: Mapping[str, Any], protected: frozenset[bytes]) -> Wanted:
    """The headers of a batch or of an item, from JSON: scalars, arrays of scalars, null to drop one.

    Raises BadHeader for a name or a value that HTTP does not allow. RFC 9110, sections 5.1 and 5.5.
    """
    wanted: Wanted = {}
    for name, value in given.items():
        if not _NAME(name):
            message = "invalid characters found in header key"
            raise BadHeader(message)
        key = name.lower().encode("ascii")
        if key in HOP_BY_HOP or key.startswith(b"proxy-") or key.replace(b"_", b"-") in protected:
            continue
        values = value if isinstance(value, list) else (value,)
        wanted[key] = tuple(_value(name, one) for one in values if one is not None)
    if any(host.translate(None, NO_HOST) != host for host in wanted.get(b"host", ())):
        # As for a request from the wire.
        message = 'invalid characters found in header value of "Host"'
        raise BadHeader(message)
    return wanted


def _value(name: str, value: Any) -> bytes:
    match value:
        case str():
            if _BAD_VALUE(value):
                message = f'invalid characters found in header value of "{name}"'
                raise BadHeader(message)
            return value.strip(" \t").encode()
        case bool():
            return b"true" if value else b"false"
        case int() | float():
            return number(value).encode()
        case _:
            message = f'header "{name}": expected a string, a number, a boolean, an array or null'
            raise BadHeader(message)


def number(value: float) -> str:
    """A JSON number as Lua, so APISIX, writes it: `2` for 2.0, `0.1` for 0.1."""
    return str(value) if isinstance(value, int) else f"{value:.14g}"


def inherited(outer: Headers) -> Wanted:
    """What the outer request hands down to every item: all but `Content-*` and `Accept-Encoding`.

    Accept-Encoding says what the client can read of the outer response; an item's body ends as JSON
    text, so an upstream that compressed it would work for nothing.
    """
    wanted: Wanted = {}
    for name, value in outer.pairs:
        if name.startswith(b"content-") or name == b"accept-encoding":
            continue
        wanted[name] = (*wanted[name], value) if name in wanted else (value,)
    return wanted


def combine(base: Wanted, own: Wanted) -> Headers:
    """`base` with the headers of `own` in place of those of the same name."""
    merged = {**base, **own} if own else base
    return Headers([(name, value) for name, values in merged.items() for value in values])
