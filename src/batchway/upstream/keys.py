"""What `chash` hashes: the value of a variable of the request, or of several.

Source: apisix/balancer/chash.lua, `fetch_chash_hash_key`: a request without a value goes by its client's
address.
"""

import re
from collections.abc import Callable

from batchway.model import Request
from batchway.upstream.spec import Upstream

Lookup = Callable[[str], str | None]
"""The value of a variable of a request, by its name, or None."""

_VARIABLE = re.compile(r"(?<!\\)\$(?:\{\s*+([^{}]+)\}|(\w+))", re.ASCII)


def hash_key(upstream: Upstream, request: Request, lookup: Lookup | None) -> str:
    """What decides which node gets `request`."""
    value = None if lookup is None else _value(upstream.hash_on, upstream.key or "", lookup)
    return value or request.origin.client


def _value(hash_on: str, key: str, lookup: Lookup) -> str | None:
    match hash_on:
        case "consumer":
            return lookup("consumer_name")
        case "header":
            return lookup("http_" + key.removeprefix("http_").lower().replace("-", "_"))
        case "cookie":
            return lookup("cookie_" + key)
        case "vars_combinations":
            return _combined(key, lookup)
        case _:
            return lookup(key)


def _combined(template: str, lookup: Lookup) -> str | None:
    """`template` with its variables filled in; None if none of them has a value.

    They are written as in plugins' configs: `$name`, `${name}` or `${name ?? text}`.
    """
    values = {match[0]: _named(match[1] or match[2], lookup) for match in _VARIABLE.finditer(template)}
    if not any(values.values()):
        return None
    return _VARIABLE.sub(lambda match: values[match[0]] or "", template)


def _named(reference: str, lookup: Lookup) -> str | None:
    name, mark, instead = reference.partition("??")
    value = lookup(name.rstrip())
    return instead.strip() if value is None and mark else value
