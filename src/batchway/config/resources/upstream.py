"""Upstreams. Source: apache/apisix, `apisix/schema_def.lua` (3.x)."""

import re
from ipaddress import IPv6Address
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr, replace

from batchway.config.resources.checks import Checks
from batchway.config.resources.common import (
    Count,
    Description,
    Host,
    Id,
    Labels,
    Name,
    Port,
    Positive,
    Timeout,
    Weight,
    shown,
)

Pem = Annotated[str, Meta(min_length=128, max_length=64 * 1024)]


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """One server of an upstream."""

    host: str
    """A name or an address; an IPv6 address stands without brackets."""
    weight: Weight
    port: Port = 0
    """0 where the document names none; `Upstream.node_list` has the scheme's port instead."""
    priority: int = 0
    """Nodes of a lower one are asked only when none of a higher one can be."""
    metadata: dict[str, Any] | None = None
    """For the operator; batchway does not read it."""

    def __post_init__(self) -> None:
        force_setattr(self, "host", _plain_host(self.host))


class KeepalivePool(Struct, frozen=True, forbid_unknown_fields=True):
    """Idle connections kept to one node: how many, how long (seconds), for how many requests."""

    size: Positive = 256
    idle_timeout: Annotated[float, Meta(ge=0)] = 60
    requests: Positive = 1000


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS towards an upstream. The certificate and its key are PEM."""

    client_cert: Pem | None = None
    client_key: Pem | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            msg = '"client_cert" and "client_key" are expected together'
            raise ValueError(msg)


class Upstream(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Servers that answer for routes, and how to talk to them."""

    nodes: dict[str, Weight] | tuple[Node, ...]
    """As the document has it; read `node_list` instead."""
    id: Id | None = None
    name: Name | None = None
    desc: Description | None = None
    labels: Labels = {}
    type: Literal["roundrobin", "chash", "least_conn", "ewma"] = "roundrobin"
    hash_on: Literal["vars", "header", "cookie", "consumer", "vars_combinations"] = "vars"
    """For `chash`: what `key` names."""
    key: str | None = None
    scheme: Literal["http", "https"] = "http"
    pass_host: Literal["pass", "node", "rewrite"] = "pass"  # noqa: S105 - no password
    upstream_host: Host | None = None
    timeout: Timeout = Timeout(60, 60, 60)
    retries: Count | None = None
    """None: as many as there are other nodes."""
    retry_timeout: Annotated[float, Meta(ge=0)] = 0
    """Seconds after which no other node is tried any more; 0: no such bound."""
    keepalive_pool: KeepalivePool | None = None
    """None: as `batchway.limits` says."""
    max_connections: Positive | None = None
    """Connections to one node, per worker. Ours: APISIX has no such limit."""
    tls: Tls = Tls()
    checks: Checks | None = None
    create_time: Count | None = None
    update_time: Count | None = None

    def __post_init__(self) -> None:
        if self.pass_host == "rewrite" and self.upstream_host is None:  # noqa: S105 - no password
            msg = '"upstream_host" is required when "pass_host" is "rewrite"'
            raise ValueError(msg)
        if self.type == "chash":
            _check_key(self.hash_on, self.key)
        self.node_list()

    def node_list(self) -> tuple[Node, ...]:
        """The nodes in the document's order, each with its port."""
        default_port = 443 if self.scheme == "https" else 80
        nodes = self.nodes
        if isinstance(nodes, dict):
            nodes = tuple(_parse_node(address, weight) for address, weight in nodes.items())
        return tuple(node if node.port else replace(node, port=default_port) for node in nodes)


_HASH_VARIABLE = re.compile(
    r"uri|server_name|server_addr|request_uri|remote_port|remote_addr|query_string|host|hostname"
    r"|mqtt_client_id|arg_[0-9a-zA-Z_-]+"
)
_HASH_NAME = re.compile(r"[a-zA-Z0-9_-]+")


def _check_key(hash_on: str, key: str | None) -> None:
    """Raises ValueError unless `key` says where the value to hash is."""
    if hash_on == "consumer":
        return
    if key is None:
        msg = '"key" is required when "type" is "chash"'
        raise ValueError(msg)
    if hash_on == "vars_combinations":
        fits = "$" in key
    else:
        pattern = _HASH_VARIABLE if hash_on == "vars" else _HASH_NAME
        fits = pattern.fullmatch(key.removeprefix("http_") if hash_on == "header" else key) is not None
    if not fits:
        msg = f'"key" {shown(key)} is none that "hash_on" {shown(hash_on)} takes'
        raise ValueError(msg)


_NODE_ADDRESS = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_HOST_NAME = re.compile(r"[0-9a-zA-Z._-]+")


def _plain_host(host: str) -> str:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" not in bare and _HOST_NAME.fullmatch(host):
        return host
    try:
        IPv6Address(bare)
    except ValueError:
        msg = f"{shown(host)} is no host name or address"
        raise ValueError(msg) from None
    return bare


def _parse_node(address: str, weight: int) -> Node:
    found = _NODE_ADDRESS.fullmatch(address)
    port = int(found["port"]) if found and found["port"] else 0
    if found is None or port > 65535 or (found["port"] and port == 0):
        msg = f'"nodes" names {shown(address)}: expected host, host:port or [IPv6]:port'
        raise ValueError(msg)
    return Node(found["host"], weight, port)
