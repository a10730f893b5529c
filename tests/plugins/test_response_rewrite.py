"""`response-rewrite`: what the client gets instead of what the upstream answered."""

import asyncio
import base64
import gzip
import re
import zlib
from typing import Any

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.errors import InvalidResource
from batchway.model import Response
from batchway.plugins import response_rewrite
from tests.plugins.gateways import document, get, header, new_batch, running
from tests.plugins.upstreams import answering, headers_of, is_framed, put_route
from tests.upstream.servers import Script, Server

OLD = ("ETag: x", "Last-Modified: y", "X-Old: z")


def answered(
    config: dict[str, Any], script: Script | None = None, method: str = "GET", **more: Any
) -> Response:
    """What becomes of the upstream's answer; afterwards its connection is free again."""

    async def main() -> Response:
        async with Server(script or answering()) as server, running() as gateway:
            put_route(gateway, server, response_rewrite=config)
            response = await get(gateway, "/a", method, **more)
            assert is_framed(response)
            again = await get(gateway, "/a", method, **more)
            assert again.status == response.status
            return response

    return asyncio.run(main())


def test_status_body_and_headers() -> None:
    config = {"status_code": 201, "body": "new\n", "headers": {"X-Server-id": 3, "Content-Type": ""}}
    response = answered(config, answering(b"x" * 9999, "Content-Type: text/x", *OLD))
    assert (response.status, response.reason, response.body) == (201, "Created", b"new\n")
    assert response.headers == [(b"X-Old", b"z"), (b"X-Server-id", b"3")]


def test_status_without_a_name() -> None:
    response = answered({"status_code": 598})
    assert (response.status, response.reason, response.body) == (598, "", b"hello world\n")


@pytest.mark.parametrize("batch", [None, new_batch()])
@pytest.mark.parametrize("close", [True, False])
def test_body_takes_the_place_of_a_stream(close: bool, batch: Any) -> None:
    response = answered({"body": "new"}, answering(b"x" * 300_000, *OLD, close=close), batch=batch)
    assert (response.body, headers_of(response, "Content-Length"), headers_of(response, "ETag")) == (
        b"new",
        [],
        [],
    )


def test_empty_body_and_base64() -> None:
    assert answered({"body": ""}).body == b""
    raw = bytes(range(256))
    assert answered({"body": base64.b64encode(raw).decode(), "body_base64": True}).body == raw


def test_body_without_conditions_is_no_template() -> None:
    assert answered({"body": "$uri"}).body == b"$uri"


@pytest.mark.parametrize(
    ("variables", "changed"),
    [
        ([], True),
        ([["status", "==", 200]], True),
        ([["status", "==", 404]], False),
        (["OR", ["status", ">", 300], ["arg_a", "==", "1"]], True),
        ([["request_method", "==", "POST"]], False),
    ],
)
def test_conditions(variables: list[Any], *, changed: bool) -> None:
    config = {"vars": variables, "body": "new", "status_code": 403, "headers": {"X-A": "1"}}
    response = answered(config, query="a=1")
    assert (response.status, response.body) == ((403, b"new") if changed else (200, b"hello world\n"))
    assert header(response, "X-A") == ("1" if changed else None)


def test_answers_of_other_plugins_and_errors_are_changed_too() -> None:
    async def main() -> None:
        async with running() as gateway:
            config = {"vars": [["status", ">=", 500]], "body": "sorry", "headers": {"X-Was": "$status"}}
            put_route(gateway, None, response_rewrite=config)
            response = await get(gateway)
            assert (response.status, response.body, header(response, "X-Was")) == (503, b"sorry", "503")
            put_route(
                gateway, None, response_rewrite=config, fault_injection={"abort": {"http_status": 555}}
            )
            assert (await get(gateway)).body == b"sorry"

    asyncio.run(main())


# --- headers


