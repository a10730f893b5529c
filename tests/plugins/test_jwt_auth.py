"""`jwt-auth`: consumers by tokens. The keys of asymmetric tokens are in test_jwt_keys.py."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.errors import InvalidResource
from batchway.gateway import Gateway
from batchway.plugins.jwt_keys import MAX_TOKEN, is_signed, take_apart
from tests.plugins.gateways import get, new_batch, put, running, to
from tests.plugins.guards import (
    Headers,
    authorization,
    bearer,
    challenges,
    consumer,
    encoded,
    guarded,
    in_seconds,
    run,
    token,
    whose,
)
from tests.upstream.servers import Server

SECRET = "my-secret"
JACK = consumer("jack", jwt_auth={"key": "user-key", "secret": SECRET})
RESOURCES: dict[str, Any] = {"routes": {"1": guarded(jwt_auth={})}, "consumers": {"jack": JACK}}
GOOD = token(SECRET)
FAILED = (401, "failed to verify jwt")
INVALID = (401, "JWT token invalid")
KEYLESS = (401, "missing user key in JWT token")
UNKNOWN = (401, "Invalid user key in JWT token")


def unsigned(head: object, claims: object, signature: str = "") -> str:
    parts = (
        part if isinstance(part, str) else encoded(json.dumps(part).encode()) for part in (head, claims)
    )
    return ".".join([*parts, signature])


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (bearer(GOOD), ""),
        (authorization(f"bearer {GOOD}"), ""),
        (authorization(f"BEARER   {GOOD} "), ""),
        (authorization(GOOD), ""),
        ([], f"jwt={GOOD}"),
        ([], f"a=b&jwt={GOOD}&c"),
        ([("Cookie", f"jwt={GOOD}")], ""),
        ([("Cookie", "a=b"), ("Cookie", f"c=d; jwt={GOOD}; e")], ""),
        ([("Cookie", "jwt=wrong"), *bearer(GOOD)], "jwt=wrong"),
        ([("Cookie", "jwt=wrong")], f"jwt={GOOD}"),
    ],
)
def test_where_the_token_may_be(headers: Headers, query: str) -> None:
    async def test(gateway: Gateway) -> None:
        assert await whose(gateway, headers=headers, query=query) == (200, "jack")

    run(test, **RESOURCES)


def test_other_places() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(jwt_auth={"header": "X-Token", "query": "t", "cookie": "c"}))
        assert await whose(gateway, headers=[("x-token", f"Bearer {GOOD}")]) == (200, "jack")
        assert await whose(gateway, query=f"t={GOOD}") == (200, "jack")
        assert await whose(gateway, headers=[("Cookie", f"c={GOOD}")]) == (200, "jack")
        assert await whose(gateway, headers=bearer(GOOD)) == (401, "Missing JWT token in request")

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", (401, "Missing JWT token in request")),
        ("a", INVALID),
        ("a.b", INVALID),
        ("a.b.c", INVALID),
        ("..", INVALID),
        (GOOD + ".", INVALID),
        (GOOD + ".a.b", INVALID),
        ("invalid-" + GOOD, INVALID),
        (GOOD.replace(".", " ."), INVALID),
        (GOOD[:-1] + "\xff", INVALID),
        (unsigned([], {"key": "user-key"}), INVALID),
        (unsigned({"alg": "HS256"}, ["user-key"]), INVALID),
        (unsigned({"alg": "HS256"}, "user-key"), INVALID),
        (unsigned({"alg": "HS256"}, encoded(b"5")), INVALID),
        (unsigned({"alg": "HS256"}, encoded(b"null")), INVALID),
        (unsigned({"alg": "HS256"}, encoded(b'{"key": NaN}')), INVALID),
        (unsigned({"alg": "HS256"}, encoded(b'{"key": "\xff"}')), INVALID),
        (unsigned({"alg": "HS256"}, encoded(b"[" * 5000)), INVALID),
        (unsigned({"alg": "HS256"}, encoded(b'{"a":' * 2000)), INVALID),
        (unsigned({}, {"key": "user-key"}), INVALID),
        (unsigned({"alg": None}, {"key": "user-key"}), INVALID),
        (unsigned({"alg": ["HS256"]}, {"key": "user-key"}), INVALID),
        (token(SECRET, crit=["exp"], exp=1), INVALID),
        (token(SECRET, crit=[]), INVALID),
        (token(SECRET, {"key": "user-key", "more": "x" * MAX_TOKEN}), INVALID),
        (token(SECRET, {}), KEYLESS),
        (token(SECRET, {"key": None}), KEYLESS),
        (token(SECRET, {"Key": "user-key"}), KEYLESS),
        (token(SECRET, {"key": "other"}), UNKNOWN),
        (token(SECRET, {"key": ""}), UNKNOWN),
        (token(SECRET, {"key": 5}), UNKNOWN),
        (token(SECRET, {"key": True}), UNKNOWN),
        (token(SECRET, {"key": ["user-key"]}), UNKNOWN),
        (token(SECRET, {"key": {"user-key": 1}}), UNKNOWN),
        (token("wrong"), FAILED),
        (GOOD[:-4], FAILED),
        (GOOD.rpartition(".")[0] + ".", FAILED),
        (unsigned({"alg": "none"}, {"key": "user-key"}), FAILED),
        (unsigned({"alg": "none"}, {"key": "user-key"}, GOOD.rpartition(".")[2]), FAILED),
        (unsigned({"alg": "None"}, {"key": "user-key"}), FAILED),
        (unsigned({"alg": ""}, {"key": "user-key"}), FAILED),
        (unsigned({"alg": "HS256"}, {"key": "user-key"}), FAILED),
        (token(SECRET, algorithm="HS384"), FAILED),
        (token(SECRET, algorithm="HS512"), FAILED),
    ],
)
def test_refusal(text: str, told: tuple[int, str]) -> None:
    async def test(gateway: Gateway) -> None:
        assert await whose(gateway, headers=authorization(text)) == told

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([], 'Bearer realm="jwt"'),
        (bearer("a"), 'Bearer realm="jwt", error="invalid_token", error_description="no token"'),
        (
            bearer(token("wrong")),
            'Bearer realm="jwt", error="invalid_token", error_description="the signature was not verified"',
        ),
        (
            bearer(token(SECRET, {"key": "user-key", "exp": 1})),
            'Bearer realm="jwt", error="invalid_token", error_description="the token has expired"',
        ),
    ],
)
def test_challenge_says_what_is_wrong_with_the_token(headers: Headers, shown: str) -> None:
    async def test(gateway: Gateway) -> None:
        assert challenges(await get(gateway, headers=headers)) == [shown]
        put(gateway, "/routes/1", guarded(jwt_auth={"realm": "mine"}))
        assert challenges(await get(gateway)) == ['Bearer realm="mine"']

    run(test, **RESOURCES)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("secret", ["a", "my-secret", "sécret ☂", "x" * 1000])
def test_secrets_of_any_length(algorithm: str, secret: str) -> None:
    async def test(gateway: Gateway) -> None:
        config = {"key": "user-key", "secret": secret, "algorithm": algorithm}
        put(gateway, "/consumers/jack", consumer("jack", jwt_auth=config))
        assert await whose(gateway, headers=bearer(token(secret, algorithm=algorithm))) == (200, "jack")
        assert await whose(gateway, headers=bearer(token(secret + "x", algorithm=algorithm))) == FAILED
        assert await whose(gateway, headers=bearer(token("", algorithm=algorithm))) == FAILED

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("text", "raw"), [("//79AA==", b"\xff\xfe\xfd\x00"), ("//79AA", b"\xff\xfe\xfd\x00"), ("YWJj", b"abc")]
)
def test_base64_secret(text: str, raw: bytes) -> None:
    async def test(gateway: Gateway) -> None:
        config = {"key": "user-key", "secret": text, "base64_secret": True}
        put(gateway, "/consumers/jack", consumer("jack", jwt_auth=config))
        assert await whose(gateway, headers=bearer(token(raw))) == (200, "jack")
        assert await whose(gateway, headers=bearer(token(text))) == FAILED

    run(test, **RESOURCES)


def test_headers_of_tokens_that_mean_nothing_here() -> None:
    async def test(gateway: Gateway) -> None:
        others: dict[str, Any] = {
            "kid": "any",
            "x5c": ["x" * 3000],
            "nonce": "a",
            "b64": True,
            "jku": "http://evil.test/",
            "cty": 5,
        }
        assert await whose(gateway, headers=bearer(token(SECRET, **others))) == (200, "jack")
        assert await whose(gateway, headers=bearer(token(SECRET, kid=5))) == (200, "jack")

    run(test, **RESOURCES)


EXPIRED, EARLY = {"exp": in_seconds(-60)}, {"nbf": in_seconds(100_000)}
FOR_LONG, LONG_SINCE = {"exp": in_seconds(100_000)}, {"nbf": in_seconds(-60)}


@pytest.mark.parametrize(
    ("claims", "config", "grace_s", "fits"),
    [
        ({}, {}, 0, True),
        ({"exp": in_seconds(100_000), "nbf": in_seconds(-60)}, {}, 0, True),
        ({"exp": in_seconds(100_000) + 0.5}, {}, 0, True),
        ({"exp": 10**30}, {}, 0, True),
        (EXPIRED, {}, 0, False),
        (EXPIRED, {}, 30, False),
        (EXPIRED, {}, 100_000, True),
        (EARLY, {}, 0, False),
        (EARLY, {}, 30, False),
        (EARLY, {}, 200_000, True),
        ({"exp": -1}, {}, 0, False),
        ({"exp": 0}, {}, 0, False),
        ({"exp": -(10**30)}, {}, 0, False),
        ({"exp": "9999999999"}, {}, 0, False),
        ({"exp": True}, {}, 10**12, False),
        ({"exp": [9999999999]}, {}, 0, False),
        ({"nbf": "0"}, {}, 0, False),
        ({"nbf": {}}, {}, 0, False),
        ({"exp": None}, {}, 0, False),
        ({"nbf": None}, {}, 0, False),
        (EXPIRED | LONG_SINCE, {"claims_to_verify": ["nbf"]}, 0, True),
        (EXPIRED, {"claims_to_verify": ["exp"]}, 0, False),
        (EARLY | FOR_LONG, {"claims_to_verify": ["exp"]}, 0, True),
        (EARLY, {"claims_to_verify": ["nbf"]}, 0, False),
        (EXPIRED | EARLY, {"claims_to_verify": ["exp", "nbf"]}, 0, False),
        (FOR_LONG | EARLY, {"claims_to_verify": ["exp", "nbf"]}, 0, False),
        (FOR_LONG | LONG_SINCE, {"claims_to_verify": ["nbf", "exp"]}, 0, True),
        ({"exp": "x"} | LONG_SINCE, {"claims_to_verify": ["nbf"]}, 0, True),
        ({}, {"claims_to_verify": ["exp"]}, 0, False),
        (LONG_SINCE, {"claims_to_verify": ["exp"]}, 10**12, False),
        (FOR_LONG, {"claims_to_verify": ["exp", "nbf"]}, 0, False),
        ({"exp": None}, {"claims_to_verify": ["exp"]}, 0, False),
        ({}, {"claims_to_verify": []}, 0, True),
        (FOR_LONG, {"claims_to_verify": []}, 0, True),
        (EXPIRED, {"claims_to_verify": []}, 0, False),
        (EARLY, {"claims_to_verify": []}, 0, False),
    ],
)
def test_times(claims: dict[str, Any], config: dict[str, Any], grace_s: int, *, fits: bool) -> None:
    async def test(gateway: Gateway) -> None:
        jack = {"key": "user-key", "secret": SECRET, "lifetime_grace_period": grace_s}
        put(gateway, "/consumers/jack", consumer("jack", jwt_auth=jack))
        put(gateway, "/routes/1", guarded(jwt_auth=config))
        headers = bearer(token(SECRET, {"key": "user-key"} | claims))
        assert await whose(gateway, headers=headers) == ((200, "jack") if fits else FAILED)

    run(test, **RESOURCES)


def test_claim_that_is_missing_is_told() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(jwt_auth={"claims_to_verify": ["nbf"]}))
        (shown,) = challenges(await get(gateway, headers=bearer(GOOD)))
        assert 'error_description="claim nbf is missing"' in shown

    run(test, **RESOURCES)


def test_time_of_what_is_not_signed_is_not_told() -> None:
    async def test(gateway: Gateway) -> None:
        (shown,) = challenges(
            await get(gateway, headers=bearer(token("wrong", {"key": "user-key", "exp": 1})))
        )
        assert "the signature was not verified" in shown

    run(test, **RESOURCES)


def test_claim_that_names_the_key() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(jwt_auth={"key_claim_name": "iss"}))
        assert await whose(gateway, headers=bearer(token(SECRET, {"iss": "user-key"}))) == (200, "jack")
        assert await whose(gateway, headers=bearer(GOOD)) == KEYLESS

    run(test, **RESOURCES)


def test_claims_are_variables_if_that_is_wanted() -> None:
    async def test(gateway: Gateway) -> None:
        claims = {"key": "user-key", "sub": "a7", "admin": True, "list": [1], "consumer_name": "root"}
        told = "$jwt_claim_sub $jwt_claim_admin $jwt_claim_list $consumer_name"
        mock = {"response_example": told, "_meta": {"priority": 1}}
        for wanted, expected in ((True, "a7 True [1] jack"), (False, "   jack")):
            config = {"store_in_ctx": wanted}
            put(gateway, "/routes/1", {"uri": "/*", "plugins": {"jwt-auth": config, "mocking": mock}})
            assert await whose(gateway, headers=bearer(token(SECRET, claims))) == (200, expected)

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("headers", "query", "sent"),
    [
        ([*bearer(GOOD), ("a", "b")], "c=d", b"GET /?c=d HTTP/1.1"),
        ([], f"c=%20&jwt={GOOD}&e", b"GET /?c=%20&e HTTP/1.1"),
        ([("Cookie", f"a=b; jwt={GOOD}; c=d=e"), ("Cookie", "f")], "", b"GET / HTTP/1.1"),
        ([("Cookie", f"jwt={GOOD}")], "", b"GET / HTTP/1.1"),
    ],
)
def test_token_is_hidden(headers: Headers, query: str, sent: bytes) -> None:
    async def main() -> None:
        async with Server() as server:
            config = {"hide_credentials": True}
            route = {"uri": "/*", "plugins": {"jwt-auth": config}, "upstream": to(server)}
            async with running(routes={"1": route}, consumers={"jack": JACK}) as gateway:
                assert (await get(gateway, headers=headers, query=query)).status == 200
                received = server.requests[-1]
                assert received.line == sent
                assert GOOD.encode() not in received.head
                kept = [line for line in received.lines if line.startswith(b"cookie")]
                assert kept == (
                    [b"cookie: a=b; c=d=e; f"] if len(headers) == 2 and "Cookie" in headers[1] else []
                )

    asyncio.run(main())


def test_only_the_token_that_counts_is_hidden() -> None:
    async def main() -> None:
        async with Server() as server:
            config = {"hide_credentials": True}
            route = {"uri": "/*", "plugins": {"jwt-auth": config}, "upstream": to(server)}
            async with running(routes={"1": route}, consumers={"jack": JACK}) as gateway:
                headers = [*bearer(GOOD), ("Cookie", "jwt=other")]
                assert (await get(gateway, headers=headers, query="jwt=other")).status == 200
                received = server.requests[-1]
                assert received.line == b"GET /?jwt=other HTTP/1.1"
                assert b"cookie: jwt=other" in received.lines
                assert GOOD.encode() not in received.head

    asyncio.run(main())


@pytest.mark.parametrize("hidden", [True, False])
def test_token_of_nobody_is_hidden_wherever_it_is(*, hidden: bool) -> None:
    async def main() -> None:
        config = {"hide_credentials": hidden, "anonymous_consumer": "anyone"}
        async with Server() as server:
            route = {"uri": "/*", "plugins": {"jwt-auth": config}, "upstream": to(server)}
            anyone = {"username": "anyone"}
            async with running(routes={"1": route}, consumers={"anyone": anyone, "jack": JACK}) as gateway:
                headers = [*bearer("wrong"), ("Cookie", f"a=b;jwt={GOOD}")]
                assert (await get(gateway, headers=headers, query=f"a=b&&jwt={GOOD}")).status == 200
                received = server.requests[-1]
                assert b"x-consumer-username: anyone" in received.lines
                assert (b"wrong" in received.head) is not hidden
                assert (GOOD.encode() in received.head) is not hidden
                assert (b"cookie: a=b" in received.lines) is hidden

    asyncio.run(main())


def test_anonymous_request_without_a_token_is_sent_as_it_is() -> None:
    async def main() -> None:
        config = {"hide_credentials": True, "anonymous_consumer": "anyone", "header": "\N{UMBRELLA}"}
        async with Server() as server:
            route = {"uri": "/*", "plugins": {"jwt-auth": config}, "upstream": to(server)}
            async with running(
                routes={"1": route}, consumers={"anyone": {"username": "anyone"}}
            ) as gateway:
                headers = [("Cookie", "a=b;c"), ("Cookie", "d")]
                assert (await get(gateway, headers=headers, query="a&&b")).status == 200
                received = server.requests[-1]
                assert received.line == b"GET /?a&&b HTTP/1.1"
                kept = [line for line in received.lines if line.startswith(b"cookie")]
                assert kept == [b"cookie: a=b;c", b"cookie: d"]

    asyncio.run(main())


def test_anonymous_consumer() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(jwt_auth={"anonymous_consumer": "anyone"}))
        assert await whose(gateway) == (401, "Invalid user authorization")
        put(gateway, "/consumers/anyone", {"username": "anyone"})
        for headers in ([], bearer("a"), bearer(token("wrong")), bearer(token(SECRET, {"exp": 1}))):
            assert await whose(gateway, headers=headers) == (200, "anyone")
        assert await whose(gateway, headers=bearer(GOOD)) == (200, "jack")

    run(test, **RESOURCES)


def test_credentials_of_a_consumer() -> None:
    async def test(gateway: Gateway) -> None:
        for number in (1, 2):
            config = {"jwt-auth": {"key": f"k{number}", "secret": f"s{number}"}}
            put(gateway, f"/consumers/jack/credentials/c{number}", {"plugins": config})
        assert await whose(gateway, headers=bearer(token("s1", {"key": "k1"}))) == (200, "jack/c1")
        assert await whose(gateway, headers=bearer(token("s2", {"key": "k2"}))) == (200, "jack/c2")
        assert await whose(gateway, headers=bearer(token("s2", {"key": "k1"}))) == FAILED
        put(
            gateway,
            "/consumers/jack/credentials/c1",
            {"plugins": {"jwt-auth": {"key": "k1", "secret": "new"}}},
        )
        assert await whose(gateway, headers=bearer(token("s1", {"key": "k1"}))) == FAILED
        assert await whose(gateway, headers=bearer(token("new", {"key": "k1"}))) == (200, "jack/c1")

    run(test, **RESOURCES)


def test_items_that_share_a_token_share_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[object] = []

    def counted(*asked: Any) -> bool:
        checked.append(asked[0])
        return is_signed(*asked)

    monkeypatch.setattr("batchway.plugins.jwt_auth.is_signed", counted)

    async def test(gateway: Gateway) -> None:
        put(gateway, "/consumers/jill", consumer("jill", jwt_auth={"key": "jill", "secret": "s"}))
        bad, other = token("wrong"), token("s", {"key": "jill"})
        texts = [GOOD, bad, other] * 20
        batch = new_batch()
        answers = await asyncio.gather(
            *(whose(gateway, headers=bearer(text), batch=batch) for text in texts)
        )
        assert answers == [(200, "jack"), FAILED, (200, "jill")] * 20
        assert len(checked) == 3
        await whose(gateway, headers=bearer(GOOD), batch=new_batch())
        await whose(gateway, headers=bearer(GOOD))
        await whose(gateway, headers=bearer(GOOD))
        assert len(checked) == 6, "nothing is shared but within a batch"

    run(test, **RESOURCES)


def test_shared_check_does_not_outlive_the_secret() -> None:
    async def test(gateway: Gateway) -> None:
        batch = new_batch()
        assert await whose(gateway, headers=bearer(GOOD), batch=batch) == (200, "jack")
        put(gateway, "/consumers/jack", consumer("jack", jwt_auth={"key": "user-key", "secret": "new"}))
        assert await whose(gateway, headers=bearer(GOOD), batch=batch) == FAILED

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({"key": "sesame"}, "secret"),
        ({"secret": "sesame"}, "key"),
        ({"key": "", "secret": "sesame"}, "key"),
        ({"key": 5, "secret": "sesame"}, "key"),
        ({"key": "k", "secret": ""}, "secret"),
        ({"key": "k", "secret": ["sesame"]}, "secret"),
        ({"key": "k", "secret": "sesame!", "base64_secret": True}, "base64"),
        ({"key": "k", "secret": "sésame", "base64_secret": True}, "base64"),
        ({"key": "k", "secret": "====", "base64_secret": True}, "secret"),
        ({"key": "k", "secret": "sesame", "algorithm": "none"}, "algorithm"),
        ({"key": "k", "secret": "sesame", "algorithm": "HS1"}, "algorithm"),
        ({"key": "k", "secret": "sesame", "algorithm": "RS256"}, "public_key"),
        ({"key": "k", "secret": "sesame", "exp": 0}, "exp"),
        ({"key": "k", "secret": "sesame", "lifetime_grace_period": -1}, "lifetime_grace_period"),
        ({"key": "k", "secret": "sesame", "key_claim_name": "iss"}, "key_claim_name"),
        ({"key": "k", "secret": {"k": "sesame"}}, "secret"),
    ],
)
def test_wrong_consumer_is_refused_without_its_secret(config: dict[str, Any], part: str) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match=part) as caught:
            put(gateway, "/consumers/jack", consumer("jack", jwt_auth=config))
        assert "sesame" not in caught.value.message
        assert "sésame" not in caught.value.message

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "config",
    [
        {"header": 5},
        {"key_claim_name": ""},
        {"store_in_ctx": "yes"},
        {"claims_to_verify": ["iat"]},
        {"claims_to_verify": "exp"},
        {"anonymous_consumer": ""},
        {"realm": "a\nb"},
        {"hide_credentials": 1},
        {"secret": "a"},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="jwt-auth"):
            put(gateway, "/routes/1", guarded(jwt_auth=config))

    run(test, **RESOURCES)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
HEADS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip", "x"]), VALUES)
CLAIMS = st.dictionaries(st.sampled_from(["key", "exp", "nbf", "x"]), VALUES | st.just("user-key"))


@settings(max_examples=300)
@given(
    text=st.one_of(
        st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=200),
        st.builds(unsigned, HEADS | VALUES, CLAIMS | VALUES, st.text("AB-_=+/.", max_size=8)),
        st.builds(lambda head, claims: token("wrong", claims, **head), st.fixed_dictionaries({}), CLAIMS),
        st.integers(0, len(GOOD) - 1).map(lambda at: GOOD[:at] + GOOD[at + 1 :]),
        st.tuples(
            st.integers(0, len(GOOD) - 2), st.characters(codec="latin-1", exclude_characters="\r\n")
        ).map(lambda change: GOOD[: change[0]] + change[1] + GOOD[change[0] + 1 :]),
    )
)
def test_whatever_is_sent_is_refused(text: str) -> None:
    async def test(gateway: Gateway) -> None:
        for headers in (bearer(text), authorization(text), [("cookie", f"jwt={text}")]):
            status, _ = await whose(gateway, headers=headers)
            # base64 has several spellings of some bytes: another one of the signature is the signature
            assert status == 401 or take_apart(text) == take_apart(GOOD)

    text = text.encode("latin-1", "replace").decode("latin-1")
    run(test, **RESOURCES)


@settings(max_examples=100)
@given(CLAIMS)
def test_odd_claims_that_are_signed_never_break_anything(claims: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(jwt_auth={"store_in_ctx": True}))
        status, _ = await whose(gateway, headers=bearer(token(SECRET, claims)))
        assert status in (200, 401)
        assert (status == 200) <= (claims.get("key") == "user-key")

    run(test, **RESOURCES)
