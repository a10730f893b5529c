"""The kinds of resources: a table entry each. Source: apisix/admin/*.lua (3.x)."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from batchway.admin.access import PluginSchemas
from batchway.config.resources import (
    Checks,
    Consumer,
    ConsumerGroup,
    Credential,
    GlobalRule,
    PluginConfig,
    Route,
    Service,
    Upstream,
    decode_resource,
)
from batchway.errors import InvalidResource
from batchway.upstream import check_certificate

Document = dict[str, Any]
Check = Callable[[str, Document, PluginSchemas], None]

_ID = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_USERNAME = re.compile(r"[a-zA-Z0-9_-]{1,100}")


class Kind(Struct, frozen=True):
    """What sets one kind of resource apart."""

    name: str
    """In the path and in the key: `routes`."""
    singular: str
    """In messages: `route`."""
    struct: type[Struct] | None
    """What a document becomes; None if that depends on its id."""
    check: Check
    """Raises InvalidResource for a document that is none of this kind."""
    defaults: dict[str, object] = {}
    """What a stored document says where the user's is silent."""
    references: dict[str, str] = {}
    """Properties that hold the id of a resource, and its kind."""
    refused: frozenset[str] = frozenset()
    """Methods that APISIX has not for this kind either."""
    id_name: str = "id"
    """The property that holds the id."""
    id_form: re.Pattern[str] = _ID
    id_expected: str = "1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'"
    parent: str = ""
    """The kind that it stands below."""
    upstream_at: tuple[str, ...] | None = None
    """Where in the document an upstream stands."""
    is_plain: bool = False
    """The document holds neither id nor times, and its id is a plugin's name."""


class Place(Struct, frozen=True):
    """Where a resource stands; without an `id`, all those of a kind."""

    kind: Kind
    id: str | None = None
    parent: str = ""
    """The id of the resource that it stands below."""

    @property
    def collection(self) -> str:
        """What keys of these resources begin with."""
        kind = self.kind
        return f"/{kind.parent}/{self.parent}/{kind.name}/" if kind.parent else f"/{kind.name}/"

    @property
    def key(self) -> str:
        """The key in the store. Raises InvalidResource if there is no id, or none that may be one."""
        return self.collection + check_id(self.kind, self.id)

    def has(self, key: str) -> bool:
        """Whether a resource of this collection stands at `key`, and not one below another."""
        return key.startswith(self.collection) and "/" not in key[len(self.collection) :]


def check_id(kind: Kind, id_: str | None) -> str:
    """`id_`, if it is one. Raises InvalidResource."""
    if id_ is None:
        what = {"": "plugin name", "username": "consumer name"}.get(kind.id_name, f"{kind.singular} id")
        msg = f"missing {what}"
        raise InvalidResource(msg)
    if not kind.id_form.fullmatch(id_):
        msg = f"invalid {kind.singular} id: expected {kind.id_expected}"
        raise InvalidResource(msg)
    return id_


# --- checks of documents


def _checker(struct: type[Struct], what: str, *, consumer: bool = False) -> Check:
    def check(_id: str, document: Document, plugins: PluginSchemas) -> None:
        # what a consumer holds may be its password, however wrong the place it stands in
        decoded = decode_resource(document, struct, what, show_values=not consumer)
        for name, config in (getattr(decoded, "plugins", None) or {}).items():
            plugins.check_plugin(name, config, consumer=consumer)
        upstream = decoded if isinstance(decoded, Upstream) else getattr(decoded, "upstream", None)
        if upstream is not None:
            check_certificate(upstream)

    return check


_check_credential_document = _checker(Credential, "credential", consumer=True)


def _check_credential(id_: str, document: Document, plugins: PluginSchemas) -> None:
    _check_credential_document(id_, document, plugins)
    names = document.get("plugins")
    if not names:
        msg = 'invalid credential: property "plugins": expected exactly one auth plugin'
        raise InvalidResource(msg)
    if not all(plugins.plugins[name].is_auth for name in names):
        msg = "only supports auth type plugins in consumer credential"
        raise InvalidResource(msg)


def _check_metadata(name: str, document: Document, plugins: PluginSchemas) -> None:
    plugins.check_metadata(name, document)