def test_headers_are_added_set_and_removed_in_this_order() -> None:
    config = {
        "headers": {
            "add": ["X-Add: 1", "Set-Cookie: a=b; Path=/", "X-Gone: 1"],
            "set": {"X-Set": "$status $uri ${arg_a}", "X-Upstream": "$upstream_addr", "X-None": "$none"},
            "remove": ["x-gone", "Server"],
        }
    }
    script = answering(b"", "X-Add: 0", "x-set: a", "X-SET: b", "Set-Cookie: c=d", "X-None: 1", "Server: x")
    response = answered(config, script, query="a=%0D%0AX-Evil:1")
    names = ("X-Add", "X-Set", "X-Gone", "X-None", "Server", "X-Evil")
    found = [headers_of(response, name) for name in names]
    assert found == [["0", "1"], ["200 /a X-Evil:1"], [], [], [], []]
    assert headers_of(response, "Set-Cookie") == ["c=d", "a=b; Path=/"]
    assert re.fullmatch(r"127\.0\.0\.1:\d+", header(response, "X-Upstream") or "")


@pytest.mark.parametrize(("status", "body"), [(404, b"sorry"), (403, b"no")])
def test_filter_that_asks_for_the_status(status: int, body: bytes) -> None:
    async def main() -> None:
        async with running() as gateway:
            config = {"body": "sorry", "_meta": {"filter": [["status", "==", 404]]}}
            abort = {"http_status": status, "body": "no"}
            put_route(gateway, None, response_rewrite=config, fault_injection={"abort": abort})
            assert (await get(gateway)).body == body

    asyncio.run(main())


def test_names_are_written_as_nginx_does() -> None:
    headers = {"set": {"remote_addr": "$remote_addr"}, "add": {"X_A": "1"}, "remove": ["x_old"]}
    script = answering(b"x", "Remote-Addr: old", "X-Old: 1", "X_Old: 2")
    response = answered({"headers": headers}, script)
    assert headers_of(response, "Remote-Addr") == ["10.0.0.1"]
    assert headers_of(response, "X-A") == ["1"]
    assert not any(b"_" in name or name == b"X-Old" for name, _ in response.headers)


def test_node_in_a_header() -> None:
    told = {"X-Node": "$balancer_ip:$balancer_port", "X-Upstream": "$upstream_addr"}
    response = answered({"headers": told})
    assert header(response, "X-Node") == header(response, "X-Upstream") != ":"


def test_node_of_an_answer_that_no_upstream_gave() -> None:
    async def main() -> None:
        async with running() as gateway:
            config = {"headers": {"X-Node": "($balancer_ip)($balancer_port)"}}
            put_route(
                gateway, None, response_rewrite=config, fault_injection={"abort": {"http_status": 555}}
            )
            assert header(await get(gateway), "X-Node") == "()()"

    asyncio.run(main())


def test_added_by_name() -> None:
    response = answered({"headers": {"add": {"X-A": 1, "X-B": "b"}}}, answering(b"", "X-A: 0"))
    assert (headers_of(response, "X-A"), headers_of(response, "X-B")) == (["0", "1"], ["b"])


# --- filters


@pytest.mark.parametrize(
    ("filters", "body"),
    [
        ([{"regex": "hello", "replace": "test"}], "test world\n"),
        ([{"regex": "l", "replace": "t"}], "hetlo world\n"),
        ([{"regex": "l", "replace": "t", "scope": "global"}], "hetto wortd\n"),
        ([{"regex": "hello", "replace": ""}], " world\n"),
        ([{"regex": "\\w\\S+$", "replace": "*"}], "hello *\n"),
        ([{"regex": "hello", "replace": "HELLO"}, {"regex": "L", "replace": "T"}], "HETLO world\n"),
        ([{"regex": "test", "replace": "TEST"}], "hello world\n"),
        ([{"regex": "(h)(e)", "replace": "$2${1}$$"}], "eh$llo world\n"),
        ([{"regex": "HELLO", "replace": "x"}], "hello world\n"),
        ([{"regex": "HELLO", "replace": "x", "options": "ijo"}], "x world\n"),
        ([{"regex": "o.*", "replace": "x", "options": "s"}], "hellx"),
        ([{"regex": "l l o", "replace": "x", "options": "x"}], "hex world\n"),
        ([{"regex": "^$", "replace": "x", "options": "m"}], "hello world\nx"),
    ],
)
def test_filters(filters: list[dict[str, str]], body: str) -> None:
    response = answered({"filters": filters}, answering(b"hello world\n", *OLD))
    assert response.body == body.encode()
    assert [key for key, _ in response.headers] == [b"X-Old"]


