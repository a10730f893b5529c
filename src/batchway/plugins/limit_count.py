"""`limit-count`: so many requests in a window of time, by consumer, address or any other variable.

Source: apisix/plugins/limit-count.lua and limit-count/init.lua.
"""

import math
import time
from collections.abc import Iterator
from hashlib import blake2b
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from batchway.errors import BatchwayError
from batchway.model import REASONS, Response, json_response
from batchway.plugins.answers import set_header
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.names import HeaderName, check_headers
from batchway.plugins.variables import has_value, resolve

Amount = Annotated[int, Meta(gt=0)] | str
"""A number, or a template of variables that gives one for each request."""
_TOLD = ("Limit", "Remaining", "Reset")
_REJECTED = 503
_ITEM_REJECTED = 429
_MAX_VALUE = 64
_MAX_NUMBER = (1 << 53) - 1
"""Of counts and seconds that a request names: what is larger is no number to count with."""


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One of several limits; `key` is a template."""

    count: Amount
    time_window: Amount
    key: str
    header_prefix: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]+\Z", max_length=64)] | None = None
    """What the client is told of this limit stands in `X-{prefix}-RateLimit-…`; None: the rule's number."""


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`count` requests in `time_window` seconds, for each value of `key`; or several such `rules`."""

    count: Amount | None = None
    time_window: Amount | None = None
    rules: tuple[Rule, ...] = ()
    key: str = "remote_addr"
    key_type: Literal["var", "var_combination", "constant"] = "var"
    group: str | None = None
    """Whatever names the same group counts together."""
    rejected_code: Annotated[int, Meta(ge=200, le=599)] | None = None
    """None: 429 for an item of a batch, and APISIX's 503 for any other request."""
    rejected_msg: Annotated[str, Meta(min_length=1)] | None = None
    policy: Literal["local"] = "local"
    """Counted by all workers of this machine together."""
    window_type: Literal["fixed"] = "fixed"
    """It begins with the first request that is counted in it."""
    allow_degradation: bool = False
    """Whether requests go on that cannot be counted, for want of a number in `count`."""
    show_limit_quota_header: bool = True

    def __post_init__(self) -> None:
        if bool(self.rules) == (self.count is not None and self.time_window is not None):
            message = 'either "count" and "time_window" or "rules" is expected'
            raise ValueError(message)
        if self.rules and self.group is not None:
            message = '"rules" and "group" cannot stand together'
            raise ValueError(message)
        keys = [rule.key for rule in self.rules]
        if len(set(keys)) != len(keys):
            message = '"rules" names a key twice'
            raise ValueError(message)


class Metadata(Struct, frozen=True, forbid_unknown_fields=True):
    """The names of the headers that tell a client what is left."""

    limit_header: HeaderName = "X-RateLimit-Limit"
    remaining_header: HeaderName = "X-RateLimit-Remaining"
    reset_header: HeaderName = "X-RateLimit-Reset"

    def __post_init__(self) -> None:
        check_headers((self.limit_header, self.remaining_header, self.reset_header), "header names")


class Quota(Struct, frozen=True):
    """What a client is told of a limit; of a rule, under headers of its own."""

    limit: int
    remaining: int
    reset_s: float
    prefix: str | None


class Limit(Struct, frozen=True):
    """A limit with its numbers, and the key that is counted."""

    count: int
    window_s: float
    key: str
    prefix: str | None = None


class CountImpossible(BatchwayError):
    """The limit's numbers could not be made out for this request."""

    status = 500
    code = "count_impossible"

    def __init__(self) -> None:
        super().__init__("failed to limit count")


