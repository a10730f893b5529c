"""`hmac-auth`: requests that are signed."""

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from batchway.errors import InvalidResource
from batchway.gateway import Gateway
from tests.plugins.gateways import get, put, running, to
from tests.plugins.guards import (
    Headers,
    authorization,
    challenges,
    consumer,
    digest,
    guarded,
    run,
    signed_request,
    whose,
)
from tests.upstream.servers import Server

JACK = consumer("jack", hmac_auth={"key_id": "access", "secret_key": "secret"})
RESOURCES: dict[str, Any] = {"routes": {"1": guarded(hmac_auth={})}, "consumers": {"jack": JACK}}
REFUSED = (401, "client request can't be validated")


def with_config(gateway: Gateway, **config: Any) -> None:
    put(gateway, "/routes/1", guarded(hmac_auth=config))


def changed(headers: Headers, name: str, value: str | None) -> Headers:
    """`headers` with another value, or without that name."""
    kept = [pair for pair in headers if pair[0] != name]
    return kept if value is None else [*kept, (name, value)]


def edited(headers: Headers, old: str, new: str) -> Headers:
    """`headers` with something else in Authorization."""
    (value,) = [value for name, value in headers if name == "Authorization"]
    assert old in value
    return changed(headers, "Authorization", value.replace(old, new))


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha256", "hmac-sha512"])
def test_every_algorithm(algorithm: str) -> None:
    async def test(gateway: Gateway) -> None:
        headers = signed_request(algorithm=algorithm)
        assert await whose(gateway, headers=headers) == (200, "jack")
        assert await whose(gateway, headers=signed_request(algorithm=algorithm, secret="wrong")) == REFUSED
        with_config(gateway, allowed_algorithms=[algorithm])
        assert await whose(gateway, headers=headers) == (200, "jack")
        others = {"hmac-sha1", "hmac-sha256", "hmac-sha512"} - {algorithm}
        with_config(gateway, allowed_algorithms=sorted(others))
        assert await whose(gateway, headers=headers) == REFUSED

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([], "missing Authorization header"),
        (authorization(""), "Authorization header does not start with 'Signature'"),
        (authorization("Basic Zm9vOmJhcg=="), "Authorization header does not start with 'Signature'"),
        (authorization('keyId="access"'), "Authorization header does not start with 'Signature'"),
        (authorization('SignaturekeyId="access"'), "Authorization header does not start with 'Signature'"),
    ],
)
def test_what_is_no_signature(headers: Headers, told: str) -> None:
    async def test(gateway: Gateway) -> None:
        expected = (401, f"client request can't be validated: {told}")
        assert await whose(gateway, headers=headers) == expected
        assert challenges(await get(gateway, headers=headers)) == ['hmac realm="hmac"']

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('keyId="access"', ""),
        ('keyId="access"', 'keyId=""'),
        ('keyId="access"', 'keyid="access"'),
        ('keyId="access"', 'keyId="nobody"'),
        ('keyId="access"', "keyId='access'"),
        ('algorithm="hmac-sha256"', ""),
        ('algorithm="hmac-sha256"', 'algorithm="hmac-sha1"'),
        ('algorithm="hmac-sha256"', 'algorithm="hmac-md5"'),
        ('algorithm="hmac-sha256"', 'algorithm="sha256"'),
        ('algorithm="hmac-sha256"', 'algorithm="none"'),
        ("signature=", "signatur="),
        ('signature="', 'signature="A'),
        ('signature="', 'signature="!'),
        ('signature="', 'signature="\xff'),
        ("@request-target date", "date"),
        ("@request-target date", "@request-target"),
        ("@request-target date", "date @request-target"),
        ("@request-target date", "@request-target date host"),
        ("@request-target date", ""),
    ],
)
def test_changed_signature_is_refused_and_how_far_it_got_is_not_told(old: str, new: str) -> None:
    async def test(gateway: Gateway) -> None:
        headers = edited(signed_request(), old, new)
        assert await whose(gateway, headers=headers) == REFUSED
        assert challenges(await get(gateway, headers=headers)) == ['hmac realm="hmac"']

    run(test, **RESOURCES)


