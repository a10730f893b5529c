"""`hmac-auth`: requests signed with a consumer's secret.

Source: apisix/plugins/hmac-auth.lua (3.11 and later); draft-cavage-http-signatures.
"""

import base64
import binascii
import hashlib
import hmac
import re
import time
from email.utils import parsedate_to_datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from batchway.model import Response, read_body
from batchway.plugins.auth import AuthPlugin
from batchway.plugins.context import Context, Credential

Algorithm = Literal["hmac-sha1", "hmac-sha256", "hmac-sha512"]
MAX_DIGESTED_BYTES = 64 * 1024 * 1024
"""A larger body is not read to check its digest."""
_TARGET = "@request-target"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """What a signature must be like."""

    allowed_algorithms: Annotated[tuple[Algorithm, ...], Meta(min_length=1)] = (
        "hmac-sha1",
        "hmac-sha256",
        "hmac-sha512",
    )
    clock_skew: Annotated[int, Meta(ge=1)] = 300
    """Seconds that the `Date` of a request may be off."""
    signed_headers: tuple[Annotated[str, Meta(min_length=1, max_length=50)], ...] = ()
    """Headers that must be signed, whatever else is."""
    validate_request_body: bool = False
    """Whether `Digest` must be the body's: `SHA-256=` and base64."""
    hide_credentials: bool = False
    realm: str = "hmac"
    anonymous_consumer: str | None = None


class ConsumerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A consumer's key: its name and its secret."""

    key_id: Annotated[str, Meta(min_length=1, max_length=256)]
    secret_key: Annotated[str, Meta(min_length=1, max_length=256)]


class _Refused(Exception):
    """Why the request cannot be validated."""


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
        """Whose signature the request has."""
        try:
            credential = await self._validate(context)
        except _Refused as refused:
            return self.refuse(f"client request can't be validated: {refused}")
        if self.config.hide_credentials:
            context.remove_header("authorization")
        return credential

    async def _validate(self, context: Context) -> Credential:
        """Raises _Refused."""
        given = _parameters(context)
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
        self._check_date(context)
        signed = given.get("headers", "").split()
        self._check_signed(signed)
        text = _signing_string(context, key_id, signed)
        digest = hmac.new(credential.config.secret_key.encode(), text, algorithm.removeprefix("hmac-"))
        if not hmac.compare_digest(digest.digest(), _decoded(signature)):
            raise _Refused("Invalid signature")
        if self.config.validate_request_body:
            await _check_digest(context)
        return credential

    def _check_date(self, context: Context) -> None:
        date = context.var("http_date")
        if date is None:
            raise _Refused("Date header missing. failed to validate clock skew")
        try:
            sent_s = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            raise _Refused("Invalid GMT format time") from None
        if abs(time.time() - sent_s) > self.config.clock_skew:
            raise _Refused("Clock skew exceeded")

    def _check_signed(self, signed: list[str]) -> None:
        names = {name.lower() for name in signed}
        if self.config.signed_headers and not signed:
            raise _Refused("headers missing")
        for name in self.config.signed_headers:
            if name.lower() not in names:
                raise _Refused(f'expected header "{name}" missing in signing')


def _parameters(context: Context) -> dict[str, str]:
    """What `Authorization: Signature keyId="…",…` says. Raises _Refused."""
    given = context.var("http_authorization")
    if given is None:
        raise _Refused("missing Authorization header")
    if not given.startswith("Signature"):
        raise _Refused("Authorization header does not start with 'Signature'")
    return dict(_PARAMETER.findall(given))


def _signing_string(context: Context, key_id: str, signed: list[str]) -> bytes:
    """The key's name and what is signed, a line each; headers that are not there are left out."""
    lines = [key_id]
    for name in signed:
        if name == _TARGET:
            lines.append(f"{context.original.method} {context.var('request_uri')}")
        else:
            value = context.var("http_" + name.replace("-", "_"))
            if value is not None:
                lines.append(f"{name}: {value}")
    return "".join(f"{line}\n" for line in lines).encode("latin-1", "replace")


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature, validate=True)
    except binascii.Error:
        raise _Refused("Invalid signature") from None


async def _check_digest(context: Context) -> None:
    """Raises _Refused unless the body is the one that was signed for, BodyTooLarge."""
    told = context.var("http_digest")
    if told is None:
        raise _Refused("Invalid digest")
    body = await read_body(context.request.body, MAX_DIGESTED_BYTES)
    context.change(body=body)
    found = "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
    if not hmac.compare_digest(found.encode(), told.encode("latin-1", "replace")):
        raise _Refused("Invalid digest")
