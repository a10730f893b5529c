"""What a plugin is: one class with a name, a config, a priority, and the phases it takes part in."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from batchway.model import BatchReport, Request, Response
from batchway.plugins.context import Consumer, Context, Credential
from batchway.upstream import UpstreamHealth


class Empty(Struct, frozen=True, forbid_unknown_fields=True):
    """The config of a plugin that has nothing to set."""


class NoAttributes(Struct, frozen=True):
    """Of a plugin to which `plugin_attr` has nothing to say. APISIX's may have something to say to it."""


class Counters(Protocol):
    """Counts by key, each within a window of time that begins with the key's first count."""

    def take(self, key: str, cost: int, limit: int, window_s: float, now: float) -> tuple[int, float]:
        """What is left of `limit` after taking `cost`, and the seconds until the window ends.

        -1 is left when there was not enough: nothing is taken then. `now` in seconds, of any clock
        that all callers share.
        """


class Gateway(Protocol):
    """What a plugin may ask of the gateway it works in."""

    @property
    def counters(self) -> Counters:
        """What counts across all workers."""

    async def handle(self, request: Request) -> Response:
        """Answer a request as if it had come from the wire."""

    def metadata(self, name: str) -> Any:
        """The plugin's `plugin_metadata`, an instance of its Metadata."""

    def attributes(self, name: str) -> Any:
        """The plugin's `plugin_attr`, an instance of its Attributes."""

    def public_api(self, method: str, uri: str) -> "Handler | None":
        """The handler that some plugin offers under that method and URI."""

    def credential(self, name: str, identity: str) -> Credential | None:
        """The credential of the auth plugin `name` whose `identity` field has that value."""

    def credentials(self, name: str) -> list[Credential]:
        """All credentials of that auth plugin."""

    @property
    def note_batch(self) -> Callable[[BatchReport], None] | None:
        """What takes note of batches; None if nothing does."""

    @property
    def is_observed(self) -> bool:
        """Whether something takes note of every request, and of the calls that it carries."""

    def consumer(self, username: str) -> Consumer | None:
        """The consumer of that name."""

    def names(self, kind: str) -> Collection[str]:
        """By what the `routes`, `services` or `consumers` that there are go: their ids, and their names."""

    def health(self) -> Collection[UpstreamHealth]:
        """Of every upstream that has checks, whatever resource it stands in."""

    async def fetch(self, url: str) -> bytes:
        """The body of the answer 200 to a GET: at most 64 KiB, within seconds, no redirect followed.

        Raises UpstreamError for any other answer and for none.
        """

    def build(self, name: str, config: object, owner: str) -> "Plugin | None":
        """Another plugin, for one that is made of others; None if its `_meta` disables it.

        Raises InvalidResource.
        """


Handler = Callable[[Request], Awaitable[Response]]


class Plugins(Protocol):
    """The plugins that are enabled."""

    @property
    def plugins(self) -> "Mapping[str, type[Plugin]]":
        """By name."""

    def check_plugin(self, name: str, config: object, *, consumer: bool = False) -> Struct:
        """The plugin's config. Raises InvalidResource."""

    def attributes(self, name: str) -> Any:
        """The `plugin_attr` of an enabled plugin, or its defaults."""


class PublicApi(Struct, frozen=True):
    """An endpoint that a plugin offers; a route with `public-api` makes it reachable."""

    methods: frozenset[str]
    uri: str
    handler: Handler


class Plugin:
    """Base of all plugins. An instance belongs to what its config stands in: a route, a consumer…

    A request goes through `rewrite` of all its plugins, then `access`, then to the upstream; whatever
    the answer is, be it a plugin's own, goes through `filter_response`, and last comes `log`.
    """

    name: ClassVar[str]
    priority: ClassVar[int]
    """Of two plugins the one with the higher priority comes first in each phase."""
    version: ClassVar[str] = "0.1"
    is_auth: ClassVar[bool] = False
    """Whether it finds out who the consumer is, and a consumer holds its ConsumerConfig."""
    Config: ClassVar[type[Struct]] = Empty
    ConsumerConfig: ClassVar[type[Struct] | None] = None
    """Of an auth plugin: what a consumer or a credential says of it."""
    identity: ClassVar[str] = ""
    """Of an auth plugin: the field of ConsumerConfig that a credential is found by."""
    Metadata: ClassVar[type[Struct]] = Empty
    Attributes: ClassVar[type[Struct]] = NoAttributes
    """What stands under `plugin_attr` in the config file; a warning names keys that it does not have."""
    secrets: ClassVar[tuple[str, ...]] = ()
    """Fields of Config and ConsumerConfig, as dotted paths, that are encrypted in the store."""
    counts: ClassVar[bool] = False
    """Whether it counts requests, by `count`."""
    has_calls: ClassVar[bool] = False
    """Whether a request to it carries calls, each of them counted by `Context.counting`, `counted`."""

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        """`owner` names what the config stands in, such as `/routes/1`. Raises InvalidResource."""
        self.config = config
        self.gateway = gateway
        self.owner = owner

    async def rewrite(self, context: Context) -> Response | None:
        """Find out who asks, change what goes on; a response ends the request's way here."""

    async def access(self, context: Context) -> Response | None:
        """Decide whether the request may go on; a response ends its way here."""
        return await self.count(context) if self.counts else None

    async def count(self, context: Context) -> Response | None:
        """Count one request, or one call of those that it carries; a response refuses it."""

    async def filter_response(self, context: Context, response: Response) -> Response:
        """What the client gets in place of `response`. Closes a body that it does not pass on."""
        return response

    def log(self, context: Context) -> None:
        """Take note of a request that is over."""

    def close(self) -> None:
        """Free what it holds: its config is there no more."""

    @classmethod
    def check(cls, config: Any, registry: "Plugins") -> None:
        """Raises InvalidResource for a config that its Struct takes and the plugin does not."""

    @classmethod
    def batch_over(cls, report: BatchReport) -> None:
        """Take note of a batch that is over, whatever route it came by, while the plugin is enabled."""

    @classmethod
    def public_apis(cls, gateway: Gateway, attributes: Any) -> list[PublicApi]:
        """The endpoints that this plugin offers while it is enabled."""
        return []


def takes_part(plugin: Plugin, phase: str) -> bool:
    """Whether the plugin's class has that phase for its own."""
    own = getattr(type(plugin), phase) is not getattr(Plugin, phase)
    return own or (phase == "access" and plugin.counts)
