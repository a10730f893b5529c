"""Values of config.yaml, read and checked: what is wrong is one line that names its place.

A reader takes a value as YAML has it and its place, replaces the variables in it, and returns what
the settings hold. Raises ConfigError. It is never given None: a key without a value is an absent
key.
"""

import math
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from typing import Any, TypeVar

from msgspec import Struct

from batchway.config.place import Place
from batchway.config.settings import Network

T = TypeVar("T")
Reader = Callable[[object, Place], T]

# RFC 9110, section 5.6.2: a field name is a token.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SERVER = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?")


class Section(Struct, frozen=True):
    """A mapping with the keys `fields`; those in `unused` are noted, any other is an error."""

    fields: "Mapping[str, Reader[Any] | Section]"
    unused: frozenset[str] = frozenset()

    def homes(self) -> dict[str, str]:
        """The key path of every key in here, by its last name."""
        found = {name: name for name in (*self.unused, *self.fields)}
        for name, inner in self.fields.items():
            if isinstance(inner, Section):
                for last, path in inner.homes().items():
                    found.setdefault(last, f"{name}.{path}")
        return found


def section(schema: Section, value: object, place: Place) -> dict[str, Any]:
    """What the readers of `schema` return, by key; what is absent in the file is absent here.

    The values of a section inside a section join those of the outer one, so no two readers of one
    schema share a name.
    """
    found: dict[str, Any] = {}
    for key, inner in mapping(value, place).items():
        here = place.key(key)
        reader = schema.fields.get(key)
        if reader is None:
            _without_reader(key, schema, place)
        elif inner is None:
            continue
        elif isinstance(reader, Section):
            found |= section(reader, inner, here)
        else:
            found[key] = reader(inner, here)
    return found


def _without_reader(key: object, schema: Section, place: Place) -> None:
    """Note a key that is not used. Raises ConfigError for one that nobody knows."""
    if key in schema.unused:
        place.reading.unused.append(str(place.key(key)))
        return
    if place.secret:  # what stands where a key should may be the credential itself
        raise place.error(f"unknown key; expected only {', '.join(schema.fields)}")
    name = str(key)
    close = get_close_matches(name, sorted({*schema.fields, *schema.unused}), n=1)
    likely = place.reading.homes.get(name) or "".join(close)
    hint = f"; did you mean {likely}?" if likely else ""
    raise place.key(key).error(f"unknown key{hint}")


def mapping(value: object, place: Place) -> dict[Any, Any]:
    """A mapping, as it stands."""
    if not isinstance(value, dict):
        raise place.expected("a mapping", value)
    return value


def listing(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    """A reader of a list whose entries `reader` reads."""

    def read(value: object, place: Place) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise place.expected("a list", value)
        return tuple(entry(reader, item, place.item(index)) for index, item in enumerate(value))

    return read


def entry(reader: Reader[T], value: object, place: Place) -> T:
    """An entry of a list: unlike a key, it cannot be left empty."""
    if value is None:
        raise place.error("expected a value, got nothing")
    return reader(value, place)


def text(value: object, place: Place) -> str:
    """A string that is not empty. A number without quotes is none: YAML may have rewritten it."""
    if isinstance(value, str):
        found = place.text(value)
        if found and "\0" not in found:
            return found
    if isinstance(value, (str, dict, list)):
        raise place.expected("a string that is not empty", value)
    raise place.expected("a string, in quotes", value)


def flag(value: object, place: Place) -> bool:
    """A boolean."""
    found = place.plain(value)
    if not isinstance(found, bool):
        raise place.expected("true or false", value)
    return found


def switch(value: object, place: Place) -> bool:
    """`on` or `off`, or a boolean: which of them YAML makes of a bare `on` is its own affair."""
    found = place.plain(value)
    if isinstance(found, str):
        found = {"on": True, "off": False}.get(found)
    if not isinstance(found, bool):
        raise place.expected("on or off", value)
    return found


def choice(*names: str) -> Reader[str]:
    """A reader of one of `names`, of which there are several."""
    expectation = f"{', '.join(names[:-1])} or {names[-1]}"

    def read(value: object, place: Place) -> str:
        found = place.plain(value)
        if found not in names:
            raise place.expected(expectation, value)
        return str(found)

    return read


def count(value: object, place: Place) -> int:
    """A whole number above 0."""
    found = place.plain(value)
    if isinstance(found, bool) or not isinstance(found, int) or found <= 0:
        raise place.expected("a whole number above 0", value)
    return found


def seconds(value: object, place: Place) -> float:
    """A number of seconds above 0."""
    found = place.plain(value)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise place.expected("a number of seconds above 0", value)
    if not 0 < found < math.inf:
        raise place.expected("a number of seconds above 0", value)
    return float(found)


def port(value: object, place: Place) -> int:
    """A TCP port."""
    found = place.plain(value)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 2**16:
        raise place.expected("a port from 1 to 65535", value)
    return found


def host(value: object, place: Place) -> str:
    """An IP address to listen on, without the brackets that IPv6 may stand in."""
    found = text(value, place)
    if found.startswith("[") and found.endswith("]"):
        found = found[1:-1]
    try:
        return str(ip_address(found))
    except ValueError:
        raise place.expected("an IP address", value) from None


def network(value: object, place: Place) -> Network:
    """An address or a CIDR. Bits below the mask count for nothing, as in nginx."""
    found = text(value, place)
    try:
        return ip_network(found, strict=False)
    except ValueError:
        raise place.expected("an IP address or a CIDR", value) from None


def header_name(value: object, place: Place) -> str:
    """A header's name, in lower case."""
    found = text(value, place)
    if not _TOKEN.fullmatch(found):
        raise place.expected("a header name", value)
    return found.lower()


def name_server(value: object, place: Place) -> str:
    """The `ip` or `ip:port` of a DNS server; IPv6 with a port stands in brackets."""
    found = text(value, place)
    parts = _SERVER.fullmatch(found)
    number = parts["port"] if parts else None
    try:
        ip_address((parts["v6"] or parts["v4"]) if parts else found)
    except ValueError:
        number = "0"
    if number is not None and not 0 < int(number) < 2**16:
        raise place.expected("an IP address, or ip:port", value)
    return found


def substituted(value: object, place: Place) -> object:
    """Any value, with the variables in all that is below it replaced too."""
    match value:
        case dict():
            return {key: substituted(inner, place.key(key)) for key, inner in value.items()}
        case list():
            return [substituted(inner, place.item(index)) for index, inner in enumerate(value)]
        case _:
            return place.plain(value)
