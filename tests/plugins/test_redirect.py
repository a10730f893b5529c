"""`redirect`: the client is sent elsewhere."""

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.errors import InvalidResource
from batchway.gateway import Forwarding, Gateway
from batchway.model import Origin, Response
from batchway.plugins import Registry
from batchway.upstream import Terms
from tests.plugins.gateways import get, header, request, running
from tests.plugins.upstreams import is_framed, put_route
from tests.upstream.servers import Server


def redirected(config: dict[str, Any], path: str = "/hello", method: str = "GET", **more: Any) -> Response:
    async def main() -> Response:
        async with running() as gateway:
            put_route(gateway, None, redirect=config)
            response = await get(gateway, path, method, **more)
            assert is_framed(response)
            return response

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "path", "query", "location"),
    [
        ({"uri": "/test/add"}, "/hello", "", "/test/add"),
        ({"uri": "$uri/test/add"}, "/hello", "", "/hello/test/add"),
        ({"uri": "$uri/test/a${arg_name}c"}, "/hello", "name=json", "/hello/test/ajsonc"),
        ({"uri": "/foo$$uri"}, "/hello", "", "/foo$/hello"),
        ({"uri": "\\$uri/foo$uri\\$uri/bar"}, "/hello", "", "\\$uri/foo/hello\\$uri/bar"),
        ({"uri": "$uri/$bad_var/bar"}, "/hello", "", "/hello//bar"),
        ({"uri": "https://$host$request_uri"}, "/a%20b", "c=%20d", "https://a.test/a%20b?c=%20d"),
        ({"uri": "$uri"}, "/with%20space/%C3%BC%0D%0AX:y", "", "/with%20space/%C3%BC%0D%0AX:y"),
        ({"uri": "$uri"}, "/%5Cevil.test", "", "/%5Cevil.test"),
        ({"uri": "$uri"}, "//evil.test", "", "/evil.test"),
        ({"uri": "/a b"}, "/", "", "/a%20b"),
        ({"uri": "$uri", "encode_uri": True}, "/hello/with%20space%3F%25", "", "/hello/with%20space%3F%25"),
        ({"uri": "$uri", "append_query_string": True}, "/hello", "name=json", "/hello?name=json"),
        ({"uri": "$uri", "append_query_string": True}, "/hello", "", "/hello"),
        ({"uri": "$uri?a=b", "append_query_string": True}, "/hello", "c=%20d", "/hello?a=b&c=%20d"),
        ({"regex_uri": ["^/test/(.*)", "http://b.test/${1}"]}, "/test/1", "q", "http://b.test/1"),
        ({"regex_uri": ["^/test/(.*)", "http://b.test/$1"]}, "/test/a%20b", "", "http://b.test/a%20b"),
        (
            {"regex_uri": ["^/t/(.*)", "http://b.test/$1"], "encode_uri": True},
            "/t/a%20b%3Fc",
            "",
            "http://b.test/a%20b%3Fc",
        ),
        (
            {"regex_uri": ["^/t/(.*)", "http://b.test/$1?q=x"], "append_query_string": True},
            "/t/hello",
            "o=y",
            "http://b.test/hello?q=x&o=y",
        ),
        ({"http_to_https": True}, "/a%2Fb", "c", "https://a.test/a%2Fb?c"),
    ],
)
def test_location(config: dict[str, Any], path: str, query: str, location: str) -> None:
    response = redirected(config, path, query=query)
    assert header(response, "Location") == location
    assert (response.status, response.body) == (301 if "http_to_https" in config else 302, b"")


@pytest.mark.parametrize(
    ("status", "reason"), [(200, "OK"), (301, "Moved Permanently"), (308, "Permanent Redirect")]
)
def test_status(status: int, reason: str) -> None:
    response = redirected({"uri": "/x", "ret_code": status})
    assert (response.status, response.reason) == (status, reason)


