"""`mocking`: an answer without an upstream. Source: apisix/plugins/mocking.lua."""

import asyncio
import random
import string
from collections.abc import Callable
from typing import Annotated, Any, ClassVar
from xml.sax.saxutils import escape

import msgspec
from msgspec import Meta, Struct

from batchway import __version__
from batchway.model import REASONS, Response
from batchway.plugins.base import Plugin
from batchway.plugins.context import Context
from batchway.plugins.names import HeaderName, check_headers, clean_value
from batchway.plugins.variables import resolve

_TYPES = frozenset({"application/xml", "application/json", "text/plain", "text/html", "text/xml"})
_XML = frozenset({"application/xml", "text/xml"})


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What to answer: an example, or something at random that fits a JSON Schema."""

    response_example: str | None = None
    """Variables such as `$remote_addr` are put in."""
    response_schema: dict[str, Any] | None = None
    delay: Annotated[float, Meta(ge=0, le=3600)] = 0
    """Seconds until the answer."""
    response_status: Annotated[int, Meta(ge=200, le=599)] = 200
    content_type: str = "application/json;charset=utf8"
    response_headers: Annotated[dict[HeaderName, str | int | float], Meta(min_length=1)] | None = None
    with_mock_header: bool = True

    def __post_init__(self) -> None:
        if self.response_example is None and self.response_schema is None:
            message = 'one of "response_example" and "response_schema" is required'
            raise ValueError(message)
        if _bare(self.content_type) not in _TYPES:
            message = f'"content_type": expected one of {", ".join(sorted(_TYPES))}'
            raise ValueError(message)
        check_headers(self.response_headers, "response_headers")
        if self.response_schema is not None:
            _sample(self.response_schema)


class Mocking(Plugin):
    """Answers as if it were the upstream."""

    name = "mocking"
    priority = 10900
    Config: ClassVar[type[Struct]] = Config

    async def access(self, context: Context) -> Response | None:
        """The answer."""
        config = self.config
        if config.delay:
            await asyncio.sleep(config.delay)
        headers = [(b"Content-Type", clean_value(config.content_type))]
        if config.with_mock_header:
            headers.append((b"X-Mock-By", f"batchway/{__version__}".encode()))
        for name, value in (config.response_headers or {}).items():
            headers.append((name.encode(), clean_value(resolve(str(value), context.var))))
        body = resolve(self._text(), context.var)
        status = config.response_status
        return Response(status, REASONS.get(status, ""), headers, body.encode("utf-8", "surrogateescape"))

    def _text(self) -> str:
        config = self.config
        if config.response_example is not None:
            return str(config.response_example)
        sample = _sample(config.response_schema)
        if _bare(config.content_type) in _XML:
            return _xml("data", sample)
        return msgspec.json.encode(sample).decode()


def _bare(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


# --- something that fits a schema


def _sample(schema: Any, depth: int = 0) -> Any:
    """A value that fits; the schema's own `example` where it has one. Raises ValueError."""
    kind = schema.get("type", "object") if isinstance(schema, dict) else None
    make = _MAKERS.get(kind.lower()) if isinstance(kind, str) else None
    if make is None or depth > 32:
        message = '"response_schema": expected objects with a "type" of JSON, at most 32 in each other'
        raise ValueError(message)
    return schema["example"] if "example" in schema else make(schema, depth + 1)


def _sample_array(schema: Any, depth: int) -> list[Any]:
    items = schema.get("items")
    count = random.randint(1, 3)  # noqa: S311 - no secret
    return [] if items is None else [_sample(items, depth) for _ in range(count)]


def _sample_object(schema: Any, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    return {name: _sample(inner, depth) for name, inner in properties.items()}


def _sample_text(_schema: Any, _depth: int) -> str:
    letters = random.choices(string.ascii_lowercase, k=random.randint(1, 10))  # noqa: S311 - no secret
    return "".join(letters)


_MAKERS: dict[str, Callable[[Any, int], Any]] = {
    "string": _sample_text,
    "number": lambda schema, depth: random.random() * 10_000,  # noqa: S311 - no secret
    "integer": lambda schema, depth: random.randint(1, 10_000),  # noqa: S311 - no secret
    "boolean": lambda schema, depth: random.random() < 0.5,  # noqa: S311 - no secret
    "array": _sample_array,
    "object": _sample_object,
}


def _xml(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"<{name}>{''.join(_xml(key, inner) for key, inner in value.items())}</{name}>"
    if isinstance(value, list):
        return "".join(_xml(name, one) for one in value)
    text = msgspec.json.encode(value).decode() if not isinstance(value, str) else value
    return f"<{name}>{escape(text)}</{name}>"
