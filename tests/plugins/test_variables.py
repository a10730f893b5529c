"""The variables of a request, and templates of them."""

import asyncio
import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.model import Headers, Origin, Request
from batchway.plugins.arguments import with_added, with_argument, without_argument
from batchway.plugins.locations import legal, resolved, resolved_plainly, spelled
from batchway.plugins.variables import argument, has_value, host_name, request_variable, resolve
from tests.plugins.gateways import get, put, running
from tests.plugins.upstreams import headers_of

ORIGIN = Origin("10.0.0.9", "https", "outer.test", 8443, client_port=50123, address="10.0.0.1")
PAIRS = (
    (b"host", b"A.Test:80"),
    (b"x-one", b"1"),
    (b"x-one", b"2"),
    (b"x_two", b"3"),
    (b"x-two", b"4"),
    (b"cookie", b"a=b; c = d"),
    (b"cookie", b"e=f=g"),
    (b"content-type", b"text/plain"),
)
REQUEST = Request("PUT", "/p%20q", "a=1&b=%2B+x&a=2&c&%64=e", Headers(PAIRS), b"body", ORIGIN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_uri", "/p%20q?a=1&b=%2B+x&a=2&c&%64=e"),
        ("request_method", "PUT"),
        ("args", "a=1&b=%2B+x&a=2&c&%64=e"),
        ("query_string", "a=1&b=%2B+x&a=2&c&%64=e"),
        ("is_args", "?"),
        ("remote_addr", "10.0.0.9"),
        ("remote_port", "50123"),
        ("server_addr", "10.0.0.1"),
        ("host", "a.test"),
        ("server_name", "a.test"),
        ("hostname", socket.gethostname()),
        ("scheme", "https"),
        ("server_port", "8443"),
        ("server_protocol", "HTTP/1.1"),
        ("content_type", "text/plain"),
        ("content_length", "4"),
        ("arg_a", "1"),
        ("arg_b", "+ x"),
        ("arg_c", ""),
        ("arg_d", "e"),
        ("arg_z", None),
        ("http_x_one", "1, 2"),
        ("http_X_One", "1, 2"),
        ("http_x_two", "3, 4"),
        ("http_none", None),
        ("http_\u0141", None),
        ("cookie_a", "b"),
        ("cookie_e", "f=g"),
        ("cookie_z", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_variable_of_a_request(name: str, value: str | None) -> None:
    assert request_variable(REQUEST, name) == value


def test_clocks() -> None:
    assert float(request_variable(REQUEST, "msec") or "") > 1e9
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT[\d:]{8}[+-]\d\d:\d\d", request_variable(REQUEST, "time_iso8601") or ""
    )
    assert re.fullmatch(r"\d\d/\w+/\d{4}:[\d:]{8} [+-]\d{4}", request_variable(REQUEST, "time_local") or "")


def test_without_query_host_and_body() -> None:
    bare = Request("GET", "/", "", Headers(), b"", ORIGIN)
    names = ("is_args", "request_uri", "host", "content_length")
    assert [request_variable(bare, name) for name in names] == ["", "/", "outer.test", None]


@pytest.mark.parametrize(
    ("raw", "name"),
    [(b"A.B", "a.b"), (b"a:80", "a"), (b"a.", "a"), (b"[::1]:80", "[::1]"), (b"[::1]", "[::1]"), (b"", "")],
)
def test_host_name(raw: bytes, name: str) -> None:
    assert host_name(raw) == name


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("plain", "plain"),
        ("$a-${a}b-$ab", "1-1b-"),
        ("$$a", "$1"),
        ("$", "$"),
        ("${a", "${a"),
        ("$a$a", "11"),
        ("${ a }", "1"),
        ("${a ?? 2}|${b ?? 2}|${ b??x y }|${b ??}|${b}", "1|2|x y||"),
        ("${a-b}", "5"),
        ("\\$a \\${a}", "\\$a \\${a}"),
        ("${} ${a${a}", "${} ${a1"),
        ("100 %", "100 %"),
    ],
)
def test_resolve(template: str, made: str) -> None:
    assert resolve(template, {"a": "1", "a-b": "5"}.get) == made


def test_value_is_not_a_template_itself() -> None:
    assert resolve("$a", {"a": "$b", "b": "no"}.get) == "$b"


