"""What a plugin is: one class with a name, a config, a priority, and the phases it takes part in."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from batchway.model import Request, Response


class Empty(Struct, frozen=True, forbid_unknown_fields=True):
    """The config of a plugin that has nothing to set."""


class Gateway(Protocol):
    """What a plugin may ask of the gateway it works in."""

    async def handle(self, request: Request) -> Response:
        """Answer a request as if it had come from the wire."""

    def metadata(self, name: str) -> Any:
        """The plugin's `plugin_metadata`, an instance of its Metadata."""

    def public_api(self, method: str, uri: str) -> "Handler | None":
        """The handler that some plugin offers under that method and URI."""


Handler = Callable[[Request], Awaitable[Response]]


class PublicApi(Struct, frozen=True):
    """An endpoint that a plugin offers; a route with `public-api` makes it reachable."""

    methods: frozenset[str]
    uri: str
    handler: Handler


class Plugin:
    """Base of all plugins. An instance belongs to one route, with that route's config."""

    name: ClassVar[str]
    priority: ClassVar[int]
    """Of two plugins on one route the one with the higher priority comes first."""
    Config: ClassVar[type[Struct]] = Empty
    Metadata: ClassVar[type[Struct]] = Empty
    Attributes: ClassVar[type[Struct]] = Empty
    """What stands under `plugin_attr` in the config file; unknown keys are ignored as in APISIX."""

    def __init__(self, config: Any, gateway: Gateway) -> None:
        self.config = config
        self.gateway = gateway

    async def access(self, request: Request) -> Response | None:
        """Look at a request before it is sent on; a response ends its way here."""

    @classmethod
    def public_apis(cls, gateway: Gateway, attributes: Any) -> list[PublicApi]:
        """The endpoints that this plugin offers while it is enabled."""
        return []
