"""`proxy-rewrite`: what the upstream gets instead of what the client sent.

Source: apisix/plugins/proxy-rewrite.lua.
"""

import re
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from msgspec import Meta, Struct

from batchway.config.pattern import compile_pattern
from batchway.model import Response
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.header_changes import header_changes
from batchway.plugins.names import clean_value
from batchway.plugins.substitution import check_groups, put_groups, substitute
from batchway.plugins.variables import resolve

Method = Literal[
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PATCH"
]
_SAFE = "/:@!$&'()*+,;=~-._%"  # RFC 3986, section 3.3; what is encoded already stays
_SAFE_IN_QUERY = _SAFE + "?[]"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What is not set stays as the client has it."""

    uri: Annotated[str, Meta(min_length=1, max_length=4096, pattern="^/")] | None = None
    """A template, with a query if need be; goes before `regex_uri`."""
    regex_uri: Annotated[tuple[str, ...], Meta(min_length=2)] | None = None
    """Patterns, each followed by what takes its place: the first that matches counts."""
    method: Method | None = None
    host: Annotated[str, Meta(pattern=r"^[0-9a-zA-Z.-]+(:\d{1,5})?\Z")] | None = None
    headers: Annotated[dict[str, Any], Meta(min_length=1)] | None = None
    """`add`, `set` and `remove`, or names and values to set."""
    use_real_request_uri_unsafe: bool = False
    """Send on the path exactly as it came, and do nothing else to it."""

    def __post_init__(self) -> None:
        given = (self.uri, self.regex_uri, self.method, self.host, self.headers)
        if not any(given) and not self.use_real_request_uri_unsafe:
            message = "at least one property is expected"
            raise ValueError(message)
        if len(self.regex_uri or ()) % 2:
            message = '"regex_uri": expected pairs of a pattern and what takes its place'
            raise ValueError(message)
        _rules(self.regex_uri)
        header_changes(self.headers)


Rule = tuple[re.Pattern[str], str]


def _rules(regex_uri: tuple[str, ...] | None) -> list[Rule]:
    """Patterns and what takes their places. Raises ValueError."""
    rules = []
    given = regex_uri or ()
    for index in range(0, len(given), 2):
        pattern = compile_pattern(given[index], f'"regex_uri[{index}]"')
        check_groups(pattern, given[index + 1], f'"regex_uri[{index + 1}]"')
        rules.append((pattern, given[index + 1]))
    return rules


class ProxyRewrite(Plugin):
    """Changes the request that goes on; variables still speak of the one that came."""

    name = "proxy-rewrite"
    priority = 1008
    Config: ClassVar[type[Struct]] = Config

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._rules = _rules(config.regex_uri)
        self._changes = header_changes(config.headers)

    async def rewrite(self, context: Context) -> Response | None:
        """Make the changes."""
        config = self.config
        matched = None
        if not config.use_real_request_uri_unsafe:
            matched = self._change_uri(context)
        if config.method is not None:
            context.change(method=config.method)
        if config.host is not None:
            context.set_header("host", config.host)
        self._change_headers(context, matched)
        return None

    def _change_uri(self, context: Context) -> re.Match[str] | None:
        """Put the new path and query; returns what the pattern found, for the headers to use."""
        if self.config.uri is not None:
            _put_uri(context, resolve(self.config.uri, context.var))
            return None
        for pattern, replacement in self._rules:
            found = pattern.search(context.path)
            if found is not None:
                _put_uri(context, substitute(pattern, replacement, context.path) or "/")
                return found
        return None

    def _change_headers(self, context: Context, matched: re.Match[str] | None) -> None:
        changes = self._changes
        for name, value in changes.added():
            context.add_header(name, _value(value, context, matched))
        for name, given in changes.set.items():
            context.set_header(name, _value(str(given), context, matched))
        for name in changes.remove:
            context.remove_header(name)


def _put_uri(context: Context, uri: str) -> None:
    path, mark, query = uri.partition("?")
    path = quote(path, safe=_SAFE, errors="surrogateescape")
    query = quote(query, safe=_SAFE_IN_QUERY, errors="surrogateescape")
    came = context.request.query
    if mark and came:
        query = f"{query}&{came}" if query else came
    context.change(path=path if path.startswith("/") else f"/{path}", query=query if mark else came)


def _value(template: str, context: Context, matched: re.Match[str] | None) -> str:
    """The value of a header: with the groups of `regex_uri`, then with variables."""
    if matched is not None:
        template = put_groups(template, matched)
    return clean_value(resolve(template, context.var)).decode("latin-1")
