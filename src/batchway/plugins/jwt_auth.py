"""`jwt-auth`: a token that a consumer's key has signed. Source: apisix/plugins/jwt-auth.lua; RFC 7519."""

import base64
import binascii
import time
import warnings
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from msgspec import Meta, Struct

from batchway.model import Response
from batchway.plugins.arguments import without_argument
from batchway.plugins.auth import AuthPlugin
from batchway.plugins.context import Context, Credential
from batchway.plugins.variables import argument, cookie, header

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
    "PS256", "PS384", "PS512", "EdDSA",
]  # fmt: skip
Claim = Literal["exp", "nbf"]
Key = OctKey | RSAKey | ECKey | OKPKey | KeySet
MAX_TOKEN = 16 * 1024
"""Characters of a token."""


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the token is looked for (header, query, cookie, in this order), and what it must say."""

    header: str = "authorization"
    query: str = "jwt"
    cookie: str = "jwt"
    hide_credentials: bool = False
    """Whether the upstream does not get to see the token."""
    key_claim_name: Annotated[str, Meta(min_length=1)] = "key"
    """The claim that names the consumer's key."""
    store_in_ctx: bool = False
    """Whether the claims are the variables `jwt_claim_…` from then on."""
    realm: str = "jwt"
    claims_to_verify: Annotated[tuple[Claim, ...], Meta(min_length=1)] | None = None
    """Claims that must be there. What is there of these two always has to hold."""
    anonymous_consumer: str | None = None


class ConsumerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A consumer's key, and what tokens are signed with."""

    key: Annotated[str, Meta(min_length=1)]
    secret: Annotated[str, Meta(min_length=1)] | None = None
    """For HS…"""
    base64_secret: bool = False
    public_key: Annotated[str, Meta(min_length=1)] | None = None
    """PEM, for the others."""
    jwks: dict[str, Any] | None = None
    """Or a set of public keys; a token's `kid` says which of them."""
    algorithm: Algorithm = "HS256"
    exp: Annotated[int, Meta(ge=1)] = 86400
    """Seconds; for who makes tokens, batchway does not read it."""
    lifetime_grace_period: Annotated[int, Meta(ge=0)] = 0
    """Seconds that `exp` and `nbf` may be off."""

    def __post_init__(self) -> None:
        _key(self)


def _key(config: ConsumerConfig) -> Key:
    """What tokens are checked with. Raises ValueError."""
    if config.algorithm.startswith("HS"):
        if config.secret is None:
            message = f'"secret" is required for {config.algorithm}'
            raise ValueError(message)
        return _secret(config.secret, config.base64_secret)
    if (config.public_key is None) == (config.jwks is None):
        message = f'exactly one of "public_key" and "jwks" is expected for {config.algorithm}'
        raise ValueError(message)
    if config.public_key is not None:
        return _public_key(config.algorithm, config.public_key)
    return _key_set(msgspec.json.encode(config.jwks))


@lru_cache(maxsize=4096)
def _secret(secret: str, is_base64: bool) -> OctKey:
    try:
        raw = base64.b64decode(secret, validate=True) if is_base64 else secret.encode()
    except binascii.Error:
        message = '"secret": expected base64'
        raise ValueError(message) from None
    with warnings.catch_warnings(action="ignore"):  # of short secrets: APISIX's users have them
        return OctKey.import_key(raw)


@lru_cache(maxsize=4096)
def _public_key(algorithm: str, pem: str) -> RSAKey | ECKey | OKPKey:
    kind = {"ES": ECKey, "Ed": OKPKey}.get(algorithm[:2], RSAKey)
    try:
        with warnings.catch_warnings(action="ignore"):
            return kind.import_key(pem)  # type: ignore[attr-defined,no-any-return]
    except (ValueError, TypeError, JoseError):
        message = f'"public_key": expected a public key for {algorithm} as PEM'
        raise ValueError(message) from None


@lru_cache(maxsize=1024)
def _key_set(document: bytes) -> KeySet:
    try:
        with warnings.catch_warnings(action="ignore"):
            return KeySet.import_key_set(msgspec.json.decode(document))
    except (ValueError, TypeError, KeyError, JoseError):
        message = '"jwks": expected {"keys": […]} as in RFC 7517'
        raise ValueError(message) from None


