"""`fault-injection`: failures and delays on purpose. Source: apisix/plugins/fault-injection.lua."""

import asyncio
import random
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from batchway.config import expression
from batchway.model import Response
from batchway.plugins.answers import respond, set_header
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.names import HeaderName, check_headers, clean_value
from batchway.plugins.variables import resolve

_TEXT = b"text/plain; charset=utf-8"

Percentage = Annotated[int, Meta(ge=0, le=100)]
Alternatives = Annotated[list[list[Any]], Meta(max_length=20)]
"""Expressions, of which one must hold."""


def _compiled(alternatives: list[list[Any]] | None) -> expression.Expression | None:
    """Whether one of them holds; None where there is nothing to hold. Raises ValueError."""
    if not alternatives:
        return None
    found = [expression.compile(one, f"vars[{index}]") for index, one in enumerate(alternatives)]
    return lambda lookup: any(holds(lookup) for holds in found)


class Abort(Struct, frozen=True, forbid_unknown_fields=True):
    """An answer that no upstream has given."""

    http_status: Annotated[int, Meta(ge=200, le=599)]
    body: str = ""
    """Variables such as `$remote_addr` are put in."""
    headers: Annotated[dict[HeaderName, str | int | float], Meta(min_length=1)] | None = None
    percentage: Percentage | None = None
    vars: Alternatives | None = None

    def __post_init__(self) -> None:
        _compiled(self.vars)
        check_headers(self.headers, "headers")


class Delay(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds to wait before the request goes on."""

    duration: Annotated[float, Meta(ge=0, le=3600)]
    percentage: Percentage | None = None
    vars: Alternatives | None = None

    def __post_init__(self) -> None:
        _compiled(self.vars)


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """At least one of the two; the delay comes first."""

    abort: Abort | None = None
    delay: Delay | None = None

    def __post_init__(self) -> None:
        if self.abort is None and self.delay is None:
            message = 'one of "abort" and "delay" is required'
            raise ValueError(message)


class FaultInjection(Plugin):
    """Delays and aborts some requests."""

    name = "fault-injection"
    priority = 11000
    Config: ClassVar[type[Struct]] = Config

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._aborts = config.abort and _compiled(config.abort.vars)
        self._delays = config.delay and _compiled(config.delay.vars)

    async def rewrite(self, context: Context) -> Response | None:
        """Wait, and then the abort's answer, each for the requests that it is for."""
        delay, abort = self.config.delay, self.config.abort
        if delay is not None and _is_hit(delay.percentage, self._delays, context):
            await asyncio.sleep(delay.duration)
        if abort is not None and _is_hit(abort.percentage, self._aborts, context):
            return _aborted(abort, context)
        return None


def _is_hit(percentage: int | None, holds: expression.Expression | None, context: Context) -> bool:
    if holds is not None and not holds(context.var):
        return False
    return percentage is None or random.random() * 100 < percentage  # noqa: S311 - no secret


def _aborted(abort: Abort, context: Context) -> Response:
    body = resolve(abort.body, context.var).encode("utf-8", "surrogateescape")
    response = respond(context, abort.http_status, [(b"Content-Type", _TEXT)], body)
    for name, value in (abort.headers or {}).items():
        set_header(response, name, clean_value(resolve(str(value), context.var)))
    return response
