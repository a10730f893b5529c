"""TLS towards upstreams: whom we trust, and who we say we are."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from weakref import WeakValueDictionary

from msgspec import Struct

from batchway.errors import ConfigError, InvalidResource


class ClientCertificate(Struct, frozen=True):
    """A certificate and its key, PEM. Their repr shows neither."""

    certificate: str
    key: str

    @property
    def identity(self) -> str:
        """Tells this one from others without holding the key."""
        return sha256(f"{self.certificate}\n{self.key}".encode()).hexdigest()

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have `context` show it. Raises InvalidResource if it cannot be used."""
        pem = f"{self.certificate.rstrip()}\n{self.key.rstrip()}\n".encode()
        try:
            with _file_of(pem) as path:
                # With a password, be it none, OpenSSL does not ask for one on the terminal.
                context.load_cert_chain(path, password="")
        except (ssl.SSLError, ValueError) as error:
            reason = (getattr(error, "reason", None) or "not PEM").replace("_", " ").lower()
            message = f"tls: client_cert and client_key cannot be used: {reason}"
            raise InvalidResource(message) from None

    def __repr__(self) -> str:
        return f"ClientCertificate({self.identity[:8]}…)"


class Contexts:
    """TLS contexts. One with a client certificate lives as long as someone uses it."""

    def __init__(self, ca_file: str | None = None) -> None:
        """`ca_file`: PEM, instead of the system's CAs. Raises ConfigError if it cannot be used."""
        self._ca_file = ca_file
        self._plain: dict[bool, ssl.SSLContext] = {}
        self._with_client: WeakValueDictionary[tuple[bool, str], ssl.SSLContext] = WeakValueDictionary()
        if ca_file is not None:
            try:
                self.get(verify=True)
            except (OSError, ssl.SSLError) as error:
                message = f"the trusted CA certificates in {ca_file} cannot be used: {error}"
                raise ConfigError(message) from error

    def get(self, *, verify: bool, client: ClientCertificate | None = None) -> ssl.SSLContext:
        """A context that verifies the server or does not, and shows `client` to it.

        Raises InvalidResource if that certificate or its key cannot be used.
        """
        if client is None:
            plain = self._plain.get(verify)
            if plain is None:
                plain = self._plain[verify] = self._new(verify)
            return plain
        key = (verify, client.identity)
        context = self._with_client.get(key)
        if context is None:
            context = self._new(verify)
            client.load_into(context)
            self._with_client[key] = context
        return context

    def _new(self, verify: bool) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._ca_file)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
        return context


@contextmanager
def _file_of(content: bytes) -> Iterator[str]:
    """A file with that content, which OpenSSL insists on; in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("client certificate")
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp()  # for us alone to read
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            yield path
    finally:
        if not path.startswith("/proc/"):
            os.unlink(path)
