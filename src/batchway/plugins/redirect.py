"""`redirect`: the client is sent elsewhere. Source: apisix/plugins/redirect.lua."""

import re
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from batchway.config.pattern import compile_pattern
from batchway.model import Response
from batchway.plugins.answers import respond
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.locations import in_path, in_query, legal, resolved, resolved_plainly, spelled
from batchway.plugins.substitution import check_groups, replaced, search

_ESCAPED = re.compile(r"\\\$\w+")
_HTTPS_PORT = 443


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to: a template, a substitution in the path, or the same by https."""

    uri: Annotated[str, Meta(min_length=2)] | None = None
    """Variables such as `$uri` and `${arg_a}` are put in; `\\$uri` stays as it is."""
    regex_uri: Annotated[tuple[str, ...], Meta(min_length=2, max_length=2)] | None = None
    """A pattern and what takes its place, with `$1` for its first group."""
    http_to_https: bool | None = None
    ret_code: Annotated[int, Meta(ge=200, le=599)] = 302
    encode_uri: bool = False
    append_query_string: bool = False

    def __post_init__(self) -> None:
        given = [value for value in (self.uri, self.regex_uri, self.http_to_https) if value is not None]
        if len(given) != 1:
            message = 'exactly one of "uri", "regex_uri" and "http_to_https" is expected'
            raise ValueError(message)
        if self.http_to_https and self.append_query_string:
            message = '"append_query_string" has no meaning with "http_to_https"'
            raise ValueError(message)
        if self.regex_uri is not None:
            pattern = compile_pattern(self.regex_uri[0], '"regex_uri[0]"')
            check_groups(pattern, self.regex_uri[1], '"regex_uri[1]"')


class Attributes(Struct, frozen=True):
    """`plugin_attr.redirect`: the port that `http_to_https` sends to."""

    https_port: Annotated[int, Meta(ge=1, le=65535)] = _HTTPS_PORT


class Redirect(Plugin):
    """Answers with a Location."""

    name = "redirect"
    priority = 900
    Config: ClassVar[type[Struct]] = Config
    Attributes: ClassVar[type[Struct]] = Attributes

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        regex = config.regex_uri
        self._pattern = None if regex is None else compile_pattern(regex[0], "regex_uri[0]")

    async def rewrite(self, context: Context) -> Response | None:
        """The redirect; None where there is nothing to be redirected."""
        if self.config.http_to_https:
            return self._to_https(context)
        location = self._location(context)
        if location is None:
            return None
        query = context.original.query
        if self.config.append_query_string and query:
            location += f"{'&' if '?' in location else '?'}{spelled(query)}"
        return _redirect(context, self.config.ret_code, location)

    def _location(self, context: Context) -> str | None:
        encodes = self.config.encode_uri
        if self._pattern is not None:
            found = search(self._pattern, context.path)
            replacement = self.config.regex_uri[1]
            if found is None:
                return None
            encodings = (in_path, in_query) if encodes else (legal, legal)
            return legal(replaced(found, replacement, *encodings))
        if self.config.uri is None:
            return None
        # `\$name` stands for itself, so only what is between these is a template
        put_in = resolved if encodes else resolved_plainly
        pieces, position = [], 0
        for escaped in _ESCAPED.finditer(self.config.uri):
            pieces += [put_in(self.config.uri[position : escaped.start()], context.var), escaped[0]]
            position = escaped.end()
        return "".join(pieces) + put_in(self.config.uri[position:], context.var)

    def _to_https(self, context: Context) -> Response | None:
        if _scheme(context) == "https":
            return None
        port = self.gateway.attributes(self.name).https_port
        where = "$host" if port == _HTTPS_PORT else f"$host:{port}"
        # 301 lets browsers make a GET of anything; 308 does not. RFC 9110, section 15.4
        status = 301 if context.original.method in ("GET", "HEAD") else 308
        return _redirect(context, status, resolved_plainly(f"https://{where}$request_uri", context.var))


def _scheme(context: Context) -> str | None:
    """What the client used, as far as a trusted proxy in front of us says so."""
    origin = context.original.origin
    told = context.var("http_x_forwarded_proto") if origin.trusted else None
    return told or origin.scheme


def _redirect(context: Context, status: int, location: str) -> Response:
    return respond(context, status, [(b"Location", location.encode("ascii", "replace"))], b"")
