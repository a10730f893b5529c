"""What may stand in config.yaml: one table of sections and readers.

What a reader returns goes into the settings' field of the same name (`admin_key` into
`admin_keys`, `router.http` into `router`, a file of resources into `store`).
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args

from batchway.config import known
from batchway.config.place import Place
from batchway.config.readers import (
    Reader,
    Section,
    choice,
    count,
    flag,
    header_name,
    host,
    listing,
    mapping,
    name_server,
    network,
    port,
    seconds,
    section,
    substituted,
    switch,
    text,
)
from batchway.config.settings import (
    Address,
    AdminKey,
    DataEncryption,
    LogSettings,
    Network,
    RouterKind,
    ServerLimits,
    Settings,
    StoreSettings,
)

T = TypeVar("T")

MIN_KEY_LENGTH = 16
"""Of a key that encrypts data: APISIX's have exactly as many characters."""

# What a header may carry, without the blanks at its ends that would be cut off.
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")

# A number above that is a slip, and would bring the machine down.
_MAX_WORKERS = 256


# --- listeners


def _address(default: Address) -> Reader[Address]:
    """A reader of `{ip, port}`, either of which may be missing."""
    schema = Section({"ip": host, "port": port}, known.LISTEN)

    def read(value: object, place: Place) -> Address:
        found = section(schema, value, place)
        return Address(found.get("ip", default.host), found.get("port", default.port))

    return read


# As in APISIX: who names a port but no address gets all addresses.
_node_address = _address(Address("0.0.0.0", 9080))  # noqa: S104 - asked for by the operator


def _node(value: object, place: Place) -> Address:
    if isinstance(value, dict):
        return _node_address(value, place)
    return Address("0.0.0.0", port(value, place))  # noqa: S104 - asked for by the operator


def _nodes(value: object, place: Place) -> tuple[Address, ...]:
    """A port, an `{ip, port}`, or a list of them. The same address twice is one listener."""
    if not isinstance(value, list):
        return (_node(value, place),)
    if not value:
        raise place.error("expected at least one port, got an empty list")
    return tuple(dict.fromkeys(listing(_node)(value, place)))


# --- the Admin API's keys


def _key(value: object, place: Place) -> str:
    """A key; empty if the file has an empty one, as the one that APISIX ships.

    One that is empty because its variable is empty is an error: to generate a key would overwrite
    the variable in the file.
    """
    if value == "":
        return ""
    if not isinstance(value, str):
        raise place.expected("a string, in quotes", value)
    found = place.text(value)
    if not _HEADER_VALUE.fullmatch(found):
        raise place.error("expected printable ASCII that fits a header, and not empty")
    return found


_KEY = Section({"name": text, "key": _key, "role": choice("admin", "viewer")})


def _admin_key(value: object, place: Place) -> AdminKey:
    found = section(_KEY, value, place)
    role = found.get("role")
    if role is None:
        raise place.key("role").error("expected admin or viewer, got nothing")
    return AdminKey(found.get("name", role), found.get("key", ""), role)


def _admin_keys(value: object, place: Place) -> tuple[AdminKey, ...]:
    """The keys that are not empty."""
    if value == "":
        return ()
    keys = listing(_admin_key)(value, place.hidden())
    kept = tuple(key for key in keys if key.key)
    if kept and len(kept) < len(keys):
        at = ", ".join(str(place.item(index)) for index, key in enumerate(keys) if not key.key)
        place.reading.remarks.append(f"{place.reading.path}: {at}: no key, so nobody can use it")
    return kept


# --- secrets in the store


def _keyring(value: object, place: Place) -> tuple[str, ...]:
    """One key, or several."""
    hidden = place.hidden()
    return listing(_data_key)(value if isinstance(value, list) else [value], hidden)


def _data_key(value: object, place: Place) -> str:
    found = text(value, place)
    if len(found) < MIN_KEY_LENGTH:
        raise place.error(f"expected at least {MIN_KEY_LENGTH} characters")
    return found


_DATA_ENCRYPTION = Section({"enable_encrypt_fields": flag, "keyring": _keyring})


def _data_encryption(value: object, place: Place) -> DataEncryption:
    found = section(_DATA_ENCRYPTION, value, place)
    return DataEncryption(found.get("enable_encrypt_fields", True), found.get("keyring", ()))


# --- plugins


def _plugins(value: object, place: Place) -> tuple[str, ...]:
    """The names that batchway knows, each once; the others are noted."""
    names = dict.fromkeys(listing(text)(value, place))
    has = place.reading.known_plugins
    place.reading.missing_plugins += [name for name in names if name not in has]
    return tuple(name for name in names if name in has)


def _plugin_attr(value: object, place: Place) -> dict[str, dict[str, object]]:
    """The attributes of the plugins that batchway knows; the others are noted."""
    attributes = {}
    for name, inner in mapping(value, place).items():
        here = place.key(name)
        if name not in place.reading.known_plugins:
            place.reading.unused.append(str(here))
        elif inner is not None:
            attributes[name] = {
                str(key): substituted(attribute, here.key(key))
                for key, attribute in mapping(inner, here).items()
            }
    return attributes


