"""How the query of an item comes together, and how it is written. Source: `ngx.encode_args`."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_plus

from batchway.formats.headers import number


class BadQuery(ValueError):
    """A query argument that cannot be written."""


def combine(path_query: str, own: Mapping[str, Any], common: Mapping[str, Any]) -> str:
    """The item's query string: an item's `query` over what stands in its path over the batch's.

    Arguments in the path stay as they were written unless `own` has one of the same name; a `null` or
    `false` there drops it.
    """
    parts = []
    named = set(own)
    if path_query:
        for part in path_query.split("&"):
            name = unquote_plus(part.partition("=")[0])
            if name not in own:
                parts.append(part)
                named.add(name)
    for name, value in own.items():
        parts += _arguments(name, value)
    for name, value in common.items():
        if name not in named:
            parts += _arguments(name, value)
    return "&".join(parts)


def _arguments(name: str, value: Any) -> list[str]:
    """`a=1`; the bare name for true; nothing for false and null; one of each for an array."""
    key = quote(name, safe="")
    if isinstance(value, list):
        return [argument for one in value for argument in _arguments_of_scalar(key, one)]
    return _arguments_of_scalar(key, value)


def _arguments_of_scalar(key: str, value: Any) -> list[str]:
    match value:
        case None | False:
            return []
        case True:
            return [key]
        case str():
            return [f"{key}={quote(value, safe='')}"]
        case int() | float():
            return [f"{key}={quote(number(value), safe='')}"]
        case _:
            message = "invalid value found in query: an argument is a scalar or an array of scalars"
            raise BadQuery(message)
