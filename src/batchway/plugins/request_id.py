"""`request-id`: each request has an id, its own or one made here. Source: apisix/plugins/request-id.lua."""

import secrets
import string
import time
from typing import Annotated, Any, ClassVar, Literal
from uuid import uuid4

from msgspec import Meta, Struct

from batchway.model import Response
from batchway.plugins.base import Gateway, Plugin
from batchway.plugins.context import Context
from batchway.plugins.names import HeaderName, check_headers, hyphened
from batchway.plugins.uuid7 import Uuid7

_LETTERS = string.ascii_letters + string.digits
_KSUID_EPOCH = 1_400_000_000
_KSUID_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_NANOID_LETTERS = _LETTERS + "_-"
_uuid7 = Uuid7()
"""One for all routes, so that the order is theirs together."""


class RangeId(Struct, frozen=True, forbid_unknown_fields=True):
    """So many characters out of a set."""

    length: Annotated[int, Meta(ge=6, le=256)] = 16
    char_set: Annotated[str, Meta(min_length=6, pattern=r"^[!-~]+\Z")] = _LETTERS


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the id stands, and how one is made."""

    header_name: HeaderName = "X-Request-Id"
    include_in_response: bool = True
    algorithm: Literal["uuid", "uuidv7", "nanoid", "range_id", "ksuid"] = "uuid"
    range_id: RangeId = RangeId()

    def __post_init__(self) -> None:
        check_headers((self.header_name,), "header_name")


class RequestId(Plugin):
    """Passes the id of a request on, in both directions."""

    name = "request-id"
    priority = 12015
    Config: ClassVar[type[Struct]] = Config

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        # A global rule and a route may each have one: no variable has such a name.
        self._told = f"{self.name} {config.header_name}"

    async def rewrite(self, context: Context) -> Response | None:
        """Give an id to a request that has none."""
        name = self.config.header_name
        found = context.request.headers.get(name.lower().encode())
        request_id = found.decode("latin-1") if found else self._make()
        if not found:
            context.set_header(name, request_id)
        for variable in ("request_id", "apisix_request_id", self._told):
            context.values[variable] = request_id
        return None

    async def filter_response(self, context: Context, response: Response) -> Response:
        """Tell the client, unless the upstream has."""
        name = hyphened(self.config.header_name).encode()
        known = any(key.lower() == name.lower() and value for key, value in response.headers)
        request_id = context.values.get(self._told)
        if self.config.include_in_response and not known and request_id is not None:
            response.headers.append((name, request_id.encode("latin-1")))
        return response

    def _make(self) -> str:
        match self.config.algorithm:
            case "uuidv7":
                return str(_uuid7())
            case "nanoid":
                return _chosen(_NANOID_LETTERS, 21)
            case "range_id":
                return _chosen(self.config.range_id.char_set, self.config.range_id.length)
            case "ksuid":
                return _ksuid()
        return str(uuid4())


def _chosen(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def _ksuid() -> str:
    """27 characters that sort by the second they were made in. Source: segmentio/ksuid, README."""
    number = (int(time.time()) - _KSUID_EPOCH) << 128 | secrets.randbits(128)
    digits = ""
    for _ in range(27):
        number, digit = divmod(number, 62)
        digits = _KSUID_DIGITS[digit] + digits
    return digits
