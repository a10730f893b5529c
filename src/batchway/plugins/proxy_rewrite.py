"""`proxy-rewrite`: what the upstream gets instead of what the client sent.

Source: apisix/plugins/proxy-rewrite.lua.
"""

import re
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from batchway.config.pattern import compile_pattern
from batchway.model import Response
from batchway.plugins.answers import drop_body, is_bodiless, remove_header
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.header_changes import header_changes
from batchway.plugins.locations import in_path, in_query, legal, resolved, resolved_plainly
from batchway.plugins.names import clean_value
from batchway.plugins.substitution import check_groups, replaced, search, with_groups
from batchway.plugins.variables import resolve

Method = Literal[
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH",
    "MKCOL", "COPY", "MOVE", "PROPFIND", "LOCK", "UNLOCK",
]  # fmt: skip


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
    """Path and query are as they came, also to `uri` and `regex_uri`, and nothing of them is encoded."""

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
        matched = self._change_uri(context)
        if config.method is not None:
            context.change(method=config.method)
        if config.host is not None:
            context.set_header("host", config.host)
        self._change_headers(context, matched)
        return None

    async def filter_response(self, context: Context, response: Response) -> Response:
        """The answer as it fits the method that the client used, where the upstream saw another."""
        method = context.original.method
        if self.config.method is None or "HEAD" not in (method, self.config.method):
            return response
        if method == "HEAD":
            await drop_body(response)
            response.body = None
        elif response.body is None and not is_bodiless(context, response):
            remove_header(response, "Content-Length")  # it speaks of a body that was not asked for
            response.body = b""
        return response

    def _change_uri(self, context: Context) -> re.Match[str] | None:
        """Put the new path and query; returns what the pattern found, for the headers to use."""
        unsafe = self.config.use_real_request_uri_unsafe
        if self.config.uri is not None:
            put_in = resolved_plainly if unsafe else resolved
            _put_uri(context, put_in(self.config.uri, context.var), merge=not unsafe)
            return None
        if not self._rules:
            return None
        path = (context.var("request_uri") or "/") if unsafe else context.path
        for pattern, replacement in self._rules:
            found = search(pattern, path)
            if found is not None:
                encodings = (legal, legal) if unsafe else (in_path, in_query)
                made = replaced(found, replacement, *encodings)
                _put_uri(context, made, merge=not unsafe)
                return found
        return None

    def _change_headers(self, context: Context, matched: re.Match[str] | None) -> None:
        changes = self._changes
        for name, value in changes.added():
            context.add_header(name, _value(value, context, matched))
        for name, given in changes.set.items():
            made = _value(str(given), context, matched)
            if made:
                context.set_header(name, made)
            else:
                context.remove_header(name)
        for name in changes.remove:
            context.remove_header(name)


def _put_uri(context: Context, uri: str, *, merge: bool) -> None:
    """`merge`: the query that came goes on, behind the new one."""
    path, _, query = legal(uri).replace("#", "%23").partition("?")
    came = context.request.query
    if merge:
        query = f"{query}&{came}" if query and came else query or came
    context.change(path=path if path.startswith("/") else f"/{path}", query=query)


def _value(template: str, context: Context, matched: re.Match[str] | None) -> str:
    """The value of a header: with variables and the groups of `regex_uri` put in, at once.

    One after the other, a client could write variables into its path.
    """
    lookup = context.var if matched is None else with_groups(matched, context.var)
    return clean_value(resolve(template, lookup)).decode("latin-1")
