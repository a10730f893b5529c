"""The head of a request as it goes to a node. All that concerns framing is written here, nowhere else."""

from batchway.model import Request
from batchway.upstream.spec import Node, Upstream

_MAY_HAVE_BODY = frozenset({"POST", "PUT", "PATCH"})


class HeadWriter:
    """Writes heads for the nodes of one upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self._passes_host = upstream.pass_host == "pass"  # noqa: S105 - no password
        rewrites_host = upstream.pass_host == "rewrite"  # noqa: S105 - no password
        rewritten = upstream.upstream_host if rewrites_host else None
        self._host = rewritten.encode() if rewritten else None
        self._default_port = 443 if upstream.scheme == "https" else 80

    def write(self, node: Node, request: Request, block: bytes) -> bytes:
        """Request line and headers; `block` has those that are passed on."""
        target = f"{request.path}?{request.query}" if request.query else request.path
        host = self._host or self._passed_host(node, request)
        body = request.body
        if isinstance(body, bytes):
            counted = body or request.method in _MAY_HAVE_BODY
            framing = b"content-length: %d\r\n" % len(body) if counted else b""
        elif body.length is not None:
            framing = b"content-length: %d\r\n" % body.length
        else:
            framing = b"transfer-encoding: chunked\r\n"
        line = f"{request.method} {target} HTTP/1.1\r\nhost: ".encode("ascii")
        return b"%b%b\r\n%b%b\r\n" % (line, host, block, framing)

    def _passed_host(self, node: Node, request: Request) -> bytes:
        if self._passes_host:
            host = request.headers.get(b"host") or request.origin.host.encode("latin-1")
            if host:
                return host
        return host_of(node, node.port, self._default_port).encode()


def host_of(node: Node, port: int, default_port: int) -> str:
    """What a client of the node at that port would have as its Host header."""
    name = f"[{node.host}]" if ":" in node.host else node.host
    return name if port == default_port else f"{name}:{port}"