def test_refusals_do_not_fill_the_log() -> None:
    async def test(gateway: Gateway) -> None:
        with capture_logs() as lines:
            assert await whose(gateway, headers=signed_request(secret="wrong")) == REFUSED
        assert [(line["event"], line["log_level"]) for line in lines] == [("signature refused", "debug")]

    run(test, **RESOURCES)


def test_spelling_that_does_not_matter() -> None:
    async def test(gateway: Gateway) -> None:
        headers = signed_request(signs="@request-target Date X-Custom", headers=[("x-custom", "a, b")])
        assert await whose(gateway, headers=headers) == (200, "jack")
        assert await whose(gateway, headers=edited(headers, "Signature ", "signature ")) == (200, "jack")
        assert await whose(gateway, headers=edited(headers, '",', '" , ')) == (200, "jack")
        key, algorithm = 'keyId="access"', 'algorithm="hmac-sha256"'
        swapped = edited(headers, f"{key},{algorithm}", f"{algorithm},{key}")
        assert await whose(gateway, headers=swapped) == (200, "jack")

    run(test, **RESOURCES)


def test_request_that_was_signed_for_another_is_refused() -> None:
    async def test(gateway: Gateway) -> None:
        headers = signed_request("GET", "/a?b=c", headers=[("x-a", "1")], signs="@request-target date x-a")
        assert await whose(gateway, path="/a", query="b=c", headers=headers) == (200, "jack")
        assert await whose(gateway, path="/a", headers=headers) == REFUSED
        assert await whose(gateway, path="/A", query="b=c", headers=headers) == REFUSED
        assert await whose(gateway, path="/a", query="b=d", headers=headers) == REFUSED
        assert await whose(gateway, path="/a", query="b=c", method="POST", headers=headers) == REFUSED
        for bad in (
            changed(headers, "x-a", "2"),
            changed(headers, "x-a", None),
            [*headers, ("x-a", "2")],
            [("x-a", "2"), *headers],
        ):
            assert await whose(gateway, path="/a", query="b=c", headers=bad) == REFUSED

    run(test, **RESOURCES)


def test_header_that_is_signed_as_missing_cannot_be_added() -> None:
    async def test(gateway: Gateway) -> None:
        headers = signed_request(signs="@request-target date x-role")
        assert await whose(gateway, headers=headers) == (200, "jack")
        assert await whose(gateway, headers=[*headers, ("x-role", "admin")]) == REFUSED

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("off_s", "skew", "told"),
    [(0, 300, (200, "jack")), (-200, 300, (200, "jack")), (200, 300, (200, "jack")), (-400, 300, REFUSED),
     (400, 300, REFUSED), (-400, 1000, (200, "jack")), (-200, 100, REFUSED), (200, 100, REFUSED)],
)  # fmt: skip
def test_clock_skew(off_s: int, skew: int, told: tuple[int, str]) -> None:
    async def test(gateway: Gateway) -> None:
        with_config(gateway, clock_skew=skew)
        assert await whose(gateway, headers=signed_request(date_s=time.time() + off_s)) == told

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "date",
    [
        *("", "now", "0", "Tue", ",,,", "\xff", "99999999999999999999", "1 1 1 1:1:1:1"),
        "2026-11-22T12:00:00Z",
        "Tue, 99 Nov 2026 09:00:00 GMT",
        "Tue, 01 Jan 0001 00:00:00 +2359",
        "Tue, 01 Jan 99999 00:00:00 GMT",
    ],
)
def test_odd_dates_are_refused(date: str) -> None:
    async def test(gateway: Gateway) -> None:
        with_config(gateway, signed_headers=[])
        headers = changed(signed_request(signs="@request-target"), "Date", date)
        assert await whose(gateway, headers=headers) == REFUSED
        assert await whose(gateway, headers=changed(headers, "Date", None)) == REFUSED

    run(test, **RESOURCES)


def test_date_must_be_signed_unless_that_is_switched_off() -> None:
    async def test(gateway: Gateway) -> None:
        headers = signed_request(signs="@request-target")
        assert await whose(gateway, headers=headers) == REFUSED
        with_config(gateway, signed_headers=[])
        assert await whose(gateway, headers=headers) == (200, "jack")

    run(test, **RESOURCES)


