"""`proxy-rewrite`: what the upstream gets instead of what the client sent."""

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.errors import InvalidResource
from tests.plugins.gateways import document, get, header, new_batch, put, running, to
from tests.plugins.upstreams import answering, is_framed, put_route, sent, target
from tests.upstream.servers import Server

UNSAFE: dict[str, Any] = {"use_real_request_uri_unsafe": True}


def asked(config: dict[str, Any], path: str = "/test/a", **more: Any) -> str:
    """What the upstream is asked for."""

    async def main() -> str:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite=config)
            response = await get(gateway, path, **more)
            assert response.status == 200
            return target(server)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "path", "query", "expected"),
    [
        ({"uri": "/new"}, "/test/a", "", "/new"),
        ({"uri": "/new"}, "/test/a", "q=1&b=%20", "/new?q=1&b=%20"),
        ({"uri": "/new?x=1"}, "/test/a", "q=1", "/new?x=1&q=1"),
        ({"uri": "/new?x=1"}, "/test/a", "", "/new?x=1"),
        ({"uri": "/new?"}, "/test/a", "q=1", "/new?q=1"),
        ({"uri": "/p$uri"}, "/test/a%20b", "", "/p/test/a%20b"),
        ({"uri": "/p$uri"}, "/test/a%3Fb", "", "/p/test/a%3Fb"),
        ({"uri": "/p$uri"}, "/test/a%2541", "", "/p/test/a%2541"),
        ({"uri": "/p$uri"}, "/test/%C3%BC%FF%23", "", "/p/test/%C3%BC%FF%23"),
        ({"uri": "/p/$arg_name"}, "/test/a", "name=x%2Fy%3Fz", "/p/x/y%3Fz?name=x%2Fy%3Fz"),
        ({"uri": "/p?u=$arg_n&is=1"}, "/test", "n=x%26is%3D2", "/p?u=x%26is%3D2&is=1&n=x%26is%3D2"),
        ({"uri": "/p/${http_host}/x"}, "/test/a", "", "/p/a.test/x"),
        ({"uri": "/p/ü"}, "/test/a", "", "/p/%C3%BC"),
        ({"uri": "/p#x"}, "/test/a", "", "/p%23x"),
        ({"uri": "/a%20b"}, "/test/a", "", "/a%20b"),
        ({"uri": "/none$nothing"}, "/test/a", "", "/none"),
        ({"uri": "/first", "regex_uri": ["^/test", "/second"]}, "/test/a", "", "/first"),
        ({"regex_uri": ["^/test/(.*)", "/$1"]}, "/test/a/b", "q=1", "/a/b?q=1"),
        ({"regex_uri": ["^/test/(.*)", "/$1"]}, "/other/a%2Db", "q=1", "/other/a%2Db?q=1"),
        ({"regex_uri": ["/test", ""]}, "/test/a", "", "/a"),
        ({"regex_uri": ["^/test/", ""]}, "/test/a", "", "/a"),
        ({"regex_uri": ["^.*$", ""]}, "/test/a", "", "/"),
        ({"regex_uri": ["/(\\w)$", "/x$1${1}"]}, "/test/a", "", "/test/xaa"),
        ({"regex_uri": ["^/test/(.*)/(.*)/(.*)", "/$1_$2_$3"]}, "/test/a/b/c", "", "/a_b_c"),
        ({"regex_uri": ["^/test/(.*)", "/x?id=$1"]}, "/test/a", "q=1", "/x?id=a&q=1"),
        ({"regex_uri": ["^/test/(.*)", "/x?id=$1"]}, "/test/a%26b=%3F%2B", "", "/x?id=a%26b%3D?%2B"),
        ({"regex_uri": ["^/test/(.*)", "/$1"]}, "/test/a%3Fq=2", "", "/a%3Fq=2"),
        ({"regex_uri": ["^/test/(.*)", "/$1"]}, "/test/%25zz%0D%0AX", "", "/%25zz%0D%0AX"),
        ({"regex_uri": ["^/no", "/1", "^/test/b", "/2", "^/test", "/3", "a", "/4"]}, "/test/a", "", "/3/a"),
        ({"regex_uri": ["^/TEST", "/x"]}, "/test/a", "", "/test/a"),
        ({"method": "GET"}, "/test/%61//b", "q", "/test/%61//b?q"),
        (UNSAFE, "/test/%61//b", "q", "/test/%61//b?q"),
        ({**UNSAFE, "uri": "/x$request_uri"}, "/test/%61", "q=%20", "/x/test/%61?q=%20"),
        ({**UNSAFE, "uri": "/x"}, "/test/%61", "q=1", "/x"),
        (
            {**UNSAFE, "regex_uri": ["^/test/([^?]*)(.*)", "/$1/y$2"]},
            "/test/%2F%41",
            "q=1",
            "/%2F%41/y?q=1",
        ),
    ],
)  # fmt: skip
def test_uri(config: dict[str, Any], path: str, query: str, expected: str) -> None:
    assert asked(config, path, query=query) == expected