def _deflate_raw(body: bytes) -> bytes:
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(body) + made.flush()


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", _deflate_raw),
        ("br", brotli.compress),
        ("gzip, br", lambda body: brotli.compress(gzip.compress(body))),
        ("identity", bytes),
    ],
)
def test_filters_see_the_decoded_body(coding: str, encode: Any) -> None:
    script = answering(encode("grüezi".encode() * 99), f"Content-Encoding: {coding}", "ETag: x")
    response = answered({"filters": [{"regex": "ü", "replace": "u", "scope": "global"}]}, script)
    assert response.body == b"gruezi" * 99
    assert response.headers == []


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("compress", b"hello", "200 OK"),
        ("gzip", b"hello", "200 OK"),
        ("gzip", gzip.compress(b"hello")[:-4], "200 OK"),
        ("identity", b"hello", "206 Partial Content"),
    ],
)
def test_what_cannot_be_read_stays_as_it_is(coding: str, body: bytes, status: str) -> None:
    script = answering(body, f"Content-Encoding: {coding}", "ETag: x", status=status)
    response = answered({"filters": [{"regex": "h", "replace": "x"}], "headers": {"X-A": "1"}}, script)
    assert (response.body, header(response, "Content-Encoding"), header(response, "ETag")) == (
        body,
        coding,
        "x",
    )
    assert header(response, "X-A") == "1"


def test_bytes_that_are_no_text_are_not_lost() -> None:
    raw = bytes(range(256)) * 3
    response = answered({"filters": [{"regex": "A", "replace": "AA"}]}, answering(raw))
    assert response.body == raw.replace(b"A", b"AA", 1)


