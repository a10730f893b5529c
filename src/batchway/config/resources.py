"""Routes and upstreams: JSON documents in, frozen values out. No I/O.

Source: apache/apisix, `apisix/schema_def.lua` (3.x), for names, constraints and defaults. A
property that APISIX has and batchway has not is refused by name, and so is one that neither knows.
"""

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr, replace

from batchway.errors import InvalidResource

T = TypeVar("T", bound=Struct)

Id = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]+\Z", min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
Description = Annotated[str, Meta(max_length=256)]
Label = Annotated[str, Meta(pattern=r"^\S+\Z", min_length=1, max_length=64)]
Labels = Annotated[dict[str, Label], Meta(max_length=16)]
Host = Annotated[str, Meta(pattern=r"^\*?[0-9a-zA-Z._\[\]:-]+\Z")]
Uri = Annotated[str, Meta(min_length=1, max_length=4096)]
Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"]
Port = Annotated[int, Meta(ge=1, le=65535)]
Weight = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class Timeout(Struct, frozen=True, forbid_unknown_fields=True):
    """How long each step towards an upstream may take, in seconds."""

    connect: Seconds
    send: Seconds
    read: Seconds


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """One server of an upstream."""

    host: str
    """A name or an address; an IPv6 address stands without brackets."""
    weight: Weight
    port: Port = 0
    """0 where the document names none; `Upstream.node_list` has the scheme's port instead."""
    priority: Literal[0] = 0

    def __post_init__(self) -> None:
        force_setattr(self, "host", _plain_host(self.host))


class KeepalivePool(Struct, frozen=True, forbid_unknown_fields=True):
    """Idle connections kept to one node: how many, how long (seconds), for how many requests."""

    size: Positive = 256
    idle_timeout: Annotated[float, Meta(ge=0)] = 60
    requests: Positive = 1000


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS towards an upstream."""

    verify: bool = False


class Upstream(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Servers that answer for routes, and how to talk to them."""

    nodes: dict[str, Weight] | tuple[Node, ...]
    """As the document has it; read `node_list` instead."""
    id: Id | None = None
    name: Name | None = None
    desc: Description | None = None
    labels: Labels = {}
    type: Literal["roundrobin"] = "roundrobin"
    scheme: Literal["http", "https"] = "http"
    pass_host: Literal["pass", "node", "rewrite"] = "pass"  # noqa: S105 - no password
    upstream_host: Host | None = None
    timeout: Timeout = Timeout(60, 60, 60)
    retries: Count | None = None
    """None: as many as there are other nodes."""
    keepalive_pool: KeepalivePool | None = None
    """None: as `batchway.limits` says."""
    max_connections: Positive | None = None
    """Connections to one node, per worker. Ours: APISIX has no such limit."""
    tls: Tls = Tls()
    create_time: Count | None = None
    update_time: Count | None = None

    def __post_init__(self) -> None:
        if self.pass_host == "rewrite" and self.upstream_host is None:  # noqa: S105 - no password
            msg = '"upstream_host" is required when "pass_host" is "rewrite"'
            raise ValueError(msg)
        self.node_list()

    def node_list(self) -> tuple[Node, ...]:
        """The nodes in the document's order, each with its port."""
        default_port = 443 if self.scheme == "https" else 80
        nodes = self.nodes
        if isinstance(nodes, dict):
            nodes = tuple(_parse_node(address, weight) for address, weight in nodes.items())
        return tuple(node if node.port else replace(node, port=default_port) for node in nodes)


