"""`mocking`: an answer without an upstream."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway import __version__
from batchway.errors import InvalidResource
from batchway.model import Response
from batchway.plugins.mocking import check_schema, sample
from tests.plugins.gateways import document, get, header, new_batch, running
from tests.plugins.upstreams import headers_of, is_framed, put_route
from tests.upstream.servers import Server


def mocked(config: dict[str, Any], method: str = "GET", **more: Any) -> Response:
    async def main() -> Response:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, mocking=config)
            response = await get(gateway, "/a", method, **more)
            assert server.requests == []
            assert is_framed(response)
            return response

    return asyncio.run(main())


def fields(**properties: Any) -> dict[str, Any]:
    return {"response_schema": {"type": "object", "properties": properties}}


def test_example_with_variables() -> None:
    response = mocked({"response_example": '{"a": "$arg_a", "b": "${remote_addr}"}'}, query="a=1")
    assert (response.status, response.body) == (200, b'{"a": "1", "b": "10.0.0.1"}')
    assert header(response, "Content-Type") == "application/json;charset=utf8"
    assert header(response, "X-Mock-By") == f"batchway/{__version__}"


def test_status_type_and_headers() -> None:
    config = {
        "response_example": "gone",
        "response_status": 410,
        "content_type": "text/plain",
        "with_mock_header": False,
        "response_headers": {"X-Uri": "$uri", "X-Number": 4, "X-Arg": "$arg_a"},
    }
    response = mocked(config, query="a=%0d%0aX-Evil:%201")
    assert (response.status, response.reason, response.body) == (410, "Gone", b"gone")
    assert response.headers == [
        (b"Content-Type", b"text/plain"), (b"X-Uri", b"/a"), (b"X-Number", b"4"), (b"X-Arg", b"X-Evil: 1")
    ]  # fmt: skip


def test_content_type_is_said_once() -> None:
    response = mocked({"response_example": "", "response_headers": {"content-type": "text/x"}})
    assert headers_of(response, "Content-Type") == ["text/x"]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_bodiless(method: str, status: int) -> None:
    response = mocked({"response_example": "hello", "response_status": status}, method)
    assert (response.status, response.body) == (status, None)


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ({"type": "string", "example": "hello"}, b'{"a":"hello"}'),
        ({"type": "integer", "example": 4}, b'{"a":4}'),
        ({"type": "integer", "example": 4.9}, b'{"a":4}'),
        ({"type": "number", "example": 5.5}, b'{"a":5.5}'),
        ({"type": "boolean", "example": True}, b'{"a":true}'),
        ({"type": "object"}, b'{"a":{}}'),
        ({"type": "array"}, b'{"a":[]}'),
        ({"type": "object", "properties": {"b": {"type": "STRING", "example": ""}}}, b'{"a":{"b":""}}'),
    ],
)
def test_schema_with_examples(schema: dict[str, Any], body: bytes) -> None:
    assert mocked(fields(a=schema)).body == body
    assert mocked({**fields(a=schema), "content_type": "text/plain"}).body == body


def test_schema_without_examples() -> None:
    schema = fields(
        text={"type": "string"},
        number={"type": "number"},
        integer={"type": "integer"},
        boolean={"type": "boolean"},
        array={"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
    )
    seen = [document(mocked(schema)) for _ in range(12)]
    for one in seen:
        assert isinstance(one["text"], str)
        assert 1 <= len(one["text"]) <= 10
        assert 0 <= one["number"] < 10_000
        assert 1 <= one["integer"] <= 10_000
        assert one["boolean"] in (True, False)
        assert 1 <= len(one["array"]) <= 3
        assert all(1 <= len(inner) <= 3 for inner in one["array"])
    assert len({one["integer"] for one in seen}) > 1, "it is not always the same"


def test_xml() -> None:
    schema = fields(
        name={"type": "string", "example": "a<b>&c"},
        flag={"type": "boolean", "example": True},
        list={"type": "array", "items": {"type": "integer", "example": 7}},
        inner={"type": "object", "properties": {"x": {"type": "number", "example": 1.5}}},
    )
    response = mocked({**schema, "content_type": "application/xml"})
    root = ElementTree.fromstring(cast(bytes, response.body))  # noqa: S314 - it is ours
    assert root.tag == "data"
    assert [root.findtext(path) for path in ("name", "flag", "list", "inner/x")] == [
        "a<b>&c",
        "true",
        "7",
        "1.5",
    ]


def test_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("batchway.plugins.mocking.asyncio", SimpleNamespace(sleep=sleep))
    mocked({"response_example": "a", "delay": 1.5})
    assert slept == [1.5]


def test_whoever_leaves_during_the_delay_is_not_waited_for() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, None, mocking={"response_example": "a", "delay": 3600})
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(get(gateway), 0.01)

    asyncio.run(main())


def test_authentication_comes_first() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, None, mocking={"response_example": "a"}, key_auth={})
            assert (await get(gateway)).status == 401

    asyncio.run(main())


def test_batch_pays_for_the_bodies() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, None, mocking={"response_example": "x" * 600_000})
            batch = new_batch()
            assert [(await get(gateway, batch=batch)).status for _ in range(3)] == [200, 502, 502]

    asyncio.run(main())


def nested(depth: int, kind: str = "array") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = (
            {"type": "array", "items": schema}
            if kind == "array"
            else {"type": "object", "properties": {"a": schema}}
        )
    return schema


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"response_example": 1},
        {"response_example": "a", "content_type": "image/png"},
        {"response_example": "a", "content_type": ""},
        {"response_example": "a", "delay": -1},
        {"response_example": "a", "response_status": 100},
        {"response_example": "a", "response_headers": {}},
        {"response_example": "a", "response_headers": {"a b": "c"}},
        {"response_example": "a", "response_headers": {"Content-Length": "1"}},
        {"response_schema": {"type": "null"}},
        {"response_schema": {"type": ["string"]}},
        {"response_schema": {"type": "object", "properties": [1]}},
        {"response_schema": {"type": "object", "properties": {"a": 1}}},
        {"response_schema": {"type": "object", "properties": {"a": {"properties": "b"}}}},
        {"response_schema": {"type": "array", "items": [{"type": "string"}]}},
        {"response_schema": nested(33, "object")},
        {"response_schema": nested(9)},
        {"response_example": "a", "unknown": 1},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="mocking"):
                put_route(gateway, None, mocking=config)

    asyncio.run(main())


SCHEMAS = st.recursive(
    st.sampled_from(["string", "number", "integer", "boolean"]).map(lambda kind: {"type": kind}),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(
            lambda found: {"properties": found}, st.dictionaries(st.text(max_size=3), inner, max_size=3)
        )
    ),
    max_leaves=8,
)


def count(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count, inner))


@given(schema=SCHEMAS, seed=st.integers(0, 99))
def test_no_sample_is_larger_than_it_may_be(schema: dict[str, Any], seed: int) -> None:
    random.seed(seed)
    assert count(sample(schema)) <= check_schema(schema)
