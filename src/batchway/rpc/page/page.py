"""A service as one HTML page, or as its OpenRPC document, as is asked. Sources: RFC 9110, CSP 3."""

import base64
import hashlib
import html
import re
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from msgspec import Struct

from batchway.model import Response
from batchway.negotiation import accepts_gzip, weights

Header = tuple[bytes, bytes]

_SCRIPTS = "dom json schema prose client cards form method batch sidebar page".split()
"""One script in parts, each with what the ones before it have."""

_MARK = re.compile(r"<!-- (\w+) -->")


class _Shown(Struct, frozen=True):
    """One of the two representations, ready to be sent."""

    body: bytes
    zipped: bytes
    etag: str
    headers: tuple[Header, ...]


class Page:
    """Answers GET and HEAD. Made anew only when the document changes."""

    def __init__(self, title: str, document: Callable[[], bytes]) -> None:
        """`document` returns the OpenRPC document as JSON, the same object while it is the same."""
        self._title = title
        self._document = document
        self._made: tuple[bytes, _Shown, _Shown] | None = None

    def respond(self, headers: Mapping[str, str], *, head: bool = False) -> Response:
        """The page, or JSON for a client that prefers it; 304 if that is what the client has already."""
        shown = self._choose(headers.get("accept", "*/*"))
        if _has(headers.get("if-none-match", ""), shown.etag):
            return Response(304, "Not Modified", list(shown.headers), None)
        body, coding = shown.body, []
        if accepts_gzip([(b"accept-encoding", headers.get("accept-encoding", "").encode("latin-1"))]):
            body, coding = shown.zipped, [(b"content-encoding", b"gzip")]
        length = (b"content-length", b"%d" % len(body))
        return Response(200, "OK", [*shown.headers, *coding, length], None if head else body)

    def _choose(self, accept: str) -> _Shown:
        document = self._document()
        if self._made is None or self._made[0] is not document:
            self._made = (document, _as_json(document), _as_html(self._title, document))
        _, as_json, as_html = self._made
        return as_json if prefers_json(accept) else as_html


def prefers_json(accept: str) -> bool:
    """Whether an Accept header puts JSON before HTML. HTML is for all who do not care."""
    named = weights([accept.encode("latin-1")])

    def weight(*ranges: str) -> float:
        """That of the most specific range that is named. Source: RFC 9110, section 12.5.1."""
        return next((named[one] for one in ranges if one in named), 0.0)

    return weight("application/json", "application/*", "*/*") > weight("text/html", "text/*", "*/*")


def _as_json(document: bytes) -> _Shown:
    return _show(document, b"application/json")


def _as_html(title: str, document: bytes) -> _Shown:
    style, script = _read("page.css"), _script()
    # In JSON a `<` stands in strings only. Escaped, no string can end the element or begin a comment.
    parts = {
        "title": html.escape(title),
        "style": style,
        "script": script,
        "document": document.decode().replace("<", "\\u003c"),
    }
    body = _MARK.sub(lambda match: parts[match[1]], _read("page.html"))
    return _show(
        body.encode(),
        b"text/html; charset=utf-8",
        (b"content-security-policy", _policy(style, script).encode()),
        (b"referrer-policy", b"no-referrer"),
    )


def _show(body: bytes, content_type: bytes, *more: Header) -> _Shown:
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'  # weak: gzip is no other version
    headers = (
        (b"content-type", content_type),
        (b"etag", etag.encode()),
        (b"cache-control", b"no-cache"),  # kept, and asked for again each time
        (b"vary", b"accept, accept-encoding"),
        (b"x-content-type-options", b"nosniff"),
        *more,
    )
    return _Shown(body, zlib.compress(body, 9, zlib.MAX_WBITS | 16), etag, headers)


def _policy(style: str, script: str) -> str:
    """Nothing but this style and this script, which may talk to this server and make nothing of strings."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data:",  # the icon; without one, browsers ask for /favicon.ico
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


@cache
def _script() -> str:
    parts = [_read(f"scripts/{name}.js") for name in _SCRIPTS]
    return "\n'use strict';\n\n" + "\n".join(parts)


def _has(if_none_match: str, etag: str) -> bool:
    """Whether the client has it. Compared weakly. Source: RFC 9110, section 13.1.2."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag.removeprefix("W/") in tags or tags == ["*"]
