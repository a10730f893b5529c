"""`jwt-auth`: a token that a consumer's key has signed. Source: apisix/plugins/jwt-auth.lua; RFC 7519."""

import time
from typing import Annotated, Any, ClassVar, Literal, get_args
from weakref import WeakKeyDictionary

from msgspec import Meta, Struct

from batchway.config.url import parse_url
from batchway.model import Request, Response
from batchway.plugins.arguments import without_argument
from batchway.plugins.auth import Anonymous, AuthPlugin, Realm
from batchway.plugins.context import Context, Credential
from batchway.plugins.jwks import RemoteKeys, remote_keys
from batchway.plugins.jwt_keys import (
    Key,
    Token,
    for_algorithm,
    from_pem,
    from_secret,
    from_set,
    is_signed,
    take_apart,
)
from batchway.plugins.variables import argument, cookie, header

Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
    "PS256", "PS384", "PS512", "EdDSA",
]  # fmt: skip
Claim = Literal["exp", "nbf"]
CLAIMS: tuple[Claim, ...] = get_args(Claim)
Text = Annotated[str, Meta(min_length=1)]


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the token is looked for (header, query, cookie, in this order), and what it must say."""

    header: str = "authorization"
    query: str = "jwt"
    cookie: str = "jwt"
    hide_credentials: bool = False
    """Whether the upstream does not get to see the token."""
    key_claim_name: Text = "key"
    """The claim that names the consumer's key."""
    store_in_ctx: bool = False
    """Whether the claims are the variables `jwt_claim_…` from then on."""
    realm: Realm = "jwt"
    claims_to_verify: tuple[Claim, ...] = ()
    """Claims that a token must have. None: it may lack both, and those that it has must hold."""
    anonymous_consumer: Anonymous = None


class ConsumerConfig(Struct, frozen=True, forbid_unknown_fields=True, eq=False, weakref=True):
    """A consumer's key, and what tokens are signed with."""

    key: Text
    secret: Text | None = None
    """For HS…"""
    base64_secret: bool = False
    public_key: Text | None = None
    """PEM, for the others."""
    jwks: dict[str, Any] | None = None
    """Or a set of public keys; a token's `kid` says which of them."""
    jwks_uri: Text | None = None
    """Or where such a set is."""
    private_key: Text | None = None
    """Not used. Older APISIX made tokens with it; consumers that were written for it have one."""
    algorithm: Algorithm = "HS256"
    exp: Annotated[int, Meta(ge=1)] = 86400
    """Not used: seconds, for who makes tokens."""
    lifetime_grace_period: Annotated[int, Meta(ge=0)] = 0
    """Seconds that `exp` and `nbf` may be off."""

    def __post_init__(self) -> None:
        _keys[self] = _own_keys(self)


_keys: WeakKeyDictionary[ConsumerConfig, tuple[Key, ...]] = WeakKeyDictionary()
"""What stands in a config, ready to be used: reading PEM takes longer than checking a signature."""


def _own_keys(config: ConsumerConfig) -> tuple[Key, ...]:
    """The keys that stand in the config itself. Raises ValueError."""
    algorithm = config.algorithm
    if algorithm.startswith("HS"):
        if config.secret is None:
            message = f'property "secret" is required for {algorithm}'
            raise ValueError(message)
        return (from_secret(config.secret, is_base64=config.base64_secret),)
    if (config.public_key, config.jwks, config.jwks_uri).count(None) != 2:
        message = f'exactly one of "public_key", "jwks" and "jwks_uri" is expected for {algorithm}'
        raise ValueError(message)
    if config.public_key is not None:
        return (from_pem(algorithm, config.public_key),)
    try:
        if config.jwks is not None:
            return for_algorithm(from_set(config.jwks), algorithm)
        parse_url(config.jwks_uri or "")
    except ValueError as error:
        message = f'"{"jwks_uri" if config.jwks is None else "jwks"}": {error}'
        raise ValueError(message) from None
    return ()


