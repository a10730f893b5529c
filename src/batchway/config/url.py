"""URLs that the configuration names, for batchway itself to ask."""

import re
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

_PORTS = {"http": 80, "https": 443}
_TARGET = re.compile(r"[!-~]*")  # visible ASCII: what may stand in a request line


class Url(Struct, frozen=True):
    """An `http` or `https` URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    query: str


def parse_url(text: str) -> Url:
    """The URL that `text` is. Raises ValueError, whose message does not show it: it may hold a token."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        port, parts = None, SplitResult("", "", "", "", "")
    if parts.scheme not in _PORTS or not parts.hostname or not _TARGET.fullmatch(text):
        message = "expected a URL that begins with http:// or https://"
        raise ValueError(message)
    if "@" in parts.netloc or "#" in text:
        message = "expected a URL without name, password and fragment"
        raise ValueError(message)
    if port == 0:
        message = "expected a port between 1 and 65535"
        raise ValueError(message)
    return Url(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path or "/", parts.query)
