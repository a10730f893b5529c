"""`_meta`: what any plugin's config may say beside its own settings.

Source: APISIX, "Plugin common configurations".
"""

from typing import Any

import msgspec
from msgspec import Struct

from batchway.config import expression
from batchway.model import REASONS, Response
from batchway.plugins.base import Plugin
from batchway.plugins.context import Context


class Meta(Struct, frozen=True, forbid_unknown_fields=True):
    """`_meta` of one plugin."""

    disable: bool = False
    priority: int | None = None
    """Instead of the plugin's own."""
    filter: list[Any] = []
    """The plugin is passed over unless this expression holds. Empty: no condition."""
    error_response: str | dict[str, Any] | None = None
    """The body of a refusal, instead of the plugin's own."""

    def __post_init__(self) -> None:
        if self.filter:
            expression.compile(self.filter, "filter")


NO_META = Meta()


class Conditional(Plugin):
    """A plugin behind its `_meta`: asked only where the filter holds, its refusals in other words."""

    def __init__(self, inner: Plugin, meta: Meta) -> None:
        super().__init__(inner.config, inner.gateway, inner.owner)
        self.inner = inner
        self.priority_here = meta.priority
        self._holds = expression.compile(meta.filter) if meta.filter else None
        self._body = meta.error_response

    async def rewrite(self, context: Context) -> Response | None:
        """The inner plugin's, if it is asked."""
        return self._in_other_words(await self.inner.rewrite(context)) if self.is_asked(context) else None

    async def access(self, context: Context) -> Response | None:
        """The inner plugin's, if it is asked."""
        return self._in_other_words(await self.inner.access(context)) if self.is_asked(context) else None

    async def count(self, context: Context) -> Response | None:
        """The inner plugin's, if it is asked."""
        return self._in_other_words(await self.inner.count(context)) if self.is_asked(context) else None

    async def filter_response(self, context: Context, response: Response) -> Response:
        """The inner plugin's, if it is asked."""
        return await self.inner.filter_response(context, response) if self.is_asked(context) else response

    def log(self, context: Context) -> None:
        """The inner plugin's, if it is asked."""
        if self.is_asked(context):
            self.inner.log(context)

    def close(self) -> None:
        """Close the inner plugin."""
        self.inner.close()

    def is_asked(self, context: Context) -> bool:
        """Decided once for a request: what a plugin changes must not change which plugins see it."""
        if self._holds is None:
            return True
        asked = context.asked.get(self)
        if asked is None:
            asked = context.asked[self] = self._holds(context.var)
        return asked

    def _in_other_words(self, response: Response | None) -> Response | None:
        if response is None or self._body is None or response.status < 400:
            return response
        if isinstance(self._body, str):
            content_type, body = b"text/plain; charset=utf-8", self._body.encode()
        else:
            content_type, body = b"application/json", msgspec.json.encode(self._body)
        kept = [pair for pair in response.headers if pair[0].lower() not in _OF_THE_BODY]
        headers = [*kept, (b"Content-Type", content_type)]
        return Response(response.status, response.reason or REASONS.get(response.status, ""), headers, body)


def is_asked(plugin: Plugin, context: Context) -> bool:
    """Whether the plugin has a say in this request."""
    return not isinstance(plugin, Conditional) or plugin.is_asked(context)


_OF_THE_BODY = frozenset({b"content-type", b"content-length", b"content-encoding"})
