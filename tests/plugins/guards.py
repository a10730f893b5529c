"""Routes behind auth plugins, answered by a mock that tells whose the request is; tokens and signatures."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from batchway.gateway import Gateway
from batchway.model import Response
from tests.plugins.gateways import document, get, running

Headers = list[tuple[str, str]]
JSON = dict[str, Any]


def guarded(**plugins: JSON) -> JSON:
    """A route of plugins (`basic_auth` is `basic-auth`), answered with consumer and credential."""
    named = {name.replace("_", "-"): config for name, config in plugins.items()}
    mock = {"response_example": "$consumer_name/$credential_id", "_meta": {"priority": 1}}
    return {"uri": "/*", "plugins": {**named, "mocking": mock}}


def consumer(username: str, /, **plugins: JSON) -> JSON:
    """A consumer with these plugins."""
    return {
        "username": username,
        "plugins": {name.replace("_", "-"): config for name, config in plugins.items()},
    }


async def whose(gateway: Gateway, **more: Any) -> tuple[int, str]:
    """The status, and the names that the mock told or the message of the refusal."""
    response = await get(gateway, **more)
    assert isinstance(response.body, bytes)
    if response.status == 200:
        return 200, response.body.decode().removesuffix("/")
    told = document(response)
    return response.status, told.get("message") or told["error_msg"]


def challenges(response: Response) -> list[str]:
    """The values of WWW-Authenticate."""
    return [value.decode() for name, value in response.headers if name == b"WWW-Authenticate"]


def run(test: Callable[[Gateway], Awaitable[None]], **resources: JSON) -> None:
    """Run `test` with a gateway that has these resources."""

    async def main() -> None:
        async with running(**resources) as gateway:
            await test(gateway)

    asyncio.run(main())


def authorization(value: str) -> Headers:
    """That header."""
    return [("Authorization", value)]


def basic(name: str, password: str) -> Headers:
    """Name and password as RFC 7617 has them."""
    return authorization("Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())


# --- tokens, signed by `cryptography` itself

Private = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
)

_CURVES: dict[str, Callable[[], ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}


@cache
def private_key(algorithm: str, number: int = 0) -> Private:
    """A key for that algorithm, as `RS256/1024` one of so many bits; the same for the same `number`."""
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(algorithm.partition("/")[2] or 2048))


def public_pem(key: Private) -> str:
    """What a consumer has of it."""
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode()


def private_pem(key: Private) -> str:
    """What nobody should have of it."""
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()


def encoded(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(key: Private, **more: str) -> JSON:
    """The public key as a member of a JSON Web Key Set."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n, 256), "e": _number(numbers.e, 3)} | more
    if isinstance(public, ec.EllipticCurvePublicKey):
        size, point = (public.key_size + 7) // 8, public.public_numbers()
        name = {256: "P-256", 384: "P-384", 521: "P-521"}[public.key_size]
        return {"kty": "EC", "crv": name, "x": _number(point.x, size), "y": _number(point.y, size)} | more
    return {"kty": "OKP", "crv": "Ed25519", "x": encoded(public.public_bytes_raw())} | more


def _number(value: int, size: int) -> str:
    return encoded(value.to_bytes(size, "big"))


def token(
    key: Private | str | bytes,
    claims: object = None,
    algorithm: str = "HS256",
    **head: Any,
) -> str:
    """A token with these claims, by default `{"key": "user-key"}`; `head` is more of its header."""
    claims = {"key": "user-key"} if claims is None else claims
    first = {"typ": "JWT", "alg": algorithm} | head
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (first, claims))
    return f"{signed}.{encoded(signature(key, signed.encode(), algorithm))}"


def signature(key: Private | str | bytes, signed: bytes, algorithm: str) -> bytes:
    """The signature of `signed`."""
    if isinstance(key, str | bytes):
        secret = key.encode() if isinstance(key, str) else key
        return hmac.new(secret, signed, f"sha{algorithm[2:]}").digest()
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return key.sign(signed)
    chosen = _HASHES[algorithm[2:]]()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.key_size + 7) // 8
        return b"".join(
            part.to_bytes(size, "big") for part in decode_dss_signature(key.sign(signed, ec.ECDSA(chosen)))
        )
    assert isinstance(key, rsa.RSAPrivateKey)
    if algorithm.startswith("PS"):
        return key.sign(signed, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
    return key.sign(signed, padding.PKCS1v15(), chosen)


def bearer(text: str) -> Headers:
    """A token where it usually stands."""
    return authorization(f"Bearer {text}")


def in_seconds(seconds: float) -> int:
    """That time from now."""
    return int(time.time() + seconds)


# --- signed requests


def signed_request(
    method: str = "GET",
    target: str = "/",
    *,
    key_id: str = "access",
    secret: str = "secret",  # noqa: S107 - of a test
    algorithm: str = "hmac-sha256",
    headers: Headers | None = None,
    signs: str = "@request-target date",
    date_s: float | None = None,
    dated_by: str = "Date",
) -> Headers:
    """The headers of a request that is signed: `headers` and those that make it so."""
    date = formatdate(time.time() if date_s is None else date_s, usegmt=True)
    sent = [(dated_by, date), *(headers or [])]
    values = {name.lower(): value for name, value in sent}
    lines = [key_id]
    for name in signs.split():
        if name == "@request-target":
            lines.append(f"{method} {target}")
        elif name.lower() in values:
            lines.append(f"{name}: {values[name.lower()]}")
    text = "".join(f"{line}\n" for line in lines).encode()
    raw = hmac.new(secret.encode(), text, algorithm.removeprefix("hmac-")).digest()
    made = base64.b64encode(raw).decode()
    given = f'keyId="{key_id}",algorithm="{algorithm}",headers="{signs}",signature="{made}"'
    return [*sent, ("Authorization", f"Signature {given}")]


def digest(body: bytes) -> tuple[str, str]:
    """The header that tells what the body is."""
    return "Digest", "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()
