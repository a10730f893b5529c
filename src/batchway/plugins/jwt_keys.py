"""Tokens, and the keys that their signatures are checked with. Source: RFC 7515, RFC 7517, RFC 7518."""

import base64
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from msgspec import Struct

Key = OctKey | RSAKey | ECKey | OKPKey
MAX_TOKEN = 16 * 1024
"""Characters of a token."""
_KINDS: dict[str, type[RSAKey | ECKey | OKPKey]] = {
    "RS": RSAKey,
    "PS": RSAKey,
    "ES": ECKey,
    "Ed": OKPKey,
}


class Token(Struct, frozen=True, gc=False):
    """A token taken apart, its signature not checked."""

    algorithm: str
    kid: str | None
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


def take_apart(text: str) -> Token | None:
    """None for what is no token, and for one that asks for an extension of JWS: there is none here."""
    parts = text.split(".")
    if len(parts) != 3 or len(text) > MAX_TOKEN:
        return None
    try:
        head, claims = (msgspec.json.decode(_from_base64(part), type=dict) for part in parts[:2])
        signature = _from_base64(parts[2])
    except (ValueError, RecursionError):
        return None
    algorithm, kid = head.get("alg"), head.get("kid")
    if not isinstance(algorithm, str) or "crit" in head:
        return None
    signed = text.rpartition(".")[0].encode()
    return Token(algorithm, kid if isinstance(kid, str) else None, claims, signed, signature)


def _from_base64(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def is_signed(token: Token, algorithm: str, keys: Iterable[Key]) -> bool:
    """Whether one of these keys has signed it, by that algorithm and no other. RFC 8725, section 3.1."""
    if token.algorithm != algorithm:
        return False
    return any(_is_signed_by(token, key) for key in fitting(keys, algorithm, token.kid))


def fitting(keys: Iterable[Key], algorithm: str, kid: str | None) -> list[Key]:
    """The keys that a token of that algorithm and `kid` may be signed with.

    A key without a name fits any token, and any key a token that names none.
    """
    return [key for key in keys if _is_for(key, algorithm) and (kid is None or key.kid in (None, kid))]


def _is_for(key: Key, algorithm: str) -> bool:
    try:
        JWSRegistry.algorithms[algorithm].check_key(key)
    except JoseError:
        return False
    return True


def _is_signed_by(token: Token, key: Key) -> bool:
    # The algorithm itself, and not joserfc.jws: that refuses header names it does not know, headers
    # above 512 bytes, and warns of EdDSA for every token.
    try:
        return JWSRegistry.algorithms[token.algorithm].verify(token.signed, token.signature, key)
    except (JoseError, ValueError, TypeError):
        return False


# --- keys, from what a config says


def from_secret(secret: str, *, is_base64: bool) -> OctKey:
    """A key for HS256, HS384 or HS512. Raises ValueError."""
    try:
        padding = "=" * (-len(secret) % 4)
        raw = base64.b64decode(secret + padding, validate=True) if is_base64 else secret.encode()
    except ValueError:
        message = '"secret": expected base64'
        raise ValueError(message) from None
    try:
        with warnings.catch_warnings(action="ignore"):  # of short secrets: APISIX's users have them
            return OctKey.import_key(raw)
    except ValueError:
        message = '"secret": expected a secret, not nothing and not a public key'
        raise ValueError(message) from None


def from_pem(algorithm: str, pem: str) -> Key:
    """The public key in `pem`, for that algorithm. Raises ValueError."""
    try:
        with warnings.catch_warnings(action="ignore"):
            key = _KINDS[algorithm[:2]].import_key(pem)
        is_private = key.is_private
        model = JWSRegistry.algorithms[algorithm]
        model.check_key(key)
        model.verify(b"", b"", key)  # what the kind of key does not tell, such as X25519 for EdDSA
    except (ValueError, TypeError, KeyError, AttributeError, JoseError):
        message = f'"public_key": expected a public key for {algorithm} as PEM'
        raise ValueError(message) from None
    if is_private:
        message = '"public_key": expected a public key, got a private one'
        raise ValueError(message)
    return key


def from_set(document: object) -> tuple[Key, ...]:
    """The keys in a JSON Web Key Set; those that are not understood are left out.

    Raises ValueError if it is none. Source: RFC 7517, section 5.
    """
    described = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(described, list):
        message = 'expected {"keys": […]} as in RFC 7517'
        raise ValueError(message)
    return tuple(key for one in described if (key := _from_jwk(one)) is not None)


def _from_jwk(described: object) -> Key | None:
    if not isinstance(described, dict):
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return JWKRegistry.import_key(described)
    except (ValueError, TypeError, KeyError, AttributeError, JoseError):
        return None


def for_algorithm(keys: Sequence[Key], algorithm: str) -> tuple[Key, ...]:
    """Those of the keys that are for the algorithm. Raises ValueError if there is none."""
    found = tuple(fitting(keys, algorithm, None))
    if not found:
        message = f"expected a key for {algorithm}"
        raise ValueError(message)
    return found
