"""What the kinds of resources have in common. Source: apache/apisix, `apisix/schema_def.lua` (3.x)."""

from ipaddress import ip_network
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

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
Plugins = dict[str, dict[str, Any]]
"""Configs by plugin name, as the document has them: whose plugin it is validates it."""


class Timeout(Struct, frozen=True, forbid_unknown_fields=True):
    """How long each step towards an upstream may take, in seconds."""

    connect: Seconds
    send: Seconds
    read: Seconds


def shown(value: object) -> str:
    """A scalar as JSON, cut short; of anything else the type and size."""
    if isinstance(value, dict | list):
        return f"{type_name(value)} of length {len(value)}"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:79]}…"


def type_name(value: object) -> str:
    """What JSON calls the type of `value`."""
    names = {dict: "object", list: "array", str: "str", bool: "bool", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def one_or_many(one: str | None, many: tuple[str, ...] | None) -> tuple[str, ...]:
    """Of a property in the singular and its plural, whichever is there."""
    return (one,) if one is not None else many or ()


def is_network(text: str) -> bool:
    """Whether `text` is an address, or a network in CIDR notation."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