def test_head_and_bodiless_status() -> None:
    assert redirected({"uri": "/x"}, method="HEAD").body is None
    assert redirected({"uri": "/x", "ret_code": 304}).body is None


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 301), ("HEAD", 301), ("POST", 308), ("DELETE", 308)]
)
def test_to_https_keeps_the_method(method: str, status: int) -> None:
    response = redirected({"http_to_https": True, "ret_code": 302}, method=method, host="A.test:80")
    assert (response.status, header(response, "Location")) == (status, "https://a.test/hello")


@pytest.mark.parametrize(
    ("scheme", "told", "trusted", "is_redirected"),
    [
        ("http", None, False, True),
        ("https", None, False, False),
        ("http", "https", False, True),
        ("http", "https", True, False),
        ("https", "http", True, True),
        ("https", "http", False, False),
    ],
)  # fmt: skip
def test_scheme_is_told_by_a_trusted_proxy(
    scheme: str,
    told: str | None,
    trusted: bool,
    is_redirected: bool,
) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, redirect={"http_to_https": True})
            came = request(headers=[] if told is None else [("X-Forwarded-Proto", told)])
            came.origin = Origin("10.0.0.1", scheme, "a.test", 80, trusted)
            assert (await gateway.handle(came)).status == (301 if is_redirected else 200)

    asyncio.run(main())


@pytest.mark.parametrize(("port", "location"), [(443, "https://a.test/"), (9443, "https://a.test:9443/")])
def test_port_of_https(port: int, location: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            use(gateway, {"redirect": {"https_port": port}})
            put_route(gateway, None, redirect={"http_to_https": True})
            assert header(await get(gateway), "Location") == location

    asyncio.run(main())


def use(gateway: Gateway, attributes: dict[str, Any]) -> None:
    gateway.use(Registry(attributes=attributes), Forwarding(), Terms())


@pytest.mark.parametrize("config", [{"regex_uri": ["^/test/(.*)", "/$1"]}, {"http_to_https": False}])
def test_other_requests_go_on(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, redirect=config)
            assert (await get(gateway, "/hello")).status == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"uri": "/"},
        {"uri": "/hello", "http_to_https": True},
        {"uri": "/hello", "regex_uri": ["a", "b"]},
        {"regex_uri": ["a"]},
        {"regex_uri": ["a", "b", "c", "d"]},
        {"regex_uri": ["(", "b"]},
        {"regex_uri": ["(a)", "$2"]},
        {"http_to_https": True, "append_query_string": True},
        {"uri": "/a", "ret_code": 199},
        {"uri": "/a", "ret_code": 600},
        {"uri": "/a", "unknown": 1},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="redirect"):
                put_route(gateway, None, redirect=config)

    asyncio.run(main())


@pytest.mark.parametrize("port", [0, 65536, "443"])
def test_wrong_attributes(port: object) -> None:
    with pytest.raises(InvalidResource, match="redirect"):
        Registry(attributes={"redirect": {"https_port": port}})


@settings(max_examples=100)
@given(
    config=st.sampled_from(
        [
            {"uri": "$uri$arg_a$http_b$cookie_c"},
            {"uri": "/x?$args", "encode_uri": True},
            {"uri": "${uri}x$request_uri", "append_query_string": True},
            {"regex_uri": ["(.*)", "$1/$0"]},
            {"regex_uri": ["(.*)", "$1?$0"], "encode_uri": True},
            {"http_to_https": True},
        ]
    ),
    path=st.binary(max_size=12).map(lambda raw: raw.replace(b"\0", b"x").replace(b"..", b"--")),
    value=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=9),
    host=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=9),
)
def test_nothing_that_a_client_sends_leaves_the_location(
    config: dict[str, Any], path: bytes, value: str, host: str
) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in path)
    headers = [("b", value), ("cookie", f"c={value}")]
    response = redirected(config, f"/{encoded}", query=f"a={encoded}", headers=headers, host=host)
    location = header(response, "Location")
    assert location
    assert re.fullmatch(r"[!-~]+", location)
    assert not re.search(r'[<>"\\^`{|}]', location)
