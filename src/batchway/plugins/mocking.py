"""`mocking`: an answer without an upstream. Source: apisix/plugins/mocking.lua."""

import asyncio
import math
import random
import string
from collections.abc import Callable
from typing import Annotated, Any, ClassVar
from xml.sax.saxutils import escape

import msgspec
from msgspec import Meta, Struct

from batchway import __version__
from batchway.model import Response
from batchway.plugins.answers import respond, set_header
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
            check_schema(self.response_schema)


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
        body = resolve(self._text(), context.var).encode("utf-8", "surrogateescape")
        response = respond(context, config.response_status, headers, body)
        for name, value in (config.response_headers or {}).items():
            set_header(response, name, clean_value(resolve(str(value), context.var)))
        return response

    def _text(self) -> str:
        config = self.config
        if config.response_example is not None:
            return str(config.response_example)
        made = sample(config.response_schema)
        if _bare(config.content_type) in _XML:
            return _xml("data", made)
        return msgspec.json.encode(made).decode()


def _bare(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


# --- something that fits a schema

MAX_VALUES = 10_000
"""In one sample: arrays within arrays multiply."""
_MAX_DEPTH = 32
_MAX_ITEMS = 3


def check_schema(schema: Any, depth: int = 0) -> int:
    """How many values a sample may have at most. Raises ValueError for what no sample is made of."""
    kind = _kind(schema)
    inner: list[Any] = []
    times = 1
    if kind == "object":
        inner = list((schema.get("properties") or {}).values())
    elif kind == "array" and schema.get("items") is not None:
        inner, times = [schema["items"]], _MAX_ITEMS
    if depth > _MAX_DEPTH:
        message = f'"response_schema": expected at most {_MAX_DEPTH} schemas in each other'
        raise ValueError(message)
    count = 1 + times * sum(check_schema(one, depth + 1) for one in inner)
    if count > MAX_VALUES:
        message = f'"response_schema": a sample of it may have more than {MAX_VALUES} values'
        raise ValueError(message)
    return count


def _kind(schema: Any) -> str:
    kind = schema.get("type", "object") if isinstance(schema, dict) else None
    known = isinstance(kind, str) and kind.lower() in _MAKERS
    if not known or not isinstance(schema.get("properties") or {}, dict):
        message = '"response_schema": expected an object with a "type" of JSON, "properties" an object'
        raise ValueError(message)
    return str(kind).lower()


def sample(schema: Any) -> Any:
    """A value that fits; the schema's own `example` where it has one, for an integer its whole part."""
    kind = _kind(schema)
    if "example" not in schema:
        return _MAKERS[kind](schema)
    example = schema["example"]
    return math.floor(example) if kind == "integer" and isinstance(example, float) else example


def _sample_array(schema: Any) -> list[Any]:
    items = schema.get("items")
    count = random.randint(1, _MAX_ITEMS)  # noqa: S311 - no secret
    return [] if items is None else [sample(items) for _ in range(count)]


def _sample_object(schema: Any) -> dict[str, Any]:
    return {name: sample(inner) for name, inner in (schema.get("properties") or {}).items()}


def _sample_text(_schema: Any) -> str:
    letters = random.choices(string.ascii_lowercase, k=random.randint(1, 10))  # noqa: S311 - no secret
    return "".join(letters)


_MAKERS: dict[str, Callable[[Any], Any]] = {
    "string": _sample_text,
    "number": lambda schema: random.random() * 10_000,  # noqa: S311 - no secret
    "integer": lambda schema: random.randint(1, 10_000),  # noqa: S311 - no secret
    "boolean": lambda schema: random.random() < 0.5,  # noqa: S311 - no secret
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
