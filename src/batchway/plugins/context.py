"""One request on its way through the gateway, as the plugins see it."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from batchway.model import Calls, Origin, Request
from batchway.plugins.variables import request_variable

if TYPE_CHECKING:
    from batchway.plugins.base import Plugin

_CONSUMER_HEADERS = (b"x-consumer-username", b"x-credential-identifier", b"x-consumer-custom-id")


class Consumer(Struct, frozen=True, eq=False):
    """Who sends requests."""

    username: str
    group_id: str | None = None
    labels: dict[str, str] = {}


class Credential(Struct, frozen=True, eq=False):
    """One way for a consumer to show who it is. `config` is the auth plugin's ConsumerConfig."""

    consumer: Consumer
    config: Any
    id: str | None = None


class Matched(Struct, frozen=True, eq=False):
    """The route that the request takes, as far as plugins may care."""

    id: str
    name: str | None = None
    service_id: str | None = None
    service_name: str | None = None
    hosts: tuple[str, ...] = ()
    """That it is for; none for every host."""

    def host(self, asked: str) -> str:
        """Which of them stands for the host `asked`, which is in lower case; `""` if none does."""
        if len(self.hosts) <= 1:
            return "".join(self.hosts)
        named = {host.lower(): host for host in self.hosts}
        ends = [host for host in named if host.startswith("*") and asked.endswith(host[1:])]
        return named.get(asked) or named.get(max(ends, key=len, default=""), "")


_NOWHERE = Matched("")


class Context:
    """What is known of a request, and what plugins make of it.

    `original` is the request as it came, which variables speak of; `request` is what goes on, and
    is replaced as a whole, by `change`: the items of a batch share parts of theirs.
    """

    __slots__ = (
        "asked",
        "began",
        "body_bytes",
        "calls",
        "consumer",
        "counted",
        "counting",
        "credential",
        "matched_uri",
        "original",
        "params",
        "path",
        "pipeline",
        "request",
        "route",
        "status",
        "upstream",
        "upstream_s",
        "upstream_status",
        "values",
    )

    def __init__(self, request: Request, path: str) -> None:
        """`path` is the request's, normalised: the variable `uri`."""
        self.original = request
        self.request = request
        self.path = path
        self.params: dict[str, str] = {}
        """What the route's `:name` and `*name` stand for."""
        self.route: Matched = _NOWHERE
        self.matched_uri = ""
        """Which of the route's paths led to it, as the route has it: `/a/*`."""
        self.consumer: Consumer | None = None
        self.credential: Credential | None = None
        self.values: dict[str, Any] = {}
        """For plugins. A value under the name of a variable is that variable's, before any other."""
        self.asked: dict[object, bool] = {}
        """Of plugins with a condition: whether it holds for this request."""
        self.pipeline: Any = None
        """The gateway's: which plugins the request goes through."""
        self.calls: Calls | None = None
        """Those that the request carries, where somebody takes note of them."""
        self.counting: tuple[Plugin, ...] = ()
        """Where calls are counted and not their request: the plugins to ask for each call."""
        self.counted: tuple[Plugin, ...] = ()
        """Those that have counted the request before its route was asked: for each call but the first."""
        self.began = time.perf_counter()
        self.status = 0
        """Of the answer, once there is one."""
        self.body_bytes = 0
        """Of the answer, once it is sent."""
        self.upstream_s: float | None = None
        """Seconds until the upstream's answer began; None if it was not asked."""
        self.upstream: Any = None
        """The upstream resource that was asked."""
        self.upstream_status: int | None = None
        """Of the upstream's answer, before any plugin has changed it."""

    def var(self, name: str) -> str | None:
        """The value of a variable: of the request, the route, the consumer or a plugin's."""
        value = self.values.get(name)
        if value is not None:
            return str(value)
        own = _OWN.get(name)
        if own is not None:
            return own(self)
        if name.startswith("uri_param_"):
            return self.params.get(name.removeprefix("uri_param_"))
        if name == "batch_id":
            batch = self.original.batch or self.request.carries or self.calls
            return None if batch is None else batch.id
        return request_variable(self.original, name)

    @property
    def duration_s(self) -> float:
        """Seconds since the request was taken up."""
        return time.perf_counter() - self.began

    # --- what goes on

    def change(self, **changes: Any) -> None:
        """Send on another request: fields of Request by name."""
        self.request = replace(self.request, **changes)

    def set_origin(self, origin: Origin) -> None:
        """Say where the request really came from, to all that comes after."""
        self.original = replace(self.original, origin=origin)
        self.request = replace(self.request, origin=origin)

    def set_header(self, name: str, value: str) -> None:
        """Send this header in place of any of its name."""
        key = name.lower().encode("latin-1")
        headers = self.request.headers.changed(removed=(key,), added=((key, value.encode("latin-1")),))
        self.change(headers=headers)

    def add_header(self, name: str, value: str) -> None:
        """Send this header too."""
        added = ((name.lower().encode("latin-1"), value.encode("latin-1")),)
        self.change(headers=self.request.headers.changed(added=added))

    def remove_header(self, name: str) -> None:
        """Send no header of that name."""
        key = name.lower().encode("latin-1")
        if self.request.headers.get(key) is not None:
            self.change(headers=self.request.headers.changed(removed=(key,)))

    def authenticate(self, credential: Credential) -> None:
        """The request is this consumer's; the upstream is told, whatever the client says.

        Source: apisix/consumer.lua, `attach_consumer`.
        """
        self.credential, self.consumer = credential, credential.consumer
        custom_id = credential.consumer.labels.get("custom_id")
        told = (
            (b"x-consumer-username", credential.consumer.username),
            (b"x-credential-identifier", credential.id),
            (b"x-consumer-custom-id", custom_id),
        )
        added = tuple((name, value.encode("latin-1", "replace")) for name, value in told if value)
        headers = self.request.headers
        # An upstream that speaks CGI or WSGI takes x_consumer_username for the same.
        alike = tuple(name for name, _ in headers.pairs if name.replace(b"_", b"-") in _CONSUMER_HEADERS)
        self.change(headers=headers.changed(removed=_CONSUMER_HEADERS + alike, added=added))

    # --- what is found out once for a batch

    def memo(self) -> dict[Any, Any]:
        """What the items of one batch share; a request that is no item has its own."""
        batch = self.original.batch
        return {} if batch is None else batch.memo