class Token(Struct, frozen=True):
    """A token taken apart, its signature not checked."""

    text: str
    algorithm: str
    claims: dict[str, Any]


class JwtAuth(AuthPlugin):
    """Finds the consumer by a claim and checks the signature and the times."""

    name = "jwt-auth"
    priority = 2510
    Config: ClassVar[type[Struct]] = Config
    ConsumerConfig: ClassVar[type[Struct] | None] = ConsumerConfig
    identity = "key"
    secrets = ("secret",)
    challenge = "Bearer"

    async def find(self, context: Context) -> Credential | Response:
        """Whose token the request has."""
        text = self._take(context)
        if not text:
            return self.refuse("Missing JWT token in request")
        token = _taken_apart(text)
        if token is None:
            return self.refuse("JWT token invalid")
        key = token.claims.get(self.config.key_claim_name)
        if key is None:
            return self.refuse("missing user key in JWT token")
        credential = self.gateway.credential(self.name, str(key))
        if credential is None:
            return self.refuse("Invalid user key in JWT token")
        # Checked once for the items of a batch that share a token: that is what takes the time.
        known = context.memo()
        asked = (self.name, text, credential)
        if asked not in known:
            known[asked] = _is_signed(token, credential.config)
        if not known[asked]:
            return self.refuse("failed to verify jwt")
        problem = self._time_problem(token.claims, credential.config.lifetime_grace_period)
        if problem is not None:
            return self.refuse(problem)
        if self.config.store_in_ctx:
            for name, value in token.claims.items():
                context.values[f"jwt_claim_{name}"] = value
        return credential

    def _take(self, context: Context) -> str | None:
        """The token, hidden from the upstream if that is to be."""
        request, config = context.request, self.config
        found = header(request, config.header.lower().encode("latin-1", "replace"))
        if found:
            if config.hide_credentials:
                context.remove_header(config.header)
            return found[7:].strip() if found[:7].lower() == "bearer " else found
        found = argument(request.query, config.query)
        if found:
            if config.hide_credentials:
                context.change(query=without_argument(request.query, config.query))
            return found
        found = cookie(request, config.cookie)
        if found and config.hide_credentials:
            _hide_cookie(context, config.cookie)
        return found

    def _time_problem(self, claims: dict[str, Any], grace_s: int) -> str | None:
        now = time.time()
        for name in ("exp", "nbf"):
            value = claims.get(name)
            if value is None:
                if name in (self.config.claims_to_verify or ()):
                    return f"claim {name} is missing"
            elif isinstance(value, bool) or not isinstance(value, int | float):
                return f"claim {name} is no time"
            elif name == "exp" and value + grace_s <= now:
                return "failed to verify jwt: the token has expired"
            elif name == "nbf" and value - grace_s > now:
                return "failed to verify jwt: the token is not valid yet"
        return None


def _taken_apart(text: str) -> Token | None:
    """None for what is no token."""
    parts = text.split(".")
    if len(parts) != 3 or len(text) > MAX_TOKEN:
        return None
    try:
        head, claims = (msgspec.json.decode(_from_base64(part), type=dict) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    algorithm = head.get("alg")
    return Token(text, algorithm, claims) if isinstance(algorithm, str) else None


def _from_base64(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _is_signed(token: Token, config: ConsumerConfig) -> bool:
    """Whether the consumer's key has signed it, by its algorithm and no other. RFC 8725, section 3.1."""
    if token.algorithm != config.algorithm:
        return False
    try:
        with warnings.catch_warnings(action="ignore"):
            jws.deserialize_compact(token.text, _key(config), registry=_REGISTRIES[config.algorithm])
    except (JoseError, ValueError, TypeError):
        return False
    return True


_REGISTRIES = {
    name: JWSRegistry(algorithms=[name])
    for name in (
        *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    )
}


def _hide_cookie(context: Context, name: str) -> None:
    """Send the other cookies on."""
    lines = [line.decode("latin-1") for line in context.request.headers.all(b"cookie")]
    pieces = [piece.strip() for line in lines for piece in line.split(";")]
    kept = [piece for piece in pieces if piece.partition("=")[0] != name]
    context.remove_header("cookie")
    if kept:
        context.add_header("cookie", "; ".join(kept))
