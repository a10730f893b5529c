"""`hmac-auth`: requests signed with a consumer's secret.

Source: apisix/plugins/hmac-auth.lua (3.11 and later); draft-cavage-http-signatures.
"""

import base64
import hashlib
import hmac
import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Annotated, ClassVar, Literal

import structlog
from msgspec import Meta, Struct

from batchway.model import Request, Response, read_body
from batchway.plugins.auth import Anonymous, AuthPlugin, Realm
from batchway.plugins.context import Context, Credential
from batchway.plugins.variables import header

log = structlog.get_logger(__name__)

Algorithm = Literal["hmac-sha1", "hmac-sha256", "hmac-sha512"]
_TARGET = "@request-target"
# At a word's beginning only and without going back: in time that grows with the header, no faster.
_PARAMETER = re.compile(r'\b(\w++)="([^"]*+)"')


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What a signature must be like."""

    allowed_algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = (
        "hmac-sha1",
        "hmac-sha256",
        "hmac-sha512",
    )
    clock_skew: Annotated[int, Meta(ge=1)] = 300
    """Seconds that the `Date` of a request may be off."""
    signed_headers: tuple[Annotated[str, Meta(min_length=1, max_length=50)], ...] = ("date",)
    """Headers that must be signed, whatever else is."""
    validate_request_body: bool = False
    """Whether `Digest` must be the body's: `SHA-256=` and base64."""
    max_req_body_size: Annotated[int, Meta(ge=1)] = 64 * 1024 * 1024
    """A larger body is not read for that."""
    hide_credentials: bool = False
    realm: Realm = "hmac"
    anonymous_consumer: Anonymous = None


class ConsumerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A consumer's key: its name and its secret."""

    key_id: Annotated[str, Meta(min_length=1, max_length=256)]
    secret_key: Annotated[str, Meta(min_length=1, max_length=256)]


class _Unreadable(Exception):
    """Why nobody's signature can be made out."""


class _Refused(Exception):
    """Why a signature does not hold: for the log, as who tries keys must not be told how far he got."""


class HmacAuth(AuthPlugin):
    """Finds the consumer by the key's name and checks the signature."""

    name = "hmac-auth"
    priority = 2530
    Config: ClassVar[type[Struct]] = Config
    ConsumerConfig: ClassVar[type[Struct] | None] = ConsumerConfig
    identity = "key_id"
    secrets = ("secret_key",)
    challenge = "hmac"

    async def find(self, context: Context) -> Credential | Response:
        """Whose signature the request has. Raises BodyTooLarge."""
        try:
            return await self._validate(context)
        except _Unreadable as unreadable:
            return self.refuse(f"client request can't be validated: {unreadable}")
        except _Refused as refused:
            log.debug("signature refused", reason=str(refused), where=self.owner)
            return self.refuse("client request can't be validated")

    async def _validate(self, context: Context) -> Credential:
        """Raises _Unreadable, _Refused, BodyTooLarge."""
        request = context.original
        given = _parameters(request)
        key_id, signature, algorithm = (given.get(name) for name in ("keyId", "signature", "algorithm"))
        if not key_id or not signature:
            raise _Refused("keyId or signature missing")
        if not algorithm:
            raise _Refused("algorithm missing")
        credential = self.gateway.credential(self.name, key_id)
        if credential is None:
            raise _Refused("Invalid keyId")
        if algorithm not in self.config.allowed_algorithms:
            raise _Refused("Invalid algorithm")
        signed = given.get("headers", "").split()
        self._check_signed(signed, dated_by=self._check_date(request))
        text = _signing_string(context, key_id, signed)
        digest = hmac.new(credential.config.secret_key.encode(), text, algorithm.removeprefix("hmac-"))
        if not hmac.compare_digest(digest.digest(), _decoded(signature)):
            raise _Refused("Invalid signature")
        if self.config.validate_request_body:
            await _check_digest(context, self.config.max_req_body_size)
        return credential

    def _check_date(self, request: Request) -> str:
        """The name of the header that the date stands in."""
        name = "date" if header(request, b"date") is not None else "x-date"
        date = header(request, name.encode())
        if date is None:
            raise _Refused("Date header missing. failed to validate clock skew")
        try:
            sent = parsedate_to_datetime(date)
            sent_s = (sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            raise _Refused("Invalid GMT format time") from None
        if abs(time.time() - sent_s) > self.config.clock_skew:
            raise _Refused("Clock skew exceeded")
        return name

    def _check_signed(self, signed: list[str], *, dated_by: str) -> None:
        names = {name.lower() for name in signed}
        required = {name.lower() for name in self.config.signed_headers}
        if "date" in required:
            # Else a request could be sent again at any time, with another X-Date.
            required = required - {"date"} | {dated_by}
        for name in sorted(required - names):
            raise _Refused(f'expected header "{name}" missing in signing')


def _parameters(request: Request) -> dict[str, str]:
    """What `Authorization: Signature keyId="…",…` says. Raises _Unreadable."""
    given = header(request, b"authorization")
    if given is None:
        raise _Unreadable("missing Authorization header")
    scheme, _, parameters = given.partition(" ")
    if scheme.lower() != "signature":
        raise _Unreadable("Authorization header does not start with 'Signature'")
    return dict(_PARAMETER.findall(parameters))


def _signing_string(context: Context, key_id: str, signed: list[str]) -> bytes:
    """The key's name and what is signed, a line each; headers that are not there are left out."""
    request = context.original
    lines = [key_id]
    for name in signed:
        if name == _TARGET:
            lines.append(f"{request.method} {context.var('request_uri')}")
        else:
            value = header(request, name.lower().encode("latin-1"))
            if value is not None:
                lines.append(f"{name}: {value}")
    return "".join(f"{line}\n" for line in lines).encode("latin-1")


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError:
        raise _Refused("Invalid signature") from None


async def _check_digest(context: Context, max_bytes: int) -> None:
    """Raises _Refused unless the body is the one that was signed for, BodyTooLarge."""
    told = header(context.original, b"digest")
    if told is None:
        raise _Refused("Invalid digest")
    body = await read_body(context.request.body, max_bytes)
    context.change(body=body)
    found = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    if not hmac.compare_digest(found.encode(), told.encode("latin-1")):
        raise _Refused("Invalid digest")