def test_x_date_in_place_of_the_date() -> None:
    async def test(gateway: Gateway) -> None:
        assert await whose(gateway, headers=signed_request(dated_by="X-Date", signs="x-date")) == (
            200,
            "jack",
        )
        unbound = signed_request(dated_by="X-Date", signs="@request-target date")
        assert await whose(gateway, headers=unbound) == REFUSED, (
            "it could be sent again with another X-Date"
        )
        with_config(gateway, signed_headers=[])
        assert await whose(gateway, headers=unbound) == (200, "jack")
        late = signed_request(dated_by="X-Date", signs="x-date", date_s=time.time() - 1000)
        assert await whose(gateway, headers=late) == REFUSED
        both = signed_request(headers=late[:1], signs="date")
        assert await whose(gateway, headers=both) == (200, "jack"), "Date is what counts"

    run(test, **RESOURCES)


def test_headers_that_must_be_signed() -> None:
    async def test(gateway: Gateway) -> None:
        with_config(gateway, signed_headers=["Date", "X-A"])
        sent = [("x-a", "1")]
        assert await whose(gateway, headers=signed_request(headers=sent, signs="date x-a")) == (200, "jack")
        assert await whose(gateway, headers=signed_request(headers=sent, signs="X-A date")) == (200, "jack")
        for signs in ("date", "x-a", "@request-target", "", "date x-ab"):
            assert await whose(gateway, headers=signed_request(headers=sent, signs=signs)) == REFUSED

    run(test, **RESOURCES)


BODY = b'{"name": "world"}'


@pytest.mark.parametrize(
    ("headers", "body", "told"),
    [
        ([digest(BODY)], BODY, (200, "jack")),
        ([digest(b"")], b"", (200, "jack")),
        ([], BODY, REFUSED),
        ([("Digest", "hello")], BODY, REFUSED),
        ([("Digest", "\xff")], BODY, REFUSED),
        ([digest(BODY)], BODY + b" ", REFUSED),
        ([digest(BODY)], b"", REFUSED),
    ],
)
def test_body(headers: Headers, body: bytes, told: tuple[int, str]) -> None:
    async def test(gateway: Gateway) -> None:
        with_config(gateway, validate_request_body=True)
        signed = signed_request("POST", headers=headers)
        assert await whose(gateway, method="POST", headers=signed, body=body) == told

    run(test, **RESOURCES)


class Stream:
    """A body that comes byte by byte."""

    length = None

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def __aiter__(self) -> Any:
        for byte in self.body:
            yield bytes([byte])


def test_body_that_was_checked_goes_on_whole() -> None:
    async def main() -> None:
        async with Server() as server:
            config = {"validate_request_body": True, "max_req_body_size": len(BODY)}
            route = {"uri": "/*", "plugins": {"hmac-auth": config}, "upstream": to(server)}
            async with running(routes={"1": route}, consumers={"jack": JACK}) as gateway:
                headers = signed_request("POST", headers=[digest(BODY)])
                stream: Any = Stream(BODY)
                assert (await get(gateway, "/", "POST", headers=headers, body=stream)).status == 200
                assert server.requests[-1].body == BODY
                long: Any = Stream(BODY + b"x")
                assert (await get(gateway, "/", "POST", headers=headers, body=long)).status == 413
                assert len(server.requests) == 1

    asyncio.run(main())


@pytest.mark.parametrize("hidden", [True, False])
def test_upstream_sees_the_signature_unless_it_is_hidden(*, hidden: bool) -> None:
    async def main() -> None:
        async with Server() as server:
            config = {"hide_credentials": hidden}
            route = {"uri": "/*", "plugins": {"hmac-auth": config}, "upstream": to(server)}
            async with running(routes={"1": route}, consumers={"jack": JACK}) as gateway:
                assert (await get(gateway, headers=signed_request())).status == 200
                shown = any(line.startswith(b"authorization:") for line in server.requests[-1].lines)
                assert shown is not hidden
                assert b"x-consumer-username: jack" in server.requests[-1].lines

    asyncio.run(main())


