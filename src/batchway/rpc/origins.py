"""Which pages may open a WebSocket: a browser asks nobody before it does so in its user's name."""

from collections.abc import Collection
from urllib.parse import urlsplit

from batchway.errors import ConfigError

ANY = "*"


class Origins:
    """The origins that are let in, besides that of the service itself."""

    def __init__(self, allowed: Collection[str]) -> None:
        """Raises ConfigError for what is no origin."""
        if isinstance(allowed, str):
            message = "allowed_origins: expected a list"
            raise ConfigError(message)
        self._any = ANY in allowed
        self._allowed = frozenset(one.lower() for one in allowed)
        for one in self._allowed - {ANY}:
            _check(one)

    def allow(self, origin: str | None, host: str) -> bool:
        """Whether to let one in. `origin`: None where no browser asks; `host`: what that calls us."""
        if origin is None or self._any:
            return True
        origin = origin.lower()
        name = origin.partition("://")[2]
        return origin in self._allowed or (bool(name) and name == host.lower())


def _check(origin: str) -> None:
    parts = urlsplit(origin)
    if not parts.scheme or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
        message = f"allowed_origins: {origin} is none, which would be as in https://example.com:8443"
        raise ConfigError(message)