def test_path_that_is_too_long_to_be_matched_is_refused() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite={"regex_uri": ["^/a(.*)", "/b$1"]})
            response = await get(gateway, "/" + "a" * 9000)
            assert (response.status, server.requests) == (400, [])

    asyncio.run(main())


@pytest.mark.parametrize("method", ["POST", "DELETE", "PROPFIND", "LOCK"])
def test_method(method: str) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite={"method": method})
            response = await get(gateway, "/a", body=b"body")
            assert response.status == 200
            assert server.requests[-1].line == f"{method} /a HTTP/1.1".encode()
            assert server.requests[-1].body == b"body"

    asyncio.run(main())


def test_client_that_asked_for_no_body_gets_none() -> None:
    async def main() -> None:
        async with Server(answering(b"x" * 100)) as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite={"method": "GET"})
            response = await get(gateway, "/", "HEAD")
            assert (response.status, response.body) == (200, None)
            assert header(response, "Content-Length") == "100"
            again = await get(gateway)
            assert again.body == b"x" * 100, "the connection is not lost to the others"

    asyncio.run(main())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_length_of_a_body_that_was_not_asked_for_is_not_announced(method: str) -> None:
    async def main() -> None:
        async with Server(answering(b"x" * 100)) as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite={"method": "HEAD"})
            response = await get(gateway, "/", method)
            assert (response.status, response.body) == (200, b"")
            assert header(response, "Content-Length") is None
            assert server.requests[-1].line == b"HEAD / HTTP/1.1"
            assert (await get(gateway, "/", "HEAD")).body is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("upstream", "host"),
    [
        ({}, "b.test:81"),
        ({"pass_host": "pass"}, "b.test:81"),
        ({"pass_host": "node"}, "node"),
        ({"pass_host": "rewrite", "upstream_host": "c.test"}, "c.test"),
    ],
)
def test_host(upstream: dict[str, Any], host: str) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            plugins = {
                "proxy-rewrite": {"host": "b.test:81"},
                "response-rewrite": {"headers": {"X-Host": "$host"}},
            }
            put(
                gateway,
                "/routes/1",
                {"uri": "/*", "plugins": plugins, "upstream": {**to(server), **upstream}},
            )
            response = await get(gateway, host="a.test:80")
            expected = host.replace("node", f"127.0.0.1:{server.port}")
            assert sent(server, "host") == [expected]
            assert sent(server, "x-forwarded-host") == ["a.test:80"], "what the client called us"
            assert header(response, "X-Host") == "a.test", "variables speak of the original request"

    asyncio.run(main())


def test_headers_are_added_set_and_removed_in_this_order() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            changes = {
                "add": {"X-Add": "1", "X-New": 2.5, "X-Gone": "x"},
                "set": {
                    "X-Set": "$remote_addr|$request_method|$uri|$arg_q",
                    "X-Empty": "",
                    "X-None": "$none",
                },
                "remove": ["x-GONE", "X-Not-There"],
            }
            put_route(gateway, server, proxy_rewrite={"uri": "/new", "method": "PUT", "headers": changes})
            came = [
                ("X-Add", "0"),
                ("X-Set", "a"),
                ("X-Set", "b"),
                ("X-Empty", "a"),
                ("X-None", "a"),
                ("X-Gone", "y"),
            ]
            await get(gateway, "/old", query="q=5", headers=came)
            names = ("x-add", "x-new", "x-set", "x-empty", "x-none", "x-gone")
            assert [sent(server, name) for name in names] == [
                ["0", "1"], ["2.5"], ["10.0.0.1|GET|/old|5"], [], [], []
            ]  # fmt: skip

    asyncio.run(main())


def test_headers_of_the_old_way_are_set() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite={"headers": {"X-A": "1", "Host": "b.test"}})
            await get(gateway, headers=[("x-a", "0")])
            assert (sent(server, "x-a"), sent(server, "host")) == (["1"], ["b.test"])

    asyncio.run(main())


