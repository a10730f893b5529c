"""The servers that APISIX's tests have behind it, retold: their ports are names here, such as 1980.

Source: t/lib/server.lua of APISIX.
"""

import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import trustme

from tests.integration.dns import Dns
from tests.integration.ports import free_port
from tests.integration.scripted import PATIENCE_S, Behaviour, Peer, Received, Scripted, each, ok
from tests.integration.tls import TlsUpstream

PLAIN = ("1980", "1981", "1982")
SICK = ("sick", "sick2")
"""They answer, but say to probes that they are not well."""
BROKEN = ("b1", "b2", "b3", "b4", "b5")
"""They hang up instead of answering, which counts as a try."""
SLOW = ("slow1", "slow2", "slow3")
"""Likewise: the first that is tried at once, the next after a while."""
SILENT = "silent"
"""It takes requests and says nothing."""
TLS, SICK_TLS, MUTUAL = "1983", "sicktls", "mutual"
"""Behind TLS; the last one talks only to those whose certificate our CA has issued."""
OWN_HEADERS = ("x-forwarded-", "content-length", "accept-encoding")
PROBED = ("/status", "/healthz")
"""What health checks ask for."""


class Fleet:
    """Those servers, an authority for their certificates, and a DNS server."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.stranger = trustme.CA()
        self.dns = Dns()
        self._ports: dict[str, int] = {}
        self.servers: dict[str, Scripted] = {
            name: Scripted(each(partial(answer, name))) for name in (*PLAIN, *SICK)
        }
        port = self.servers["1980"].address[1]
        # the same port at other addresses, for names that lead there
        for name in ("127.0.0.2", "127.0.0.3"):
            self.servers[name] = Scripted(each(partial(answer, name)), host=name, port=port)
        self.tried: list[str] = []
        """The names of the servers that hung up on a request, in the order in which they were asked."""
        for name in (*BROKEN, *SLOW):
            self.servers[name] = Scripted(partial(self._hang_up, name))
        self.servers[SILENT] = Scripted(Peer.stall)
        self.servers |= {name: self._secure(name) for name in (TLS, SICK_TLS, MUTUAL)}

    def _secure(self, name: str) -> TlsUpstream:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        if name == MUTUAL:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        behaviour: Behaviour = each(partial(answer, name))
        return TlsUpstream(behaviour, context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers.values():
            server.stop()
        self.dns.__exit__()

    def _hang_up(self, name: str, peer: Peer) -> None:
        if urlsplit(peer.read().target).path not in PROBED:
            self.tried.append(name)
        if name in SLOW and len(self.tried) > 1:
            time.sleep(4)

    def port(self, name: str) -> int:
        """Of the server of that name; where there is none, nobody listens."""
        if name in self.servers:
            return self.servers[name].address[1]
        return self._ports.setdefault(name, free_port())

    def certificate(self, *, known: bool) -> dict[str, str]:
        """A client's, as `tls` of an upstream."""
        issued = (self.authority if known else self.stranger).issue_cert("client.test")
        return {
            "client_cert": b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode(),
            "client_key": issued.private_key_pem.bytes().decode(),
        }


def answer(name: str, request: Received) -> bytes:
    """What the server of that name says."""
    parts = urlsplit(request.target)
    asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
    if parts.path.startswith("/server_port"):
        return ok(name.encode())
    if parts.path.startswith("/uri"):
        return ok(_told(parts.path, request))
    if name in (*SICK, SICK_TLS) and parts.path in PROBED:
        return ok(b"unwell", status="500 Internal Server Error")
    return _ANSWERS.get(parts.path, _missing)(name, request, asked)


def _told(path: str, request: Received) -> bytes:
    """The path and the headers, but for those that a gateway adds of itself."""
    pairs = sorted((key.lower(), value) for key, value in request.pairs)
    lines = [f"{key}: {value}" for key, value in pairs if not key.startswith(OWN_HEADERS)]
    return "\n".join([f"uri: {path}", *lines, ""]).encode()


def _text(text: str, status: str = "200 OK") -> Callable[..., bytes]:
    return lambda *_: ok(text.encode(), status=status)


def _sleep(_name: str, _request: Received, asked: dict[str, str]) -> bytes:
    time.sleep(float(asked["seconds"]))
    return ok(asked["seconds"].encode())


def _who(name: str, _request: Received, asked: dict[str, str]) -> bytes:
    _meetings[asked["of"]].wait(PATIENCE_S)  # so that requests that are sent at once are under way at once
    return ok(name.encode())


_meetings = {of: threading.Barrier(int(of)) for of in ("2", "3")}
"""Where so many requests wait for each other."""


def _ewma(name: str, *_: Any) -> bytes:
    time.sleep(1 if name == "1981" else 0.003)
    return ok(name.encode())


def _chunked(*_: Any) -> bytes:
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (b"hell", b"o w", b"orld\n"))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"


_missing = _text("404 Not Found", "404 Not Found")
_ANSWERS: dict[str, Callable[..., bytes]] = {
    "/hello": _text("hello world\n"),
    "/hello1": _text("hello1 world\n"),
    "/hello_chunked": _chunked,
    "/status": _text("ok\n"),
    "/healthz": _text("ok\n"),
    "/ping": lambda name, *_: ok(name.encode()),
    "/server_error": _text("broken\n", "500 Internal Server Error"),
    "/mysleep": _sleep,
    "/ewma": _ewma,
    "/who": _who,
}