def test_has_value() -> None:
    assert has_value("$b ${a}", {"a": ""}.get)
    assert not has_value("$b a", {"a": ""}.get)
    assert not has_value("${a} ${b}", VALUES.get)
    assert has_value("${a ?? 1}", VALUES.get)


# --- arguments


def test_arguments_are_changed_and_the_others_keep_their_spelling() -> None:
    query = "a=%7e&b=1&&%62=2&c"
    assert without_argument(query, "b") == "a=%7e&c"
    assert with_argument(query, "b", "x&y z") == "a=%7e&c&b=x%26y+z"
    assert with_added("", "a", "1") == "a=1"


@given(st.text(max_size=30), st.text(min_size=1, max_size=10), st.text(max_size=10))
def test_argument_that_was_put_is_found(query: str, name: str, value: str) -> None:
    made = with_argument(query, name, value)
    assert argument(made, name) == value
    assert argument(without_argument(made, name), name) is None


# --- within URIs

VALUES = {
    "uri": "/a b/ü?x%41#y",
    "arg_v": "1&admin=1#",
    "request_uri": "/a%20b?c=d",
    "args": "c=d&e=%20",
    "http_h": "\xc3\xa9",
    "host": "h.test",
    "evil": "\r\nX: y\0",
}


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("/x$uri", "/x/a%20b/%C3%BC%3Fx%2541%23y"),
        ("/x?v=$arg_v&w=2", "/x?v=1%26admin%3D1%23&w=2"),
        ("/x$request_uri", "/x/a%20b%3Fc=d"),
        ("/x?$args", "/x?c=d&e=%20"),
        ("/$http_h", "/%C3%A9"),
        ("/a%20b c{}", "/a%20b%20c%7B%7D"),
        ("/$none/", "//"),
        ("/$evil", "/%0D%0AX:%20y%00"),
        ("/${none ?? a}/${none ?? c d}?v=${none ?? d&e}", "/a/c%20d?v=d&e"),
    ],
)
def test_values_stay_in_their_place(template: str, made: str) -> None:
    assert resolved(template, VALUES.get) == made


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("https://$host$request_uri", "https://h.test/a%20b?c=d"),
        ("$uri", "/a%20b/%C3%BC?x%41#y"),
        ("/x?v=$arg_v", "/x?v=1&admin=1#"),
        ("/$evil", "/%0D%0AX:%20y%00"),
        ("/\\$evil", "/%5C$evil"),
    ],
)
def test_plain_values_are_legal_ones(template: str, made: str) -> None:
    assert resolved_plainly(template, VALUES.get) == made


@given(st.text(), st.text(), st.binary())
def test_whatever_is_put_in_a_uri_is_one(template: str, value: str, raw: bytes) -> None:
    lookup = {
        "uri": raw.decode(errors="surrogateescape"),
        "http_a": raw.decode("latin-1"),
        "args": "a=b",
    }.get
    for made in (
        resolved(f"/{template}$uri$http_a?$args$uri", lookup),
        resolved_plainly(f"$uri${{http_a}}{template}", lookup),
        legal(value),
        spelled(raw.decode("latin-1")),
    ):
        assert made.isascii()
        assert not re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", made)
    assert resolved("/$uri?x=$uri", lookup).partition("?")[0].count("?") == 0


# --- of the route and the consumer


def test_variables_that_the_way_of_the_request_gives() -> None:
    names = (
        "uri",
        "route_id",
        "route_name",
        "service_id",
        "service_name",
        "consumer_name",
        "uri_param_x",
        "batch_id",
    )

    async def main() -> None:
        async with running(services={"s": {"name": "the service"}}) as gateway:
            gateway.catalog.use_router("radixtree_uri_with_parameter")
            plugins = {
                "key-auth": {},
                "mocking": {"response_example": "|".join(f"${name}" for name in names)},
                "response-rewrite": {"headers": {"X-Status": "$status"}},
            }
            put(gateway, "/consumers/jack", {"username": "jack", "plugins": {"key-auth": {"key": "j"}}})
            route = {"uri": "/:x/*", "name": "r", "service_id": "s", "plugins": plugins}
            put(gateway, "/routes/1", route)
            response = await get(gateway, "/%61/b", headers=[("apikey", "j")])
            assert response.body == b"/a/b|1|r|s|the service|jack|a|"
            assert headers_of(response, "X-Status") == ["200"]

    asyncio.run(main())