# --- defaults that are stored


def _defaults_of(struct: type[Struct]) -> dict[str, object]:
    """What the Struct says where a document is silent, objects inside it too."""
    found = {field.name: _default_of(field) for field in fields(struct)}
    return {name: value for name, value in found.items() if value not in (None, ())}


def _default_of(field: FieldInfo) -> object:
    inner = next((arg for arg in _alternatives(field.type) if _is_struct(arg)), None)
    if inner is not None:
        return _defaults_of(inner)
    return None if field.default is msgspec.NODEFAULT else msgspec.to_builtins(field.default)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))


def _is_struct(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Struct)


_UPSTREAM_DEFAULTS: dict[str, object] = {
    "type": "roundrobin",
    "hash_on": "vars",
    "scheme": "http",
    "pass_host": "pass",
    "checks": _defaults_of(Checks),
}


def with_defaults(document: Document, defaults: dict[str, object]) -> Document:
    """`document` with what it leaves out. Defaults of an inner object apply only where it is there."""
    filled = dict(document)
    for name, default in defaults.items():
        if not isinstance(default, dict):
            filled.setdefault(name, default)
        elif isinstance(inner := filled.get(name), dict):
            filled[name] = with_defaults(inner, default)
    return filled


# --- the table; what others name stands before what names it

_NO_POST = frozenset({"POST"})
_ONLY_PUT = frozenset({"POST", "PATCH"})

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "upstreams",
            "upstream",
            Upstream,
            _checker(Upstream, "upstream"),
            defaults=_UPSTREAM_DEFAULTS,
            upstream_at=(),
        ),
        Kind(
            "services",
            "service",
            Service,
            _checker(Service, "service"),
            defaults={"upstream": _UPSTREAM_DEFAULTS},
            references={"upstream_id": "upstreams"},
            upstream_at=("upstream",),
        ),
        Kind(
            "plugin_configs",
            "plugin config",
            PluginConfig,
            _checker(PluginConfig, "plugin config"),
            refused=_NO_POST,
        ),
        Kind(
            "consumer_groups",
            "consumer group",
            ConsumerGroup,
            _checker(ConsumerGroup, "consumer group"),
            refused=_NO_POST,
        ),
        Kind(
            "consumers",
            "consumer",
            Consumer,
            _checker(Consumer, "consumer", consumer=True),
            references={"group_id": "consumer_groups"},
            refused=_ONLY_PUT,
            id_name="username",
            id_form=_USERNAME,
            id_expected="1 to 100 of a-z, A-Z, 0-9, '-' and '_'",
        ),
        Kind(
            "credentials",
            "credential",
            Credential,
            _check_credential,
            refused=_ONLY_PUT,
            parent="consumers",
        ),
        Kind(
            "global_rules",
            "global rule",
            GlobalRule,
            _checker(GlobalRule, "global rule"),
            refused=_NO_POST,
        ),
        Kind(
            "plugin_metadata",
            "plugin metadata",
            None,
            _check_metadata,
            refused=_NO_POST,
            id_name="",
            is_plain=True,
        ),
        Kind(
            "routes",
            "route",
            Route,
            _checker(Route, "route"),
            defaults={"status": 1, "priority": 0, "upstream": _UPSTREAM_DEFAULTS},
            references={
                "upstream_id": "upstreams",
                "service_id": "services",
                "plugin_config_id": "plugin_configs",
            },
            upstream_at=("upstream",),
        ),
    )
}

NOT_SUPPORTED = {
    "protos": "gRPC transcoding",
    "ssls": "TLS towards clients",
    "stream_routes": "TCP and UDP proxying",
    "secrets": "secret managers",
}
"""APISIX's kinds that batchway does not have, and what they are for."""


def locate(key: str) -> Place | None:
    """What stands at a key of the store, such as `/routes/1`; None for a key that is none of ours."""
    match key.split("/"):
        case ["", parent, parent_id, name, id_]:
            kind = KINDS.get(name)
            return Place(kind, id_, parent_id) if kind and kind.parent == parent else None
        case ["", name, id_]:
            kind = KINDS.get(name)
            return Place(kind, id_) if kind and not kind.parent else None
    return None
