"""What every request must be that comes out of a batch, whatever went in."""

import re

import httptools

from batchway.model import HOP_BY_HOP, Request

PATH = re.compile(r"/[!-~]*")
QUERY = re.compile(r"[!-~]*")
NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(rb"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
FORGED = re.compile(rb"x-real-ip|forwarded|x-forwarded-(for|proto|host|port|prefix)")
METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"}


class _Seen:
    """What an HTTP parser that is not ours sees."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.whole = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.whole += 1


def check(request: Request) -> None:
    """Raises AssertionError unless `request` can be written to an upstream as it stands.

    Its outer request is taken to have had no headers: an item may not speak of the client's address.
    """
    assert request.method in METHODS
    assert PATH.fullmatch(request.path), request.path
    assert not set(request.path) & set("?#<>`"), request.path
    assert QUERY.fullmatch(request.query), request.query
    assert not set(request.query) & set("#<>`"), request.query
    assert isinstance(request.body, bytes)
    for name, value in request.headers.pairs:
        assert NAME.fullmatch(name), name
        assert VALUE.fullmatch(value), value
        assert name not in HOP_BY_HOP
        assert not name.startswith(b"proxy-")
        assert not FORGED.fullmatch(name.replace(b"_", b"-")), name
    _check_by_parsing(request)


def _check_by_parsing(request: Request) -> None:
    """One request goes in, the same comes out: nothing in it ends a line, a header or the head."""
    target = f"{request.path}?{request.query}" if request.query else request.path
    if request.method == "CONNECT":  # its target is an authority, which llhttp insists on
        return
    lines = [f"{request.method} {target} HTTP/1.1".encode()]
    lines += [b"%b: %b" % pair for pair in request.headers.pairs]
    seen = _Seen()
    httptools.HttpRequestParser(seen).feed_data(b"\r\n".join(lines) + b"\r\n\r\n")
    assert seen.whole == 1
    assert seen.url == target.encode()
    assert seen.headers == list(request.headers.pairs)