@pytest.mark.parametrize("packed", [False, True])
def test_larger_body_than_can_be_filtered(monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> None:
    monkeypatch.setattr(response_rewrite, "MAX_FILTERED_BYTES", 1000)
    config = {"filters": [{"regex": "x", "replace": "y"}]}
    body = b"x" * 1001
    script = answering(gzip.compress(body), "Content-Encoding: gzip") if packed else answering(body)
    response = answered(config, script)
    assert response.status == 502
    assert "1000" in document(response)["error_msg"] or packed
    assert answered(config, answering(b"x" * 1000)).status == 200


def test_stream_that_is_too_large_is_closed() -> None:
    async def main() -> None:
        async with Server(answering(b"x" * 20_000_000, close=True)) as server, running() as gateway:
            put_route(gateway, server, response_rewrite={"filters": [{"regex": "x", "replace": "y"}]})
            assert (await get(gateway)).status == 502
            await server.peers[0].gone()

    asyncio.run(main())


def test_upstream_that_breaks_off() -> None:
    async def main() -> None:
        async def script(peer: Any) -> None:
            await peer.request()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")

        async with Server(script) as server, running() as gateway:
            put_route(gateway, server, response_rewrite={"filters": [{"regex": "x", "replace": "y"}]})
            response = await get(gateway)
            assert (response.status, is_framed(response)) == (502, True)

    asyncio.run(main())


# --- answers without a body


@pytest.mark.parametrize("config", [{"body": "new"}, {"filters": [{"regex": "h", "replace": "x"}]}])
def test_head_stays_without_a_body(config: dict[str, Any]) -> None:
    response = answered(config, answering(b"hello", *OLD), "HEAD")
    assert (response.status, response.body) == (200, None)
    assert [key for key, _ in response.headers] == [b"X-Old"], (
        "what is said of the old body is not true of the new"
    )


def test_head_with_headers_alone_keeps_the_length() -> None:
    response = answered({"headers": {"X-A": "1"}}, answering(b"hello"), "HEAD")
    assert (response.body, header(response, "Content-Length")) == (None, "5")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_bodiless_status_that_becomes_another(status: str) -> None:
    script = answering(b"", "Content-Length: 77", status=status, close=True)
    response = answered({"status_code": 200}, script)
    assert (response.status, response.body, headers_of(response, "Content-Length")) == (200, b"", [])
    assert answered({"status_code": 200, "body": "new"}, script).body == b"new"
    assert answered({"body": "new"}, script).body is None


@pytest.mark.parametrize("status", [204, 304])
def test_status_that_becomes_a_bodiless_one(status: int) -> None:
    response = answered({"status_code": status}, answering(b"x" * 300_000, "X-A: 1"))
    assert (response.status, response.body) == (status, None)
    assert response.headers == [(b"X-A", b"1")]
    assert answered({"status_code": status, "body": "new"}).body is None


# --- in a batch


def test_bodies_that_grow_are_paid_for_by_the_batch() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, response_rewrite={"body": "x" * 400_000})
            batch = new_batch()
            statuses = [(await get(gateway, batch=batch)).status for _ in range(4)]
            assert statuses == [200, 200, 502, 502]
            assert batch.remaining == (1 << 20) - 800_000

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {"status_code": 199},
        {"status_code": 599},
        {"status_code": "200"},
        {"body": 2},
        {"body": "1", "body_base64": True},
        {"body": "ü", "body_base64": True},
        {"body_base64": True},
        {"headers": {}},
        {"headers": {"X-A": []}},
        {"headers": {"": "a"}},
        {"headers": {"add": ["X-A"]}},
        {"headers": {"set": {"Content-Length": "1"}}},
        {"vars": [["status", "===", 1]]},
        {"vars": ["status", "==", 200]},
        {"filters": []},
        {"filters": [{"regex": "l"}]},
        {"filters": [{"replace": "l"}]},
        {"filters": [{"regex": "", "replace": "m"}]},
        {"filters": [{"regex": "(", "replace": "m"}]},
        {"filters": [{"regex": "(a+)+", "replace": "m"}]},
        {"filters": [{"regex": "a", "replace": "$1"}]},
        {"filters": [{"regex": "l", "replace": "m", "scope": "two"}]},
        {"filters": [{"regex": "l", "replace": "m", "options": "h"}]},
        {"filters": [{"regex": "l", "replace": "m"}], "body": "new"},
        {"invalid_att": "invalid"},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="response-rewrite"):
                put_route(gateway, None, response_rewrite=config)

    asyncio.run(main())


@settings(max_examples=60)
@given(
    method=st.sampled_from(["GET", "HEAD"]),
    status=st.sampled_from(
        ["200 OK", "204 No Content", "206 Partial Content", "304 Not Modified", "500 Oh"]
    ),
    coding=st.sampled_from([None, "gzip", "br", "x"]),
    body=st.binary(max_size=50),
    config=st.fixed_dictionaries(
        {},
        optional={
            "status_code": st.sampled_from([200, 204, 304, 404]),
            "body": st.text(max_size=9),
            "headers": st.just({"set": {"X-A": "$uri$arg_a$http_b"}, "add": ["X-A: $request_uri"]}),
            "filters": st.just([{"regex": ".", "replace": "$0$0", "scope": "global"}]),
        },
    ),
    batched=st.booleans(),
)
def test_every_answer_is_framed(
    method: str, status: str, coding: str | None, body: bytes, config: dict[str, Any], *, batched: bool
) -> None:
    if {"body", "filters"} <= config.keys():
        del config["body"]
    headers = [] if coding is None else [f"Content-Encoding: {coding}"]
    batch = new_batch() if batched else None
    script = answering(body, *headers, status=status)
    response = answered(config, script, method, batch=batch)
    bodiless = method == "HEAD" or response.status in (204, 304)
    assert (response.body is None) == bodiless
