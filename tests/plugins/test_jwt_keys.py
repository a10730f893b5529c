"""`jwt-auth`: tokens that are signed with private keys."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519

from batchway.errors import InvalidResource
from batchway.gateway import Gateway
from tests.plugins.gateways import put
from tests.plugins.guards import (
    bearer,
    consumer,
    encoded,
    guarded,
    jwk,
    private_key,
    private_pem,
    public_pem,
    run,
    token,
    whose,
)

ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
]
RESOURCES: dict[str, Any] = {"routes": {"1": guarded(jwt_auth={})}}
FAILED = (401, "failed to verify jwt")


def put_jack(gateway: Gateway, **config: Any) -> None:
    put(gateway, "/consumers/jack", consumer("jack", jwt_auth={"key": "user-key", **config}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm(algorithm: str) -> None:
    async def test(gateway: Gateway) -> None:
        key = private_key(algorithm)
        put_jack(gateway, algorithm=algorithm, public_key=public_pem(key))
        good = token(key, algorithm=algorithm)
        assert await whose(gateway, headers=bearer(good)) == (200, "jack")
        other = token(private_key(algorithm, 1), algorithm=algorithm)
        for bad in (other, good[:-4], good + "AA", good.rpartition(".")[0] + "."):
            assert await whose(gateway, headers=bearer(bad)) == FAILED

    run(test, **RESOURCES)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_public_key_is_never_a_secret(algorithm: str) -> None:
    async def test(gateway: Gateway) -> None:
        pem = public_pem(private_key(algorithm))
        put_jack(gateway, algorithm=algorithm, public_key=pem, secret=pem)
        for secret in (pem, pem.strip(), pem.encode(), ""):
            for claimed in ("HS256", "HS384", "HS512"):
                assert await whose(gateway, headers=bearer(token(secret, algorithm=claimed))) == FAILED
            forged = token(secret, algorithm="HS256")
            head = encoded(b'{"alg":"%b"}' % algorithm.encode())
            assert await whose(gateway, headers=bearer(f"{head}.{forged.partition('.')[2]}")) == FAILED

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("consumers", "tokens"),
    [("RS256", "RS512"), ("RS256", "PS256"), ("PS256", "RS256"), ("PS384", "PS256"), ("RS384", "HS256")],
)
def test_algorithm_is_the_consumers_and_not_the_tokens(consumers: str, tokens: str) -> None:
    async def test(gateway: Gateway) -> None:
        key = private_key("RS256")
        put_jack(gateway, algorithm=consumers, public_key=public_pem(key))
        signer = public_pem(key) if tokens.startswith("HS") else key
        assert await whose(gateway, headers=bearer(token(signer, algorithm=tokens))) == FAILED
        assert await whose(gateway, headers=bearer(token(key, algorithm=consumers))) == (200, "jack")

    run(test, **RESOURCES)


def test_ed448() -> None:
    async def test(gateway: Gateway) -> None:
        key = ed448.Ed448PrivateKey.generate()
        put_jack(gateway, algorithm="EdDSA", public_key=public_pem(key))
        assert await whose(gateway, headers=bearer(token(key, algorithm="EdDSA"))) == (200, "jack")

    run(test, **RESOURCES)


def test_older_consumers_have_a_private_key_too() -> None:
    async def test(gateway: Gateway) -> None:
        key = private_key("ES256")
        put_jack(gateway, algorithm="ES256", public_key=public_pem(key), private_key=private_pem(key))
        assert await whose(gateway, headers=bearer(token(key, algorithm="ES256"))) == (200, "jack")

    run(test, **RESOURCES)


def test_key_inside_the_token_is_not_believed() -> None:
    async def test(gateway: Gateway) -> None:
        put_jack(gateway, algorithm="ES256", public_key=public_pem(private_key("ES256")))
        thief = private_key("ES256", 1)
        forged = token(
            thief, algorithm="ES256", jwk=jwk(thief), jku="https://thief.test/", x5u="https://thief.test/"
        )
        assert await whose(gateway, headers=bearer(forged)) == FAILED

    run(test, **RESOURCES)


# --- sets of keys


def key_set(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"keys": list(keys)}


def test_kid_says_which_key_of_a_set() -> None:
    async def test(gateway: Gateway) -> None:
        keys = [private_key("RS256", number) for number in range(3)]
        jwks = key_set(*(jwk(key, kid=f"k{number}") for number, key in enumerate(keys)))
        put_jack(gateway, algorithm="RS256", jwks=jwks)
        for number, key in enumerate(keys):
            good = token(key, algorithm="RS256", kid=f"k{number}")
            assert await whose(gateway, headers=bearer(good)) == (200, "jack")
            nameless = token(key, algorithm="RS256")
            assert await whose(gateway, headers=bearer(nameless)) == (200, "jack"), "each is tried"
            for kid in (f"k{(number + 1) % 3}", "k9", ""):
                misnamed = token(key, algorithm="RS256", kid=kid)
                assert await whose(gateway, headers=bearer(misnamed)) == FAILED

    run(test, **RESOURCES)


def test_set_of_several_kinds() -> None:
    async def test(gateway: Gateway) -> None:
        keys = {name: private_key(name) for name in ("RS256", "ES256", "ES384", "EdDSA")}
        jwks = key_set(
            {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
            {"kty": "RSA", "n": "!"},
            *(jwk(key) for key in keys.values()),
        )
        for name, key in keys.items():
            put_jack(gateway, algorithm=name, jwks=jwks)
            assert await whose(gateway, headers=bearer(token(key, algorithm=name))) == (200, "jack")
            stranger = token(private_key(name, 1), algorithm=name)
            assert await whose(gateway, headers=bearer(stranger)) == FAILED

    run(test, **RESOURCES)


def test_key_that_signs_nothing_is_passed_over() -> None:
    async def test(gateway: Gateway) -> None:
        exchange = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
        key = private_key("EdDSA")
        jwks = key_set({"kty": "OKP", "crv": "X25519", "x": encoded(exchange)}, jwk(key))
        put_jack(gateway, algorithm="EdDSA", jwks=jwks)
        assert await whose(gateway, headers=bearer(token(key, algorithm="EdDSA"))) == (200, "jack")
        stranger = private_key("EdDSA", 1)
        assert await whose(gateway, headers=bearer(token(stranger, algorithm="EdDSA"))) == FAILED

    run(test, **RESOURCES)


@pytest.mark.parametrize("more", [{"use": "enc"}, {"alg": "RS512"}])
def test_key_for_something_else_is_not_used(more: dict[str, str]) -> None:
    async def test(gateway: Gateway) -> None:
        other, key = private_key("RS256", 1), private_key("RS256")
        put_jack(gateway, algorithm="RS256", jwks=key_set(jwk(key, **more), jwk(other, kid="other")))
        assert await whose(gateway, headers=bearer(token(key, algorithm="RS256"))) == FAILED
        assert await whose(gateway, headers=bearer(token(other, algorithm="RS256"))) == (200, "jack")

    run(test, **RESOURCES)


RSA, P256, P384 = private_key("RS256"), private_key("ES256"), private_key("ES384")


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"algorithm": "RS256"}, "exactly one of"),
        (
            {"algorithm": "RS256", "public_key": public_pem(RSA), "jwks": key_set(jwk(RSA))},
            "exactly one of",
        ),
        ({"algorithm": "RS256", "public_key": public_pem(RSA), "jwks_uri": "http://a/"}, "exactly one of"),
        ({"algorithm": "RS256", "public_key": ""}, "public_key"),
        ({"algorithm": "RS256", "public_key": "sesame"}, "public_key"),
        ({"algorithm": "RS256", "public_key": "-----BEGIN PUBLIC KEY-----\nsesame\n"}, "public_key"),
        ({"algorithm": "RS256", "public_key": public_pem(P256)}, "public key for RS256"),
        ({"algorithm": "ES256", "public_key": public_pem(RSA)}, "public key for ES256"),
        ({"algorithm": "ES256", "public_key": public_pem(P384)}, "public key for ES256"),
        ({"algorithm": "EdDSA", "public_key": public_pem(x25519.X25519PrivateKey.generate())}, "EdDSA"),
        ({"algorithm": "EdDSA", "public_key": public_pem(P256)}, "public key for EdDSA"),
        ({"algorithm": "RS256", "public_key": private_pem(RSA)}, "got a private one"),
        ({"algorithm": "ES256", "public_key": private_pem(P256)}, "got a private one"),
        ({"algorithm": "HS256", "secret": public_pem(RSA)}, "not a public key"),
        ({"algorithm": "HS256", "jwks": key_set({"kty": "oct", "k": "sesame"})}, "secret"),
        ({"algorithm": "RS256", "jwks": {}}, "jwks"),
        ({"algorithm": "RS256", "jwks": {"keys": []}}, "a key for RS256"),
        ({"algorithm": "RS256", "jwks": {"keys": {"kty": "RSA"}}}, "jwks"),
        ({"algorithm": "RS256", "jwks": {"keys": ["sesame", 5, None]}}, "a key for RS256"),
        ({"algorithm": "RS256", "jwks": key_set({"kty": "oct", "k": "sesame"})}, "a key for RS256"),
        ({"algorithm": "RS256", "jwks": key_set(jwk(P256))}, "a key for RS256"),
        ({"algorithm": "RS256", "jwks": key_set(jwk(RSA, use="enc"))}, "a key for RS256"),
        ({"algorithm": "RS256", "jwks": "sesame"}, "jwks"),
        ({"algorithm": "RS256", "jwks_uri": "sesame"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "ftp://sesame/"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http://u:sesame@a/"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http://a/#sesame"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http://a:99999/sesame"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http://a:0/sesame"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http:///sesame"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http://a/\r\nsesame: b"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http://a/sésame"}, "jwks_uri"),
        ({"algorithm": "RS256", "jwks_uri": "http://[sesame/"}, "jwks_uri"),
        ({"algorithm": "HS256", "jwks_uri": "http://a/"}, "secret"),
    ],
)
def test_wrong_consumer(config: dict[str, Any], part: str) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match=part) as caught:
            put_jack(gateway, **config)
        assert "sesame" not in caught.value.message
        assert "BEGIN" not in caught.value.message

    run(test, **RESOURCES)


def test_curve_that_has_no_algorithm() -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="public key for ES256"):
            put_jack(
                gateway, algorithm="ES256", public_key=public_pem(ec.generate_private_key(ec.SECP256K1()))
            )

    run(test, **RESOURCES)