def _target(request: Request) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path


def _upstream_host(context: Context) -> str | None:
    """The Host header that the upstream got."""
    upstream, request = context.upstream, context.request
    if upstream is None:
        return None
    match upstream.pass_host:
        case "rewrite":
            return str(upstream.upstream_host)
        case "node":
            return request.upstream_addr or None
    host = request.headers.get(b"host")
    return request.origin.host if host is None else host.decode("latin-1")


def _node(context: Context) -> tuple[str, str]:
    """Address and port of the node that was asked last."""
    address, _, port = context.request.upstream_addr.rpartition(":")
    return address.strip("[]"), port


_OWN: dict[str, Callable[[Context], str | None]] = {
    "upstream_addr": lambda context: context.request.upstream_addr or None,
    "balancer_ip": lambda context: _node(context)[0] or None,
    "balancer_port": lambda context: _node(context)[1] or None,
    "uri": lambda context: context.path,
    "document_uri": lambda context: context.path,
    "route_id": lambda context: context.route.id or None,
    "route_name": lambda context: context.route.name,
    "service_id": lambda context: context.route.service_id,
    "service_name": lambda context: context.route.service_name,
    "consumer_name": lambda context: context.consumer.username if context.consumer else None,
    "consumer_group_id": lambda context: context.consumer.group_id if context.consumer else None,
    "credential_id": lambda context: context.credential.id if context.credential else None,
    "upstream_uri": lambda context: _target(context.request),
    "upstream_status": lambda context: (
        None if context.upstream_status is None else str(context.upstream_status)
    ),
    "upstream_scheme": lambda context: None if context.upstream is None else context.upstream.scheme,
    "upstream_host": lambda context: _upstream_host(context),
    "status": lambda context: str(context.status) if context.status else None,
    "body_bytes_sent": lambda context: str(context.body_bytes),
    "upstream_response_time": lambda context: (
        None if context.upstream_s is None else f"{context.upstream_s:.3f}"
    ),
    "request_time": lambda context: f"{context.duration_s:.3f}",
}