# --- resources in a file

_FILES = {"yaml": "apisix.yaml", "json": "apisix.json"}


def _config_provider(value: object, place: Place) -> StoreSettings | None:
    """The file of resources beside config.yaml; None for a provider that batchway has no use for."""
    name = _FILES.get(str(place.plain(value)))
    if name is None:
        place.reading.unused.append(str(place))
        return None
    return StoreSettings("yaml", str(place.reading.path.with_name(name)))


_DATA_PLANE = Section({"config_provider": _config_provider}, known.DATA_PLANE)


def _role_data_plane(value: object, place: Place) -> StoreSettings | None:
    """The same, for who has the role."""
    file: StoreSettings | None = section(_DATA_PLANE, value, place).get("config_provider")
    return file


def _role(value: object, place: Place) -> str:
    found = str(place.plain(value))
    if found != "data_plane":
        place.reading.unused.append(str(place))
    return found


# --- what has a peculiar value or two


def _real_ip_from(value: object, place: Place) -> tuple[Network, ...]:
    """As in nginx, where `unix:` means peers on a Unix socket: batchway has none."""

    def peer(value: object, place: Place) -> Network | None:
        return None if value == "unix:" else network(value, place)

    return tuple(found for found in listing(peer)(value, place) if found is not None)


def _certificate(value: object, place: Place) -> str | None:
    found = text(value, place)
    if "," in found:  # APISIX 3.14 and newer
        raise place.expected("one PEM file, or system", value)
    return None if found == "system" else found


def _no_servlet_paths(value: object, place: Place) -> bool:
    """Not to be passed over: where `/hello;x` is `/hello` to the upstream, it was to the routes, too."""
    if flag(value, place):
        raise place.expected("false: paths as servlets have them are not supported", value)
    return False


def _no_https(value: object, place: Place) -> bool:
    """Not to be passed over: keys would travel in the clear where they were meant not to."""
    if flag(value, place):
        raise place.expected("false: TLS is not supported here today", value)
    return False


def _workers(value: object, place: Place) -> int | Literal["auto"]:
    found = place.plain(value)
    if found == "auto":
        return "auto"
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found <= _MAX_WORKERS:
        raise place.expected(f"auto, or a whole number from 1 to {_MAX_WORKERS}", value)
    return found


def _store_kind(value: object, place: Place) -> str:
    if place.plain(value) != "sqlite":
        raise place.expected("sqlite, the only store that is supported today", value)
    return "sqlite"


def _struct(kind: type[T], fields: Mapping[str, Reader[Any]]) -> Reader[T]:
    """A reader of a mapping that becomes a `kind`."""
    schema = Section(fields)

    def read(value: object, place: Place) -> T:
        return kind(**section(schema, value, place))

    return read


_LIMITS: dict[str, Reader[Any]] = {
    name: seconds if name.endswith("_s") else count for name in ServerLimits.__struct_fields__
}

SCHEMA = Section(
    {
        "apisix": Section(
            {
                "node_listen": _nodes,
                "router": Section({"http": choice(*get_args(RouterKind))}, known.ROUTER),
                "delete_uri_tail_slash": flag,
                "match_uri_encoded_slash": flag,
                "enable_admin": flag,
                "normalize_uri_like_servlet": _no_servlet_paths,
                "enable_control": flag,
                "control": _address(Settings().control),
                "data_encryption": _data_encryption,
                "trusted_addresses": listing(network),
                "dns_resolver": listing(name_server),
                "dns_resolver_valid": count,
                "resolver_timeout": seconds,
                "ssl": Section({"ssl_trusted_certificate": _certificate}, known.SSL),
            },
            known.APISIX,
        ),
        "nginx_config": Section(
            {
                "http": Section(
                    {
                        "real_ip_header": header_name,
                        "real_ip_from": _real_ip_from,
                        "real_ip_recursive": switch,
                        "enable_access_log": flag,
                        "access_log": text,
                        "access_log_format": text,
                        "access_log_format_escape": choice("default", "json"),
                    },
                    known.NGINX_HTTP,
                ),
            },
            known.NGINX,
        ),
        "deployment": Section(
            {
                "admin": Section(
                    {
                        # Safer than APISIX, whose Admin API listens on 0.0.0.0 unless told not to.
                        "admin_listen": _address(Settings().admin_listen),
                        "admin_key": _admin_keys,
                        "allow_admin": listing(network),
                        "https_admin": _no_https,
                    },
                    known.ADMIN,
                ),
                "role": _role,
                "role_data_plane": _role_data_plane,
                "config_provider": _config_provider,
            },
            known.DEPLOYMENT,
        ),
        "plugins": _plugins,
        "plugin_attr": _plugin_attr,
        "batchway": Section(
            {
                "expose_batch": flag,
                "store": _struct(StoreSettings, {"kind": _store_kind, "path": text}),
                "workers": _workers,
                "log": _struct(
                    LogSettings,
                    {
                        "level": choice("debug", "info", "warning", "error"),
                        "format": choice("auto", "console", "json"),
                    },
                ),
                "limits": _struct(ServerLimits, _LIMITS),
            }
        ),
    },
    known.ROOT,
)
