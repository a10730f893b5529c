"""`basic-auth`: name and password of a consumer. Source: apisix/plugins/basic-auth.lua; RFC 7617."""

import base64
import hmac
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from batchway.model import Response
from batchway.plugins.auth import Anonymous, AuthPlugin, Realm
from batchway.plugins.context import Context, Credential
from batchway.plugins.variables import header


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """How a refusal reads, and what the upstream sees."""

    hide_credentials: bool = False
    """Whether the upstream does not get to see name and password."""
    realm: Realm = "basic"
    anonymous_consumer: Anonymous = None


class ConsumerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A consumer's name and password."""

    username: Annotated[str, Meta(min_length=1)]
    password: Annotated[str, Meta(min_length=1)]


class BasicAuth(AuthPlugin):
    """Finds the consumer by name and checks the password."""

    name = "basic-auth"
    priority = 2520
    Config: ClassVar[type[Struct]] = Config
    ConsumerConfig: ClassVar[type[Struct] | None] = ConsumerConfig
    identity = "username"
    secrets = ("password",)
    challenge = "Basic"

    async def find(self, context: Context) -> Credential | Response:
        """Whose name and password the request has."""
        given = header(context.request, b"authorization")
        if given is None:
            return self.refuse("Missing authorization in request")
        pair = _name_and_password(given)
        if pair is None:
            return self.refuse("Invalid authorization in request")
        name, password = pair
        credential = self.gateway.credential(self.name, name)
        known = credential.config.password if credential is not None else ""
        # compared in any case: the time it takes must not tell which names are known
        fits = hmac.compare_digest(known.encode(), password.encode())
        if credential is None or not fits:
            return self.refuse("Invalid user authorization")
        return credential


def _name_and_password(given: str) -> tuple[str, str] | None:
    scheme, _, encoded = given.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # no ASCII, no base64, no UTF-8
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else None