class JwtAuth(AuthPlugin):
    """Finds the consumer by a claim and checks the signature and the times."""

    name = "jwt-auth"
    priority = 2510
    Config: ClassVar[type[Struct]] = Config
    ConsumerConfig: ClassVar[type[Struct] | None] = ConsumerConfig
    identity = "key"
    secrets = ("secret", "private_key")
    challenge = "Bearer"

    async def find(self, context: Context) -> Credential | Response:
        """Whose token the request has."""
        _, text = self._shown(context.request)
        if not text:
            return self.refuse("Missing JWT token in request")
        token = take_apart(text)
        if token is None:
            return self._invalid("JWT token invalid", "no token")
        key = token.claims.get(self.config.key_claim_name)
        if key is None:
            return self._invalid("missing user key in JWT token", "no user key")
        credential = self.gateway.credential(self.name, key) if isinstance(key, str) else None
        if credential is None:
            return self._invalid("Invalid user key in JWT token", "unknown user key")
        if not await self._is_signed(context, text, token, credential):
            return self._invalid("failed to verify jwt", "the signature was not verified")
        problem = self._time_problem(token.claims, credential.config.lifetime_grace_period)
        if problem is not None:
            return self._invalid("failed to verify jwt", problem)
        if self.config.store_in_ctx:
            for name, value in token.claims.items():
                context.values[f"jwt_claim_{name}"] = value
        return credential

    def hide(self, context: Context) -> None:
        """Hide the token where it was found, and nothing else."""
        config = self.config
        match self._shown(context.request)[0]:
            case "header":
                context.remove_header(config.header)
            case "query":
                _hide_argument(context, config.query)
            case "cookie":
                _hide_cookie(context, config.cookie)

    def hide_all(self, context: Context) -> None:
        """Hide what stands in any of the places: one may be wrong and the next somebody's token."""
        if self._in_header(context.request):
            context.remove_header(self.config.header)
        _hide_argument(context, self.config.query)
        _hide_cookie(context, self.config.cookie)

    def _shown(self, request: Request) -> tuple[str, str | None]:
        """Where the token is, and the token."""
        config = self.config
        found = self._in_header(request)
        if found:
            return "header", found[7:].strip() if found[:7].lower() == "bearer " else found
        found = argument(request.query, config.query)
        if found:
            return "query", found
        return "cookie", cookie(request, config.cookie)

    def _in_header(self, request: Request) -> str | None:
        return header(request, self.config.header.lower().encode("latin-1", "replace"))

    async def _is_signed(self, context: Context, text: str, token: Token, credential: Credential) -> bool:
        """Checked once for the items of a batch that share a token: that is what takes the time."""
        memo = context.memo()
        asked = (self.name, text, credential)
        known: bool | None = memo.get(asked)
        if known is None:
            config = credential.config
            known = is_signed(token, config.algorithm, _keys[config])
            if config.jwks_uri is not None and token.algorithm == config.algorithm:
                keys = remote_keys(self.gateway, config.jwks_uri)
                known = await _is_signed_remotely(token, keys)
            memo[asked] = known
        return known

    def _time_problem(self, claims: dict[str, Any], grace_s: int) -> str | None:
        now, required = time.time(), self.config.claims_to_verify
        for name in required or CLAIMS:
            if name in claims:
                problem = _problem_with(name, claims[name], now, grace_s)
            else:
                problem = f"claim {name} is missing" if required else None
            if problem is not None:
                return problem
        return None

    def _invalid(self, message: str, why: str) -> Response:
        """The refusal of a token. RFC 6750, section 3.1: so a client knows that it needs another."""
        return self.refuse(message, error="invalid_token", error_description=why)


async def _is_signed_remotely(token: Token, keys: RemoteKeys) -> bool:
    """Whether a key of that set has signed it. Where none of those at hand has, newer ones are fetched."""
    for find in (keys.find, keys.find_newer):
        if is_signed(token, token.algorithm, await find(token.algorithm, token.kid)):
            return True
    return False


def _problem_with(name: str, value: object, now: float, grace_s: int) -> str | None:
    """Why a time in a token does not hold. Source: RFC 7519, sections 4.1.4 and 4.1.5."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"claim {name} is no number"
    if name == "exp" and value + grace_s <= now:
        return "the token has expired"
    if name == "nbf" and value - grace_s > now:
        return "the token is not valid yet"
    return None


def _hide_argument(context: Context, name: str) -> None:
    query = context.request.query
    if argument(query, name) is not None:
        context.change(query=without_argument(query, name))


def _hide_cookie(context: Context, name: str) -> None:
    """Send the other cookies on."""
    lines = [line.decode("latin-1") for line in context.request.headers.all(b"cookie")]
    pieces = [piece.strip() for line in lines for piece in line.split(";")]
    kept = [piece for piece in pieces if piece.partition("=")[0] != name]
    if kept == pieces:
        return
    context.remove_header("cookie")
    if kept:
        context.add_header("cookie", "; ".join(kept))