def test_anonymous_consumer() -> None:
    async def test(gateway: Gateway) -> None:
        with_config(gateway, anonymous_consumer="anyone", realm="mine")
        response = await get(gateway)
        assert (response.status, challenges(response)) == (401, ['hmac realm="mine"'])
        put(gateway, "/consumers/anyone", {"username": "anyone"})
        assert await whose(gateway) == (200, "anyone")
        assert await whose(gateway, headers=signed_request(secret="wrong")) == (200, "anyone")
        assert await whose(gateway, headers=signed_request()) == (200, "jack")

    run(test, **RESOURCES)


def test_credentials_of_a_consumer() -> None:
    async def test(gateway: Gateway) -> None:
        other = {"plugins": {"hmac-auth": {"key_id": "other", "secret_key": "sécret"}}}
        put(gateway, "/consumers/jack/credentials/c1", other)
        headers = signed_request(key_id="other", secret="sécret")
        assert await whose(gateway, headers=headers) == (200, "jack/c1")
        assert await whose(gateway, headers=signed_request()) == (200, "jack")
        assert await whose(gateway, headers=signed_request(key_id="other")) == REFUSED

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "config",
    [
        {"key_id": "sesame"},
        {"secret_key": "sesame"},
        {"key_id": "", "secret_key": "sesame"},
        {"key_id": "a", "secret_key": ""},
        {"key_id": "a", "secret_key": "sesame" * 50},
        {"key_id": "a" * 257, "secret_key": "sesame"},
        {"key_id": "a", "secret_key": {"b": "sesame"}},
        {"key_id": "a", "secret_key": "sesame", "clock_skew": 1},
        {"access_key": "a", "secret_key": "sesame"},
    ],
)
def test_wrong_consumer_is_refused_without_its_secret(config: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="hmac-auth") as caught:
            put(gateway, "/consumers/jack", consumer("jack", hmac_auth=config))
        assert "sesame" not in caught.value.message

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "config",
    [
        {"allowed_algorithms": []},
        {"allowed_algorithms": ["hmac-md5"]},
        {"clock_skew": 0},
        {"clock_skew": -1},
        {"signed_headers": [""]},
        {"signed_headers": ["a" * 51]},
        {"signed_headers": [5]},
        {"validate_request_body": 1},
        {"max_req_body_size": 0},
        {"anonymous_consumer": ""},
        {"realm": "a\x00"},
        {"key_id": "a"},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="hmac-auth"):
            with_config(gateway, **config)

    run(test, **RESOURCES)


LATIN = st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n")
WORDS = st.sampled_from(
    ["keyId", "access", "signature", "algorithm", "hmac-sha256", "headers", "date", "=", '"', ",", " ", "A"]
)


@settings(max_examples=300)
@given(
    value=st.one_of(
        st.text(LATIN, max_size=200),
        st.lists(WORDS, max_size=30).map("".join).map(lambda text: f"Signature {text}"),
        st.tuples(st.text(LATIN, max_size=9), st.text(LATIN, max_size=9), st.text(LATIN, max_size=9)).map(
            lambda made: (
                'Signature keyId="access",algorithm="hmac-sha256",headers="{} {}",signature="{}"'.format(
                    *made
                )
            )
        ),
    ),
    date=st.text(LATIN, max_size=40),
)
def test_whatever_is_sent_is_refused(value: str, date: str) -> None:
    async def test(gateway: Gateway) -> None:
        for sent in (date, signed_request()[0][1]):
            status, _ = await whose(gateway, headers=[("Date", sent), *authorization(value)])
            assert status == 401

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "value", ["a" * 60_000, "a=" * 30_000, 'a="' * 20_000, '"' * 60_000, "a b" * 20_000]
)
def test_long_header_takes_no_long_time(value: str) -> None:
    async def test(gateway: Gateway) -> None:
        began = time.process_time()
        assert (await whose(gateway, headers=authorization(f"Signature {value}")))[0] == 401
        assert time.process_time() - began < 1, "it would be many seconds if it grew with the square"

    run(test, **RESOURCES)