def test_groups_of_the_pattern_in_headers() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            config = {
                "regex_uri": ["^/no/(.*)", "/$1", "^/(\\w+)/([^/]*)", "/$2"],
                "headers": {"add": {"X-A": "$1-${2}"}, "set": {"X-B": "$1 $uri $9 $$1"}},
            }
            put_route(gateway, server, proxy_rewrite=config)
            await get(gateway, "/t/a%0D%0AX-Evil:%20%C3%BC")
            assert sent(server, "x-a") == ["t-aX-Evil: \xfc"]
            assert sent(server, "x-b") == ["t /t/aX-Evil: \xfc  $t"]
            assert sent(server, "x-evil") == []

    asyncio.run(main())


def test_group_is_no_template() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            config = {"regex_uri": ["^/(.*)", "/x"], "headers": {"X-A": "<$1>"}}
            put_route(gateway, server, proxy_rewrite=config)
            await get(gateway, "/$http_secret", headers=[("secret", "s")])
            assert sent(server, "x-a") == ["<$http_secret>"]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["X-Forwarded-Proto", "X-Forwarded-Port", "x-forwarded-host", "X-Real-IP"])
def test_what_batchway_tells_of_the_client_may_be_told_otherwise(name: str) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite={"headers": {"set": {name: "ours"}}})
            underscored = name.replace("-", "_")
            await get(gateway, headers=[(name, "the client's"), (underscored, "the client's")])
            assert sent(server, name) == ["ours"]
            assert sent(server, underscored) == []
            put_route(gateway, server, proxy_rewrite={"headers": {"add": {name: "ours"}}})
            await get(gateway, headers=[(name, "the client's")])
            assert "the client's" not in sent(server, name)

    asyncio.run(main())


def test_items_of_a_batch_are_rewritten_each_for_itself() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, proxy_rewrite={"headers": {"X-A": "$arg_a"}, "uri": "/p/$arg_a"})
            batch = new_batch()
            for value in "123":
                await get(gateway, "/", query=f"a={value}", batch=batch)
                assert (sent(server, "x-a"), target(server)) == ([value], f"/p/{value}?a={value}")

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"uri": ""},
        {"uri": "home"},
        {"uri": "/" + "a" * 4096},
        {"regex_uri": []},
        {"regex_uri": ["^/a"]},
        {"regex_uri": ["^/a", "/b", "^/c"]},
        {"regex_uri": ["^/(a", "/b"]},
        {"regex_uri": ["^/(a+)+$", "/b"]},
        {"regex_uri": ["^/(a)", "/$2"]},
        {"regex_uri": ["^/a", "/b", "^/(a)", "/$2"]},
        {"method": "TRACE"},
        {"method": "get"},
        {"host": "a b"},
        {"host": "a.test\r\nX: y"},
        {"host": "a:123456"},
        {"headers": {}},
        {"headers": {"X-A": []}},
        {"headers": {"set": {"Content-Length": "1"}}},
        {"headers": {"X-A": "b\r\nc: d"}},
        {"use_real_request_uri_unsafe": "yes", "uri": "/"},
        {"unknown": 1, "uri": "/"},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="proxy-rewrite"):
                put_route(gateway, None, proxy_rewrite=config)

    asyncio.run(main())


PATHS = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0 ")).map(
    lambda text: "/" + re.sub("%(?![0-9a-fA-F]{2})|%00|[^!-~]", "", text)
)


@settings(max_examples=60)
@given(st.data())
def test_nothing_that_a_client_sends_leaves_the_request_line(data: st.DataObject) -> None:
    template = "/" + data.draw(
        st.sampled_from(["$uri", "x?$args", "$arg_a/$http_x", "a?b=$arg_a", "$request_uri"])
    )
    config: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"uri": template},
                {"uri": template, "use_real_request_uri_unsafe": True},
                {"regex_uri": ["(.?)(.*)", "/$2?x=$1"]},
                {"regex_uri": ["(.?)(.*)", "/$2?x=$1"], "use_real_request_uri_unsafe": True},
            ]
        )
    )
    encoded = data.draw(st.binary(max_size=8)).replace(b"\0", b"")
    path = data.draw(PATHS) + "".join(f"%{byte:02X}" for byte in encoded)
    query = "a=" + "".join(f"%{byte:02x}" for byte in data.draw(st.binary(max_size=8)))
    value = data.draw(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=8))

    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(
                gateway, server, proxy_rewrite={**config, "headers": {"X-Made": "<$uri $arg_a $http_x>"}}
            )
            response = await get(gateway, path, query=query, headers=[("x", value)])
            assert is_framed(response)
            if response.status == 200:
                assert re.fullmatch(rb"GET /[!-~]* HTTP/1\.1", server.requests[-1].line)
                assert len(sent(server, "x-made")) == 1
            else:
                assert response.status == 400, document(response)  # the path leads above the root

    asyncio.run(main())
