"""The path that routes are matched by: as nginx sees it, not as the client spells it.

What is sent on stays as it was spelled. But `/public/../admin`, `//admin` and `/%61dmin` are all `/admin`
to an upstream, so they must be that to the router as well.
Source: nginx, src/http/ngx_http_parse.c, `ngx_http_parse_complex_uri`, with `merge_slashes on`.
"""

import re
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from batchway.errors import MalformedPath

_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})|%00")
_ENCODED_SLASH = re.compile("%2[fF]")


def normalise(path: str) -> str:
    """nginx's `$uri`: percent-decoded once, slashes merged, dot segments resolved.

    Bytes that are no UTF-8 become lone surrogates. Raises MalformedPath where nginx answers 400: for `%`
    without two digits, for `%00`, and for `..` that leads above the root.
    """
    if "%" not in path and "//" not in path and "/." not in path and "#" not in path:
        return path if path.isascii() else _text(path.encode("latin-1"))
    return _resolved(_decoded(path))


def _decoded(path: str) -> str:
    path = path.partition("#")[0]
    if "%" not in path and path.isascii():
        return path
    if _BAD_ESCAPE.search(path):
        message = "the path is not percent-encoded as it should be"
        raise MalformedPath(message)
    return _text(unquote_to_bytes(path.encode("latin-1")))


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _resolved(path: str) -> str:
    segments: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if not segments:
                message = "the path leads above the root"
                raise MalformedPath(message)
            segments.pop()
        elif part not in ("", "."):
            segments.append(part)
    open_ended = segments and parts[-1] in ("", ".", "..")
    return "/" + "/".join(segments) + ("/" if open_ended else "")


class PathRules(Struct, frozen=True):
    """What `apisix` in the config file says of paths."""

    delete_tail_slash: bool = False
    """`/a/` is `/a` to routes and plugins. `/` stays `/`."""
    encoded_slash: bool = False
    """A `%2F` is no slash to routes, but a part of its segment."""

    def uri(self, path: str) -> str:
        """What the variable `uri` says of a path as it came. Raises MalformedPath."""
        uri = normalise(path)
        if self.delete_tail_slash and len(uri) > 1:
            uri = uri.removesuffix("/")
        return uri

    def matched(self, path: str) -> str:
        """What routes are matched by. Raises MalformedPath.

        A `%2F` stays one, in capitals, only where all else that was done to the path was to decode it: as
        in APISIX, dot segments and double slashes are resolved with all slashes in sight.
        """
        uri = self.uri(path)
        if not self.encoded_slash or not _ENCODED_SLASH.search(path) or _decoded(path) != uri:
            return uri
        return "%2F".join(map(_decoded, _ENCODED_SLASH.split(path)))
