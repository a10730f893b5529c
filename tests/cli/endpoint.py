"""A batch endpoint for tests: it answers what it is told to, and notes what it was asked."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from msgspec import Struct, field

from tests.integration.ports import free_port


class Asked(Struct):
    """One request that came."""

    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of that header."""
        return [value for key, value in self.headers if key.lower() == name]


class Endpoint(Struct):
    """`url` to post to; what it answers may be set at any time."""

    url: str
    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b'[{"status":200,"reason":"OK"}]'
    asked: list[Asked] = []
    #: set once a request is there
    arrived: Event = field(default_factory=Event)
    #: the answer is held back until this is set
    release: Event = field(default_factory=Event)

    def answers(self, *replies: object) -> None:
        """Answer these replies from now on."""
        self.body = json.dumps(replies).encode()


@contextmanager
def running(tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """An endpoint at work."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            endpoint.asked.append(Asked(self.path, self.headers.items(), body))
            endpoint.arrived.set()
            endpoint.release.wait(10)
            self.send_response(endpoint.status)
            for name, value in endpoint.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(endpoint.body)))
            self.end_headers()
            self.wfile.write(endpoint.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that leaves is part of the tests

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
    endpoint = Endpoint(f"{scheme}://{host}:{server.server_port}/batch")
    endpoint.release.set()
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def saying(words: bytes, *, listens: bool = True) -> Iterator[str]:
    """URL of a server that says just these words to whoever connects and says something.

    Unless it `listens`, it closes at once, with the rest of what it was sent unread.
    """

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # a client that breaks off, at whatever moment
            connection.recv(1024)
            connection.sendall(words)
            if listens:
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/batch"
        thread.join()


def unused_url() -> str:
    """A URL where nothing listens."""
    return f"http://127.0.0.1:{free_port()}/batch"
