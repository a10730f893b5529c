"""Upstreams of plugin tests, and what reached them."""

from batchway.gateway import Gateway
from batchway.model import Response
from tests.plugins.gateways import put, to
from tests.upstream.servers import Peer, Script, Server


def answering(
    body: bytes = b"hello world\n", *headers: str, status: str = "200 OK", close: bool = False
) -> Script:
    """Answers every request so; with `close`, by the end of the connection instead of a length."""
    lines = "".join(f"{header}\r\n" for header in headers)
    length = "Connection: close\r\n" if close else f"Content-Length: {len(body)}\r\n"
    head = f"HTTP/1.1 {status}\r\n{lines}{length}\r\n".encode("latin-1")

    async def script(peer: Peer) -> None:
        while True:
            received = await peer.request()
            bodiless = received.head.startswith(b"HEAD ") or status[:3] in ("204", "304")
            await peer.say(head if bodiless else head + body)
            if close:
                return

    return script


def put_route(gateway: Gateway, server: Server | None, /, uri: str = "/*", **plugins: object) -> None:
    """Route 1, with these plugins: `proxy_rewrite={...}`."""
    named = {name.replace("_", "-"): config for name, config in plugins.items()}
    upstream = {} if server is None else {"upstream": to(server)}
    put(gateway, "/routes/1", {"uri": uri, "plugins": named, **upstream})


def target(server: Server) -> str:
    """Path and query of the last request that the server got, as they were spelled."""
    return server.requests[-1].line.split(b" ")[1].decode("latin-1")


def sent(server: Server, name: str) -> list[str]:
    """The values of that header in the last request that the server got."""
    pairs = [line.decode("latin-1").split(": ", 1) for line in server.requests[-1].lines]
    return [value for key, value in pairs if key.lower() == name.lower()]


def headers_of(response: Response, name: str) -> list[str]:
    """The values of all headers of that name."""
    wanted = name.lower().encode()
    return [value.decode("latin-1") for key, value in response.headers if key.lower() == wanted]


def is_framed(response: Response) -> bool:
    """Whether its headers would end no line early, and announce the length that it has."""
    lines = [part for pair in response.headers for part in pair]
    if any(byte in line for line in lines for byte in b"\r\n\0"):
        return False
    lengths = headers_of(response, "Content-Length")
    body = response.body
    return len(lengths) < 2 and (not isinstance(body, bytes) or lengths in ([], [str(len(body))]))
