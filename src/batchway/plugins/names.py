"""Names and values that plugins' configs have in common, and what may stand in a header."""

import re
from typing import Annotated

from msgspec import Meta

from batchway.model import HOP_BY_HOP

HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z", max_length=256)]
"""RFC 9110, section 5.1."""

_NOT_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def hyphened(name: str) -> str:
    """The name of a header as nginx writes one that a plugin sets on an answer: without underscores.

    Source: lua-nginx-module, ngx.header. APISIX's clients get `remote-addr` for `remote_addr`.
    """
    return name.replace("_", "-")


def check_headers(names: object, what: str) -> None:
    """Raises ValueError if a name is one that batchway alone writes: those of framing and connections."""
    for name in names if isinstance(names, dict | list | tuple) else ():
        written = hyphened(name.lower())
        if written.encode("latin-1", "replace") in HOP_BY_HOP or written.startswith("proxy-"):
            message = f'{what}: the header "{name}" is written by batchway alone'
            raise ValueError(message)


def check_value(value: str, what: str) -> None:
    """Raises ValueError if `value` cannot stand in a header."""
    if _NOT_IN_VALUE.search(value) or not value.isascii():
        message = f"{what}: no value of a header: expected printable ASCII"
        raise ValueError(message)


def clean_value(value: str) -> bytes:
    """`value`, which came from a request, without what would end the header.

    Text of headers is bytes read as Latin-1, and these again; what no Latin-1 has came from a path.
    """
    cleaned = _NOT_IN_VALUE.sub("", value)
    try:
        return cleaned.encode("latin-1")
    except UnicodeEncodeError:
        return cleaned.encode(errors="surrogateescape")
