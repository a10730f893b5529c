"""`cors`: which pages of other sites may read the answers."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.errors import InvalidResource
from batchway.model import Response
from tests.plugins.gateways import document, get, header, new_batch, put, running
from tests.plugins.upstreams import answering, headers_of, is_framed, put_route
from tests.upstream.servers import Server

NAMES = {
    "origin": "Access-Control-Allow-Origin",
    "methods": "Access-Control-Allow-Methods",
    "headers": "Access-Control-Allow-Headers",
    "expose": "Access-Control-Expose-Headers",
    "age": "Access-Control-Max-Age",
    "credentials": "Access-Control-Allow-Credentials",
    "timing": "Timing-Allow-Origin",
    "vary": "Vary",
}
ALL = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE"
SUB = "http://sub.domain.com"
METADATA = {
    "one": "https://domain.com",
    "two": "https://sub.domain.com,https://sub2.domain.com",
    "any": "*",
}


def told(response: Response) -> dict[str, str]:
    """What the response says, each header once at most."""
    values = {short: headers_of(response, name) for short, name in NAMES.items()}
    assert all(len(one) < 2 for short, one in values.items() if short != "vary")
    return {short: ", ".join(one) for short, one in values.items() if one}


def answered(
    config: dict[str, Any], origin: str | None = SUB, *upstream: str, method: str = "GET", **headers: str
) -> Response:
    async def main() -> Response:
        metadata = {"cors": {"allow_origins": METADATA}}
        async with (
            Server(answering(b"hello", *upstream)) as server,
            running(plugin_metadata=metadata) as gateway,
        ):
            put_route(gateway, server, cors=config)
            pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
            if origin is not None:
                pairs.append(("Origin", origin))
            response = await get(gateway, "/", method, headers=pairs)
            assert is_framed(response)
            return response

    return asyncio.run(main())


FOR_ALL = {"origin": "*", "methods": "*", "headers": "*", "age": "5"}
NAMED = {
    "allow_origins": f"{SUB},http://sub2.domain.com",
    "allow_methods": "GET,POST",
    "allow_headers": "headr1,headr2",
    "expose_headers": "ex-headr1,ex-headr2",
    "max_age": 50,
    "allow_credential": True,
}
TOLD = {
    "origin": SUB,
    "methods": "GET,POST",
    "headers": "headr1,headr2",
    "expose": "ex-headr1,ex-headr2",
    "age": "50",
    "credentials": "true",
    "vary": "Origin",
}
FORCED = {"allow_origins": "**", "allow_methods": "**", "allow_headers": "**", "expose_headers": "*"}


@pytest.mark.parametrize(
    ("config", "origin", "expected"),
    [
        ({}, SUB, FOR_ALL),
        ({}, None, FOR_ALL),
        (NAMED, SUB, TOLD),
        (NAMED, "http://sub3.domain.com", {"vary": "Origin"}),
        (NAMED, SUB + ".evil.com", {"vary": "Origin"}),
        (NAMED, f"{SUB},http://sub2.domain.com", {"vary": "Origin"}),
        (NAMED, None, {"vary": "Origin"}),
        ({"allow_origins": "null"}, "null", {**FOR_ALL, "origin": "null", "vary": "Origin"}),
        (FORCED, SUB, {"origin": SUB, "methods": ALL, "expose": "*", "age": "5", "vary": "Origin"}),
        (FORCED, None, {"origin": "*", "methods": ALL, "expose": "*", "age": "5", "vary": "Origin"}),
        ({"max_age": -1}, SUB, {**FOR_ALL, "age": "-1"}),
        ({"allow_methods": "", "allow_headers": ""}, SUB, {"origin": "*", "age": "5"}),
    ],
)
def test_origins(config: dict[str, Any], origin: str | None, expected: dict[str, str]) -> None:
    assert told(answered(config, origin)) == expected


def test_headers_that_are_asked_for_are_allowed_by_force() -> None:
    response = answered(FORCED, SUB, Access_Control_Request_Headers="req-header1,req-header2")
    assert told(response)["headers"] == "req-header1,req-header2"


@pytest.mark.parametrize(
    ("patterns", "origin", "is_allowed"),
    [
        ([".*\\.domain.com$"], SUB, True),
        ([".*\\.domain.com$"], "http://sub.test.com", False),
        ([".*\\.domain.com$"], None, False),
        (["^a$", "sub"], SUB, True),
        (["^(?:.|\\n)+$"], "http://" + "a" * 9000, False),
    ],
)
@pytest.mark.parametrize("more", [{}, {"allow_origins": "http://other.com"}])
def test_patterns_alone_decide(
    patterns: list[str],
    origin: str | None,
    is_allowed: bool,
    more: dict[str, str],
) -> None:
    found = told(answered({"allow_origins_by_regex": patterns, **more}, origin))
    assert found == ({**FOR_ALL, "origin": origin, "vary": "Origin"} if is_allowed else {"vary": "Origin"})


@pytest.mark.parametrize(
    ("names", "origin", "allowed"),
    [
        (["one"], "https://test.com", "https://test.com"),
        (["one"], "https://domain.com", "https://domain.com"),
        (["one"], "https://sub.domain.com", None),
        (["one", "two"], "https://sub2.domain.com", "https://sub2.domain.com"),
        (["any"], "http://foo.example.org", "http://foo.example.org"),
        (["none"], "https://domain.com", None),
    ],
)
def test_lists_in_the_metadata(names: list[str], origin: str, allowed: str | None) -> None:
    response = answered({"allow_origins": "https://test.com", "allow_origins_by_metadata": names}, origin)
    assert told(response).get("origin") == allowed
    assert told(response)["vary"] == "Origin"


@pytest.mark.parametrize("more", [{}, {"allow_origins": "*"}])
@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://domain.com", "https://domain.com"), (SUB, None), (None, None)]
)
def test_lists_alone_decide_where_no_origins_are_named(
    more: dict[str, Any], origin: str | None, allowed: str | None
) -> None:
    found = told(answered({"allow_origins_by_metadata": ["one"], **more}, origin))
    assert (found.get("origin"), found["vary"]) == (allowed, "Origin")


@pytest.mark.parametrize(
    ("config", "origin", "allowed"),
    [
        ({"timing_allow_origins": SUB}, SUB, SUB),
        ({"timing_allow_origins": SUB}, "http://other.com", None),
        ({"timing_allow_origins": "*"}, SUB, "*"),
        ({"timing_allow_origins": "**"}, SUB, SUB),
        ({"timing_allow_origins_by_regex": ["sub"]}, SUB, SUB),
        ({"timing_allow_origins_by_regex": ["sub"]}, "http://other.com", None),
        ({"timing_allow_origins": SUB, "timing_allow_origins_by_regex": ["a"]}, SUB, SUB),
        ({"allow_origins": "http://a.com", "timing_allow_origins": SUB}, SUB, SUB),
    ],
)  # fmt: skip
def test_timing(config: dict[str, Any], origin: str, allowed: str | None) -> None:
    found = told(answered(config, origin, "Timing-Allow-Origin: http://upstream.com"))
    assert found.get("timing") == allowed
    assert ("vary" in found) == (config != {"timing_allow_origins": "*"})


def test_timing_of_the_upstream_stays_where_the_config_says_nothing_of_it() -> None:
    assert told(answered({}, SUB, "Timing-Allow-Origin: x"))["timing"] == "x"


# --- what the upstream says


UPSTREAM = tuple(
    f"{name}: {value}"
    for name, value in (
        ("access-control-allow-origin", "*"),
        ("Access-Control-Allow-Methods", "methods"),
        ("Access-Control-Allow-Headers", "a-headers"),
        ("Access-Control-Expose-Headers", "e-headers"),
        ("Access-Control-Max-Age", "10"),
        ("Access-Control-Allow-Credentials", "true"),
    )
)


@pytest.mark.parametrize(
    ("config", "origin"),
    [(NAMED, SUB), (NAMED, "http://other.com"), ({}, SUB), (FORCED, SUB), (FORCED, None)],
)
def test_upstream_does_not_allow_more_than_the_config(config: dict[str, Any], origin: str | None) -> None:
    assert told(answered(config, origin, *UPSTREAM)) == told(answered(config, origin))


@pytest.mark.parametrize(
    ("upstream", "vary"),
    [("Via", "Via, Origin"), ("origin", "origin"), ("Accept, ORIGIN", "Accept, ORIGIN"), ("*", "*")],
)
def test_vary_is_added_once(upstream: str, vary: str) -> None:
    assert told(answered(NAMED, SUB, f"Vary: {upstream}"))["vary"] == vary


# --- the order of things


def test_what_browsers_ask_before_needs_no_key_and_reaches_no_upstream() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, cors=FORCED, key_auth={})
            asked = [("Origin", SUB), ("Access-Control-Request-Method", "PUT")]
            response = await get(gateway, "/", "OPTIONS", headers=asked)
            assert (response.status, response.body, server.requests) == (200, b"", [])
            assert told(response)["origin"] == SUB

    asyncio.run(main())


def test_page_may_read_a_refusal() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, None, cors=FORCED, key_auth={})
            response = await get(gateway, headers=[("Origin", SUB)])
            assert (response.status, document(response)) == (401, {"message": "Missing API key in request"})
            assert (told(response)["origin"], told(response)["methods"]) == (SUB, ALL)

    asyncio.run(main())


def test_other_filters_do_not_change_what_is_compared() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, cors=NAMED, proxy_rewrite={"headers": {"Origin": "http://inner"}})
            assert told(await get(gateway, headers=[("Origin", SUB)]))["origin"] == SUB

    asyncio.run(main())


def test_items_of_a_batch() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, cors=NAMED)
            response = await get(gateway, batch=new_batch(), headers=[("Origin", SUB)])
            assert told(response) == TOLD

    asyncio.run(main())


# --- configs


@pytest.mark.parametrize(
    "origins",
    [
        "*",
        "**",
        "null",
        "http://y.com.uk",
        "https://x.com,http://y.com.uk:12000,http://c.tv",
    ],
)
@pytest.mark.parametrize("name", ["allow_origins", "timing_allow_origins"])
def test_good_origins(name: str, origins: str) -> None:
    answered({name: origins})


BAD = [
    "",
    "*a",
    "*,http://y.com",
    "nulll",
    "http//y.com.uk",
    "x.com",
    "https://x.com,y.com.uk",
    "https://x.com,*,https://y.com.uk",
    "https://x.com,http://y.com.uk,http:c.tv",
    "https://x.com\r\nX-Evil: 1",
    "https://x.com\n",
]


@pytest.mark.parametrize(
    "config",
    [
        *({name: origins} for name in ("allow_origins", "timing_allow_origins") for origins in BAD),
        {"max_age": "600"},
        {"allow_credential": True},
        {**NAMED, "allow_methods": "*"},
        {**NAMED, "allow_headers": "*"},
        {**NAMED, "expose_headers": "*"},
        {**NAMED, "allow_origins": "*"},
        {**NAMED, "timing_allow_origins": "*"},
        {"allow_methods": "GET\r\n"},
        {"allow_headers": "\x00"},
        {"allow_origins_by_regex": []},
        {"allow_origins_by_regex": [""]},
        {"allow_origins_by_regex": ["("]},
        {"timing_allow_origins_by_regex": ["(a*)*"]},
        {"allow_origins_by_metadata": []},
        {"unknown": 1},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="cors"):
                put_route(gateway, None, cors=config)

    asyncio.run(main())


@pytest.mark.parametrize("origins", BAD)
def test_wrong_metadata(origins: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="allow_origins"):
                put(gateway, "/plugin_metadata/cors", {"allow_origins": {"one": origins}})

    asyncio.run(main())


@settings(max_examples=60)
@given(
    config=st.sampled_from(
        [{}, NAMED, FORCED, {"allow_origins_by_regex": ["."], "timing_allow_origins": "**"}]
    ),
    origin=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
    asked=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=20),
)
def test_whatever_a_browser_says(config: dict[str, Any], origin: str, asked: str) -> None:
    response = answered(config, origin, Access_Control_Request_Headers=asked)
    assert response.status == 200
    assert header(response, "Vary") in (None, "Origin")
