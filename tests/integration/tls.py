"""Upstreams that speak TLS."""

import socket
import ssl

from .scripted import Behaviour, Scripted


class TlsUpstream(Scripted):
    """A scripted upstream behind TLS. `names` are the server names that it was asked for."""

    def __init__(
        self,
        behaviour: Behaviour,
        context: ssl.SSLContext,
        host: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        self.names: list[str | None] = []
        self._context = context

        def note(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> None:
            self.names.append(name)

        context.sni_callback = note
        super().__init__(behaviour, host, port)

    def wrap(self, connection: socket.socket) -> socket.socket:
        """The connection after the handshake."""
        return self._context.wrap_socket(connection, server_side=True)