class LimitCount(Plugin):
    """Counts in windows that begin with the first request."""

    name = "limit-count"
    priority = 1002
    counts = True
    Config: ClassVar[type[Struct]] = Config
    Metadata: ClassVar[type[Struct]] = Metadata

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._version = blake2b(msgspec.json.encode(config), digest_size=6).hexdigest()
        # Where the quota waits for the response: no variable has such a name.
        self._told = f"{self.name} {owner}"

    async def count(self, context: Context) -> Response | None:
        """A refusal once the limit is reached; what is refused is not counted."""
        try:
            limits = list(self._limits(context))
        except CountImpossible:
            if self.config.allow_degradation:
                return None
            raise
        told: list[Quota] = []
        context.values[self._told] = told
        for limit in limits:
            take = self.gateway.counters.take
            remaining, reset_s = take(limit.key, 1, limit.count, limit.window_s, time.monotonic())
            told.append(Quota(limit.count, max(remaining, 0), reset_s, limit.prefix))
            if remaining < 0:
                return self._refusal(context, reset_s)
        return None

    async def filter_response(self, context: Context, response: Response) -> Response:
        """The response with what is left of the limit."""
        if self.config.show_limit_quota_header:
            for quota in context.values.get(self._told, ()):
                self._tell(response, quota)
        return response

    def _tell(self, response: Response, quota: Quota) -> None:
        named = self.gateway.metadata(self.name)
        if quota.prefix is not None:
            named = Metadata(*(f"X-{quota.prefix}-RateLimit-{what}" for what in _TOLD))
        for name, value in (
            (named.limit_header, quota.limit),
            (named.remaining_header, quota.remaining),
            (named.reset_header, math.ceil(quota.reset_s)),
        ):
            set_header(response, name, b"%d" % value)  # of two limits the nearer one is told

    def _refusal(self, context: Context, reset_s: float) -> Response:
        config = self.config
        is_item = context.original.batch is not None
        status = config.rejected_code or (_ITEM_REJECTED if is_item else _REJECTED)
        message = config.rejected_msg or REASONS.get(status, "rejected")
        response = json_response(status, {"error_msg": message})
        response.headers.append((b"Retry-After", b"%d" % max(1, math.ceil(reset_s))))
        return response

    # --- what is counted

    def _limits(self, context: Context) -> Iterator[Limit]:
        """Each limit that holds for the request. Raises CountImpossible if none does, or one has no number.

        A rule is not passed over for want of them: the client whose request names them could switch it off.
        """
        config = self.config
        lookup = context.var
        if not config.rules:
            numbers = _number(config.count, context), _number(config.time_window, context)
            yield Limit(*numbers, self._full_key(self._value(context)))
            return
        holding = [rule for rule in enumerate(config.rules, 1) if has_value(rule[1].key, lookup)]
        if not holding:
            raise CountImpossible
        for number, rule in holding:
            # Two rules may have different keys of one value: what they count is not the same.
            key = self._full_key(f"{number}:{resolve(rule.key, lookup)}")
            numbers = _number(rule.count, context), _number(rule.time_window, context)
            yield Limit(*numbers, key, rule.header_prefix or str(number))

    def _value(self, context: Context) -> str:
        config = self.config
        found: str | None
        match config.key_type:
            case "constant":
                found = config.key
            case "var_combination":
                found = resolve(config.key, context.var) if has_value(config.key, context.var) else None
            case "var":
                found = context.var(config.key)
        return found if found is not None else context.original.origin.client

    def _full_key(self, value: str) -> str:
        """A change elsewhere in the route leaves its counts alone; one of the config begins anew.

        A long value is kept as its digest: clients choose some of them, and many keys are kept.
        """
        if len(value) > _MAX_VALUE:
            value = blake2b(value.encode(errors="surrogateescape"), digest_size=16).hexdigest()
        if self.config.group is not None:
            return f"group {self.config.group}:{value}"
        return f"{self.owner}:{self._version}:{value}"


def _number(amount: Amount | None, context: Context) -> int:
    """Raises CountImpossible if the request does not name a whole number above 0."""
    if isinstance(amount, int):
        return amount
    try:
        number = float(resolve(amount or "", context.var))
    except ValueError:
        raise CountImpossible from None
    if not (0 < number <= _MAX_NUMBER and number.is_integer()):
        raise CountImpossible
    return int(number)
