"""Variables within URIs: what a client says stays in the place that the template gives it.

A value cannot begin a query, add an argument or end a line. APISIX puts values in as they are, but for
the question mark.
"""

from urllib.parse import quote

from batchway.plugins.variables import Lookup, resolve

_UNRESERVED = "-._~"
_PATH = _UNRESERVED + "/:@!$&'()*+,;="  # RFC 3986, section 3.3
_QUERY = _UNRESERVED + "/:@!$'()*,;?"  # without what stands between arguments, or for a space
_LEGAL = _PATH + "?#[]%"  # all that a URI may have in it
_ENCODED = frozenset({"request_uri", "args", "query_string", "upstream_uri"})
"""Variables with URIs as they are spelled on the wire. The others have their escapes resolved."""
_BYTES = ("http_", "cookie_")
"""Variables that are bytes of a header, read as Latin-1."""


def in_path(text: str) -> str:
    """Text as it stands in a path."""
    return quote(text, safe=_PATH, errors="surrogateescape")


def legal(uri: str) -> str:
    """A URI with what cannot stand in any encoded; what is encoded already stays."""
    return quote(uri, safe=_LEGAL, errors="surrogateescape")


def resolved(template: str, lookup: Lookup) -> str:
    """A path, with a query if the template has one, with the values of variables put in."""
    path, mark, query = template.partition("?")
    made = resolve(path, _encoded(lookup, _PATH))
    if mark:
        made += "?" + resolve(query, _encoded(lookup, _QUERY))
    return legal(made)


def resolved_plainly(template: str, lookup: Lookup) -> str:
    """The template with values as they are, but for what cannot stand in a URI."""
    return resolve(template, lambda name: _plain(name, lookup(name)))


def _encoded(lookup: Lookup, safe: str) -> Lookup:
    def look(name: str) -> str | None:
        value = lookup(name)
        if value is None:
            return None
        if name in _ENCODED:
            return quote(value, safe=safe + "&=+%" if safe is _QUERY else safe + "%")
        return quote(_bytes(name, value), safe=safe)

    return look


def _plain(name: str, value: str | None) -> str | None:
    return None if value is None else quote(_bytes(name, value), safe=_LEGAL)


def _bytes(name: str, value: str) -> bytes:
    if name.startswith(_BYTES):
        return value.encode("latin-1", "replace")
    return value.encode(errors="surrogateescape")
