"""The headers that an upstream gets: what the client may say, and what only we may."""

from msgspec import Struct

from batchway.model import Headers, Request

_FORWARDED = frozenset(b"x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port".split())
# What only a proxy can know too, and we do not: passed on from one that is trusted, else dropped.
_CLAIMED = frozenset({b"forwarded", b"x-forwarded-prefix"})


class Forwarding(Struct, frozen=True):
    """How the client's address is passed on."""

    real_ip_header: bytes = b"x-real-ip"

    def block(self, request: Request) -> bytes:
        """All header lines for the upstream but Host and framing.

        The items of a batch share their headers, so the block is made once and kept with them. A
        header that is spelled like one of ours with underscores is dropped: to CGI-like upstreams
        the two are one. What a plugin has written goes on in place of what we would say.
        """
        headers = request.headers
        written = headers.written
        memo = headers.memo
        if memo is not None and memo[0] is self and memo[1] is request.origin:
            block: bytes = memo[2]
            return block
        trusted = request.origin.trusted
        lines = [
            b"%b: %b\r\n" % pair
            for pair in headers.pairs
            if pair[0] != b"host" and (pair[0] in written or not self._ours(pair[0], trusted=trusted))
        ]
        told = self._about_client(headers, request)
        if written:
            told = _without(told, {name for name in written if headers.get(name) is not None})
        block = b"".join(lines) + told
        headers.memo = (self, request.origin, block)
        return block

    def _ours(self, name: bytes, *, trusted: bool) -> bool:
        name = name.replace(b"_", b"-")
        if name in _CLAIMED:
            return not trusted
        return name in _FORWARDED or name == self.real_ip_header.replace(b"_", b"-")

    def _about_client(self, headers: Headers, request: Request) -> bytes:
        origin = request.origin
        client = origin.client.encode("ascii", "replace")
        chain, proto = client, origin.scheme.encode()
        named = None if b"host" in headers.written else headers.get(b"host")
        host = named or origin.host.encode("latin-1")
        port = _port(host) or b"%d" % origin.port
        if origin.trusted:  # the peer is a proxy that has asked the same of its own client
            before = b", ".join(value for name, value in headers.pairs if name == b"x-forwarded-for")
            chain = b"%b, %b" % (before, client) if before else client
            proto = headers.get(b"x-forwarded-proto") or proto
            host = headers.get(b"x-forwarded-host") or host
            port = headers.get(b"x-forwarded-port") or port
        lines = (
            b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\n"
            b"x-forwarded-host: %b\r\nx-forwarded-port: %b\r\n" % (chain, proto, host, port)
        )
        if self.real_ip_header == b"x-forwarded-for":
            return lines
        return b"%b: %b\r\n%b" % (self.real_ip_header, client, lines)


def _port(host: bytes) -> bytes:
    """The one that stands in a Host; b"" if none does."""
    _, colon, port = host.rpartition(b":")
    return port if colon and port.isdigit() else b""


def _without(lines: bytes, names: set[bytes]) -> bytes:
    kept = [line for line in lines.splitlines(keepends=True) if line.partition(b":")[0] not in names]
    return b"".join(kept)