class Route(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which requests go through which plugins to which upstream."""

    id: Id | None = None
    uri: Uri | None = None
    """Read `uri_list` instead."""
    uris: Annotated[tuple[Uri, ...], Meta(min_length=1)] | None = None
    methods: tuple[Method, ...] = ()
    """Empty: every method."""
    host: Host | None = None
    """Read `host_list` instead."""
    hosts: Annotated[tuple[Host, ...], Meta(min_length=1)] | None = None
    priority: int = 0
    """The higher one is tried first."""
    upstream: Upstream | None = None
    upstream_id: Id | None = None
    plugins: dict[str, dict[str, Any]] | None = None
    status: Literal[0, 1] = 1
    """0: the route is switched off."""
    timeout: Timeout | None = None
    """Overrides the upstream's."""
    name: Name | None = None
    desc: Description | None = None
    labels: Labels = {}
    create_time: Count | None = None
    update_time: Count | None = None

    def __post_init__(self) -> None:
        for problem in _route_problems(self):
            raise ValueError(problem)

    @property
    def uri_list(self) -> tuple[str, ...]:
        """The paths it matches; a last character `*` stands for any rest."""
        return _one_or_many(self.uri, self.uris)

    @property
    def host_list(self) -> tuple[str, ...]:
        """The hosts it matches; empty for every host."""
        return _one_or_many(self.host, self.hosts)


def decode_route(document: object) -> Route:
    """The route that `document` (parsed JSON) describes. Raises InvalidResource."""
    return decode(_with_text_ids(document), Route, "route")


def decode_upstream(document: object) -> Upstream:
    """The upstream that `document` (parsed JSON) describes. Raises InvalidResource."""
    return decode(_with_text_ids(document), Upstream, "upstream")


def decode(document: object, kind: type[T], what: str, *, show_values: bool = True) -> T:
    """`document` (parsed JSON) as a `kind`.

    Raises InvalidResource with one line: `invalid {what}: property "a.b": expected X, got Y`.
    Without `show_values`, Y is only the type of the value: for documents that hold credentials.
    """
    try:
        value = msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        text = _explain(str(error), document, kind, show_values=show_values)
        msg = f"invalid {what}: {text}"
        raise InvalidResource(msg) from None
    if null := _find_null(document):
        msg = f"invalid {what}: property {_shown(null)}: expected a value, got null"
        raise InvalidResource(msg)
    return value


# --- what msgspec cannot express

_NODE_ADDRESS = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_HOST_NAME = re.compile(r"[0-9a-zA-Z._-]+")


def _plain_host(host: str) -> str:
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" not in bare and _HOST_NAME.fullmatch(host):
        return host
    try:
        IPv6Address(bare)
    except ValueError:
        msg = f"{_shown(host)} is no host name or address"
        raise ValueError(msg) from None
    return bare


def _parse_node(address: str, weight: int) -> Node:
    found = _NODE_ADDRESS.fullmatch(address)
    port = int(found["port"]) if found and found["port"] else 0
    if found is None or port > 65535 or (found["port"] and port == 0):
        msg = f'"nodes" names {_shown(address)}: expected host, host:port or [IPv6]:port'
        raise ValueError(msg)
    return Node(found["host"], weight, port)


def _one_or_many(one: str | None, many: tuple[str, ...] | None) -> tuple[str, ...]:
    return (one,) if one is not None else many or ()


def _route_problems(route: Route) -> Iterator[str]:
    if (route.uri is None) == (route.uris is None):
        yield 'exactly one of "uri" and "uris" is expected'
    if route.host is not None and route.hosts is not None:
        yield 'only one of "host" and "hosts" is expected'
    if route.upstream is not None and route.upstream_id is not None:
        yield 'only one of "upstream" and "upstream_id" is expected'
    if route.upstream is None and route.upstream_id is None and route.plugins is None:
        yield 'one of "upstream", "upstream_id" and "plugins" is required'
    for name in ("uris", "hosts", "methods"):
        values = getattr(route, name) or ()
        if len(set(values)) != len(values):
            yield f'"{name}" names a value twice'
    for uri in route.uri_list:
        yield from _uri_problems(uri)


def _uri_problems(uri: str) -> Iterator[str]:
    if not uri.startswith("/"):
        yield f'uri {_shown(uri)} must begin with "/"'
    if "*" in uri[:-1]:
        yield f'uri {_shown(uri)}: "*" before the last character is not supported by batchway'
    if "/:" in uri:
        yield f'uri {_shown(uri)}: parameters (":name") are not supported by batchway'


def _with_text_ids(document: object) -> object:
    """`document` with integer ids as text: APISIX takes both."""
    if not isinstance(document, dict):
        return document
    changed: dict[str, object] = {
        name: str(value)
        for name in ("id", "upstream_id")
        if type(value := document.get(name)) is int and value >= 1
    }
    if "upstream" in document:
        changed["upstream"] = _with_text_ids(document["upstream"])
    return document | changed


def _find_null(document: object) -> str:
    """A property that is null, or "": APISIX refuses it, msgspec takes it for absent."""
    if not isinstance(document, dict):
        return ""
    for name, value in document.items():
        if value is None:
            return str(name)
    inner = _find_null(document.get("upstream"))
    return inner and f"upstream.{inner}"


# --- msgspec's messages in our words

_NOT_SUPPORTED: dict[type[Struct], frozenset[str]] = {
    Route: frozenset(
        "enable_websocket filter_func plugin_config_id remote_addr remote_addrs script script_id"
        " service_id service_protocol vars".split()
    ),
    Upstream: frozenset(
        "checks discovery_args discovery_type hash_on key retry_timeout service_name".split()
    ),
    Node: frozenset(["metadata"]),
    Tls: frozenset(["ca_id", "client_cert", "client_cert_id", "client_key"]),
}
"""APISIX's properties that batchway does not have."""

_VALUES_NOT_SUPPORTED: dict[tuple[type[Struct], str], Callable[[object], bool]] = {
    (Upstream, "type"): {"chash", "ewma", "least_conn"}.__contains__,
    (Upstream, "scheme"): {"grpc", "grpcs", "tcp", "tls", "udp", "kafka"}.__contains__,
    (Node, "priority"): lambda value: True,
}
"""APISIX's values that batchway does not have."""

_DICT_VALUES: dict[str, Any] = {"labels": Label, "nodes": Weight, "plugins": dict[str, Any]}
"""Types of values in properties with free keys: msgspec does not tell which key it was."""

_PATH = re.compile(r"(?P<text>.*) - at `\$(?P<path>[^`]*)`", re.DOTALL)
_PATH_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


def _explain(message: str, document: object, kind: type[Struct], *, show_values: bool) -> str:
    parts = _PATH.fullmatch(message)
    text, path = (parts["text"], parts["path"]) if parts else (message, "")
    where, value, owner = _locate(path, document, kind)
    if unknown := _UNKNOWN.fullmatch(text):
        return _explain_unknown(unknown[1], where, owner)
    if missing := _MISSING.fullmatch(text):
        return f"property {_shown(_joined(where, missing[1]))} is required"
    prefix = f"property {_shown(where)}: " if where else ""
    got = _shown(value) if show_values else _type_name(value)
    if text.startswith("Invalid enum value"):
        return prefix + _explain_choice(where.rpartition(".")[2], value, owner, got)
    if not text.startswith("Expected"):
        return prefix + text  # from a __post_init__
    expected = text.partition(", got")[0].replace("`", "").replace(" | null", "")
    return f"{prefix}{expected[0].lower()}{expected[1:]}, got {got}"


def _explain_unknown(name: str, where: str, owner: type[Struct]) -> str:
    shown = _shown(_joined(where, name))
    if name in _NOT_SUPPORTED.get(owner, ()):
        return f"property {shown} is not supported by batchway"
    return f"unknown property {shown}"


def _explain_choice(step: str, value: object, owner: type[Struct], got: str) -> str:
    name = step.partition("[")[0]
    choices = [_shown(choice) for choice in _literals(get_type_hints(owner)[name])]
    expected = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    is_apisix = _VALUES_NOT_SUPPORTED.get((owner, name))
    if is_apisix is not None and is_apisix(value):
        return f"{got} is not supported by batchway, expected {expected}"
    return f"expected {expected}, got {got}"


def _literals(annotation: object) -> Iterator[object]:
    """The values that a Literal allows, wherever it stands in `annotation`."""
    for arg in get_args(annotation):
        if isinstance(arg, str | int):
            yield arg
        else:
            yield from _literals(arg)


def _locate(path: str, value: Any, owner: type[Struct]) -> tuple[str, object, type[Struct]]:
    """Where msgspec's `path` leads: as text, the value there, the Struct that it belongs to."""
    where = ""
    for name, index in _PATH_STEP.findall(path):
        step = name or (_culprit(where, value) if index == "..." else int(index))
        try:
            value = value[step]
        except (LookupError, TypeError):  # no path, but a property that is named like one
            break
        if name:
            owner = _struct_in(get_type_hints(owner).get(name)) or owner
        where = _joined(where, name) if name else f"{where}[{step}]"
    return where, value, owner


def _struct_in(annotation: object) -> type[Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _struct_in(arg))), None)


def _culprit(where: str, values: dict[str, object]) -> str:
    """The key whose value is not what the property at `where` asks for."""
    wanted = _DICT_VALUES.get(where.rpartition(".")[2], Any)
    for key, value in values.items():
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            return key
    return ""


def _joined(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _shown(value: object) -> str:
    """A scalar as JSON, cut short; of anything else the type and size."""
    if isinstance(value, dict | list):
        return f"{_type_name(value)} of length {len(value)}"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:79]}…"


def _type_name(value: object) -> str:
    names = {dict: "object", list: "array", str: "str", bool: "bool", type(None): "null"}
    return names.get(type(value), type(value).__name__)
