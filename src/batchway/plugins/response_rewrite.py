"""`response-rewrite`: what the client gets instead of what the upstream answered.

Source: apisix/plugins/response-rewrite.lua.
"""

import base64
import re
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from batchway.config import expression
from batchway.config.pattern import compile_pattern
from batchway.errors import ReplyTooLarge
from batchway.formats import content
from batchway.model import REASONS, BodyStream, Response
from batchway.plugins.answers import drop_body, is_bodiless, put_body, remove_header, set_header
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.header_changes import header_changes
from batchway.plugins.names import clean_value, hyphened
from batchway.plugins.substitution import check_groups, substitute
from batchway.plugins.variables import resolve

MAX_FILTERED_BYTES = 10 * 1024 * 1024
"""A larger body is no longer one to hold in memory: with `filters` it is an error."""


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """A pattern in the body and what takes its place."""

    regex: Annotated[str, Meta(min_length=1)]
    replace: str
    scope: Literal["once", "global"] = "once"
    options: Annotated[str, Meta(pattern=r"^[ijosmxu]*\Z")] = "jo"
    """ngx.re's: `i` for any case, `s`, `m`, `x`; `j`, `o` and `u` have no meaning here."""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What is not set stays as it is."""

    status_code: Annotated[int, Meta(ge=200, le=598)] | None = None
    body: str | None = None
    body_base64: bool = False
    headers: Annotated[dict[str, Any], Meta(min_length=1)] | None = None
    """`add`, `set` and `remove`, or names and values to set."""
    vars: list[Any] = []
    """Only where this holds; `status` is the answer's."""
    filters: Annotated[tuple[Filter, ...], Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        if self.body is not None and self.filters is not None:
            message = 'only one of "body" and "filters" is expected'
            raise ValueError(message)
        _body(self)
        _patterns(self)
        header_changes(self.headers)
        expression.compile(self.vars)


def _body(config: Config) -> bytes | None:
    """Raises ValueError."""
    if config.body is None:
        if config.body_base64:
            message = '"body_base64": there is no "body" to decode'
            raise ValueError(message)
        return None
    if not config.body_base64:
        return config.body.encode("utf-8", "surrogateescape")
    try:
        return base64.b64decode(config.body, validate=True)
    except ValueError:
        message = '"body": expected base64'
        raise ValueError(message) from None


def _patterns(config: Config) -> list[tuple[Filter, re.Pattern[str]]]:
    """Raises ValueError."""
    found = []
    for index, one in enumerate(config.filters or ()):
        flags = "".join(letter for letter in one.options if letter in "smx")
        where = f'"filters[{index}].regex"'
        spelled = f"(?{flags}){one.regex}" if flags else one.regex
        pattern = compile_pattern(spelled, where, ignore_case="i" in one.options)
        check_groups(pattern, one.replace, f'"filters[{index}].replace"')
        found.append((one, pattern))
    return found


class ResponseRewrite(Plugin):
    """Changes the answer, whoever gave it."""

    name = "response-rewrite"
    priority = 899
    Config: ClassVar[type[Struct]] = Config

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._body = _body(config)
        self._patterns = _patterns(config)
        self._changes = header_changes(config.headers)
        self._holds = expression.compile(config.vars) if config.vars else None

    async def filter_response(self, context: Context, response: Response) -> Response:
        """The changed answer. Raises ReplyTooLarge."""
        if self._holds is not None and not self._holds(context.var):
            return response
        await self._change_status(context, response)
        if self._body is not None:
            await drop_body(response)
            remove_header(response, *_OF_THE_BODY)
            put_body(context, response, self._body)
        elif self._patterns:
            await self._filter(context, response)
        self._change_headers(context, response)
        return response

    async def _change_status(self, context: Context, response: Response) -> None:
        status = self.config.status_code
        if status is None or status == response.status:
            return
        had_none = is_bodiless(context, response)
        response.status, response.reason = status, REASONS.get(status, "")
        if had_none != is_bodiless(context, response):  # its headers speak of a body that is not there
            await drop_body(response)
            remove_header(response, *_OF_THE_BODY)
            put_body(context, response, b"")

    async def _filter(self, context: Context, response: Response) -> None:
        if response.body is None:
            if context.original.method == "HEAD":  # nobody knows how long the other body would be
                remove_header(response, *_OF_THE_BODY)
            return
        body = response.body = await _whole(response.body)
        coding = b",".join(value for name, value in response.headers if name.lower() == b"content-encoding")
        try:
            decoded = content.decode(body, coding.decode("latin-1"), MAX_FILTERED_BYTES)
        except content.Undecodable:
            decoded = None
        if decoded is None or response.status == _PARTIAL:  # what cannot be read cannot be changed
            return
        text = decoded.decode("utf-8", "surrogateescape")
        for one, pattern in self._patterns:
            changed = substitute(pattern, one.replace, text, everywhere=one.scope == "global")
            text = text if changed is None else changed
        remove_header(response, *_OF_THE_BODY)
        put_body(context, response, text.encode("utf-8", "surrogateescape"))

    def _change_headers(self, context: Context, response: Response) -> None:
        changes = self._changes
        for name, value in changes.added():
            response.headers.append((hyphened(name).encode(), clean_value(resolve(value, context.var))))
        for name, given in changes.set.items():
            set_header(response, name, clean_value(resolve(str(given), context.var)))
        remove_header(response, *changes.remove, *map(hyphened, changes.remove))


_PARTIAL = 206
"""A part of a body is not to be changed: the client puts it together with others."""
_OF_THE_BODY = ("content-length", "content-encoding", "last-modified", "etag")
"""Headers that speak of a body that is no longer there."""


async def _whole(body: bytes | BodyStream) -> bytes:
    """The body, read to its end and closed. Raises ReplyTooLarge."""
    if isinstance(body, bytes):
        _check_size(len(body))
        return body
    pieces, size = [], 0
    try:
        async for piece in body:
            size += len(piece)
            _check_size(size)
            pieces.append(piece)
    finally:
        await body.aclose()
    return b"".join(pieces)


def _check_size(size: int) -> None:
    if size > MAX_FILTERED_BYTES:
        message = f"the answer is larger than the {MAX_FILTERED_BYTES} bytes that can be filtered"
        raise ReplyTooLarge(message)
