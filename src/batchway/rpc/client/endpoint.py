"""Where calls go, and the headers that go with them. No I/O."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from msgspec import Struct

from batchway import __version__
from batchway.errors import ConfigError

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_OURS = frozenset(
    "connection content-length expect host keep-alive te trailer transfer-encoding upgrade".split()
)
_PORTS = {"http": 80, "https": 443}


class Endpoint(Struct, frozen=True):
    """A URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    """Percent-encoded, as is the query."""
    query: str

    def __str__(self) -> str:
        """The URL without its query, which may hold a key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse_url(url: str) -> Endpoint:
    """The endpoint that `url` names. Raises ConfigError, without a word of what may be a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("ascii" if ":" in (parts.hostname or "") else "idna").decode()
    except ValueError:  # UnicodeError is one
        parts, port, host = urlsplit(""), None, ""
    if parts.scheme not in _PORTS or not host:
        message = "url: expected one such as http://127.0.0.1:8000/"
        raise ConfigError(message)
    if "@" in parts.netloc:
        message = "url: a user or password in it is not supported: give an Authorization header"
        raise ConfigError(message)
    return Endpoint(
        parts.scheme,
        host,
        _PORTS[parts.scheme] if port is None else port,
        quote(parts.path or "/", safe="/%:@!$&'()*+,;=~"),
        quote(parts.query, safe="/%:@!$&'()*+,;=~?"),
    )


def header_block(given: Mapping[str, str], bearer: str | None) -> bytes:
    """The headers of every request, as they go on the wire. Raises ConfigError for what is none."""
    ours = {
        "user-agent": f"batchway/{__version__}",
        "content-type": "application/json",
        "accept": "application/json",
        "accept-encoding": "gzip",
    }
    if bearer is not None:
        ours["authorization"] = f"Bearer {bearer}"
    for name, value in given.items():
        _check(name, value)
        ours.pop(name.lower(), None)
    if bearer is not None:
        _check("bearer", bearer)
    lines = [f"{name}: {value}\r\n" for name, value in (ours | dict(given)).items()]
    return "".join(lines).encode()


def _check(name: str, value: str) -> None:
    if not _TOKEN.fullmatch(name):
        message = "headers: a name is none that HTTP has"
        raise ConfigError(message)
    if name.lower() in _OURS:
        message = f"headers: {name} cannot be set: the client frames the request itself"
        raise ConfigError(message)
    if _BAD_VALUE.search(value):
        message = f"headers: the value of {name} is none that HTTP has"  # it may be a credential
        raise ConfigError(message)
