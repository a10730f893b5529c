"""What config.yaml says, as frozen values. Times in seconds, sizes in bytes.

The defaults here are those of a batchway without a config file.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from batchway.model import Positive

Network = IPv4Network | IPv6Network
Seconds = Annotated[float, Meta(gt=0)]
Role = Literal["admin", "viewer"]
RouterKind = Literal["radixtree_host_uri", "radixtree_uri", "radixtree_uri_with_parameter"]


class Address(Struct, frozen=True):
    """An address to listen on. An IPv6 `host` stands without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class AdminKey(Struct, frozen=True):
    """A key to the Admin API. Its `key` shows in no repr."""

    name: str
    key: str
    role: Role

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("key", "***"), ("role", self.role)]

    def __repr__(self) -> str:
        return _shown(self)


class StoreSettings(Struct, frozen=True):
    """Where routes live: `path` is a file, relative to the working directory.

    A `yaml` one, which may be JSON by its name, is written by people and only read here.
    """

    kind: Literal["sqlite", "yaml"] = "sqlite"
    path: str = "data/batchway.db"


class DataEncryption(Struct, frozen=True):
    """Of secrets in the store. Its repr shows no key."""

    enabled: bool = True
    """Whether secrets are encrypted when they are written. They are decrypted in any case."""
    keyring: tuple[str, ...] = ()
    """The first encrypts, all decrypt. Empty: a generated key beside the store."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("enabled", self.enabled), ("keyring", "***" if self.keyring else ())]

    def __repr__(self) -> str:
        return _shown(self)


class LogSettings(Struct, frozen=True):
    """`auto` writes for people on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class ServerLimits(Struct, frozen=True):
    """What one connection may cost, on either side. A name in `_s` is in seconds."""

    max_header_bytes: Positive = 64 * 1024
    """Of one request: its request line and all its headers."""
    max_header_count: Positive = 100
    shutdown_grace_s: Seconds = 30.0
    """How long running requests may take to finish after SIGTERM."""
    keepalive_timeout_s: Seconds = 60.0
    """How long a client's idle connection stays open."""
    send_timeout_s: Seconds = 60.0
    """How long a client may take nothing of what is sent to it."""
    upstream_max_header_bytes: Positive = 64 * 1024
    """Of one answer: its status line and all its headers."""
    upstream_max_connections: Positive = 256
    """To one upstream node."""
    upstream_keepalive: Positive = 256
    """Idle connections kept to one upstream node."""
    upstream_idle_timeout_s: Seconds = 60.0
    """How long an idle connection to an upstream node is kept."""
    counter_keys: Positive = 65_536
    """Keys that `limit-count` counts at once; where there are more, some begin anew."""


class Settings(Struct, frozen=True):
    """All that config.yaml sets. Its repr shows no admin key and no plugin attribute."""

    node_listen: tuple[Address, ...] = (Address("127.0.0.1", 9080),)
    """Of the data plane; at least one."""
    router: RouterKind = "radixtree_host_uri"
    """How routes are found, see `batchway.gateway.router`."""
    delete_uri_tail_slash: bool = False
    """Whether `/a/` takes the routes of `/a`."""
    match_uri_encoded_slash: bool = False
    """Whether a `%2F` in a path is a part of its segment to routes, rather than a slash."""
    enable_admin: bool = True
    """Whether there is an Admin API."""
    admin_listen: Address = Address("127.0.0.1", 9180)
    enable_control: bool = True
    """Whether there is a control API: who reaches it may read how upstreams are."""
    control: Address = Address("127.0.0.1", 9090)
    admin_keys: tuple[AdminKey, ...] = ()
    """None has an empty key. Empty: nobody may use the Admin API."""
    allow_admin: tuple[Network, ...] = (ip_network("127.0.0.0/24"),)
    """Who may reach the Admin API. Empty: nobody."""
    plugins: tuple[str, ...] | None = None
    """Names of plugins that are on; None: all that batchway has."""
    plugin_attr: dict[str, dict[str, object]] = {}
    """By plugin name, as the file has it: whose plugin it is validates it."""
    real_ip_header: str = "x-real-ip"
    """In lower case."""
    real_ip_from: tuple[Network, ...] = ()
    """Peers whose real-IP header is believed. APISIX's default is 127.0.0.1; here it is nobody."""
    real_ip_recursive: bool = False
    enable_access_log: bool | None = None
    """None: if `access_log` says where to."""
    access_log: str | None = None
    """A file, or `stdout` or `stderr`; None: `logs/access.log`, if there is to be one."""
    access_log_format: str | None = None
    """As nginx's `log_format`; None: batchway's own."""
    access_log_format_escape: Literal["default", "json"] = "default"
    trusted_addresses: tuple[Network, ...] = ()
    """Peers whose `X-Forwarded-*` headers are believed."""
    dns_resolver: tuple[str, ...] = ()
    """Each an `ip` or `ip:port`, IPv6 with a port in brackets. Empty: those of the system."""
    dns_resolver_valid: Positive | None = None
    """Seconds that an answer is kept; None: its own TTL."""
    resolver_timeout: Seconds = 5.0
    ssl_trusted_certificate: str | None = None
    """PEM file of trusted CAs; None: those of the system. Not opened here."""
    expose_batch: bool = False
    """Whether the batch endpoint is reachable without a `public-api` route."""
    data_encryption: DataEncryption = DataEncryption()
    store: StoreSettings = StoreSettings()
    workers: Positive | Literal["auto"] = 1
    """Processes that serve; `auto`: one for each core."""
    log: LogSettings = LogSettings()
    limits: ServerLimits = ServerLimits()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        fields["plugin_attr"] = dict.fromkeys(self.plugin_attr, "***")
        return list(fields.items())

    def __repr__(self) -> str:
        return _shown(self)


def _shown(value: AdminKey | DataEncryption | Settings) -> str:
    fields = ", ".join(f"{name}={field!r}" for name, field in value.__rich_repr__())
    return f"{type(value).__name__}({fields})"
