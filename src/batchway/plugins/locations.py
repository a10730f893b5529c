"""Variables within URIs: what a client says stays in the place that the template gives it.

A value cannot begin a query, add an argument or end a line. APISIX puts values in as they are, but for
the question mark.
"""

import re
from urllib.parse import quote

from batchway.plugins.variables import Lookup, resolve

_UNRESERVED = "-._~"
_PATH = _UNRESERVED + "/:@!$&'()*+,;="  # RFC 3986, section 3.3
_QUERY = _UNRESERVED + "/:@!$'()*,;?"  # without what stands between arguments, or for a space
_LEGAL = _PATH + "?#[]%"  # all that a URI may have in it
_SPELLED = frozenset({"request_uri", "args", "query_string"})
"""Variables that are spelled as on the wire. The others have their escapes resolved."""
_BYTES = ("http_", "cookie_")
"""Variables that are bytes of a header, read as Latin-1 as those on the wire are."""


def in_path(text: str) -> str:
    """Text as it stands in a path."""
    return quote(text, safe=_PATH, errors="surrogateescape")


def in_query(text: str) -> str:
    """Text as it stands in a query, within one argument."""
    return quote(text, safe=_QUERY, errors="surrogateescape")


def legal(uri: str) -> str:
    """A URI with what cannot stand in any encoded; what is encoded already stays."""
    return quote(uri, safe=_LEGAL, errors="surrogateescape")


def spelled(query: str) -> str:
    """A query as it came, with what should not have been in it encoded."""
    return quote(query.encode("latin-1", "replace"), safe=_LEGAL)


def resolved(template: str, lookup: Lookup) -> str:
    """A path, with a query if the template has one, with the values of variables put in."""
    path, mark, query = _parts(template)
    made = resolve(path, _encoded(lookup, _PATH, _PATH + "%"))
    if mark:
        made += "?" + resolve(query, _encoded(lookup, _QUERY, _QUERY + "&=+%"))
    return legal(made)


_PARTS = re.compile(r"((?:\$\{[^{}]*\}|[^?])*+)(\??)(.*)", re.DOTALL)


def _parts(template: str) -> tuple[str, str, str]:
    """Path, question mark and query; those in `${name ?? text}` begin no query."""
    found = _PARTS.match(template)
    return template.partition("?") if found is None else (found[1], found[2], found[3])


def resolved_plainly(template: str, lookup: Lookup) -> str:
    """The template with values as they are, but for what cannot stand in a URI."""
    return legal(resolve(template, _encoded(lookup, _LEGAL, _LEGAL)))


def _encoded(lookup: Lookup, safe: str, safe_in_spelled: str) -> Lookup:
    def look(name: str) -> str | None:
        value = lookup(name)
        if value is None:
            return None
        if name in _SPELLED:
            return quote(value.encode("latin-1", "replace"), safe=safe_in_spelled)
        raw = value.encode("latin-1", "replace") if name.startswith(_BYTES) else _raw(value)
        return quote(raw, safe=safe)

    return look


def _raw(value: str) -> bytes:
    return value.encode(errors="surrogateescape")
