"""`batch-requests`: the endpoint as a plugin's public API."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from batchway.errors import BatchRefused, BatchTooLarge, NestedBatch, TooManyItems
from batchway.model import Budget, Headers, Limits, Origin, Request, Response
from batchway.plugins import Gateway, PublicApi, Registry


class FakeGateway:
    """Answers every item with its path, and `metadata` with `limits`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.note_batch = None
        self.items: list[Request] = []

    async def handle(self, request: Request) -> Response:
        self.items.append(request)
        return Response(200, "OK", [], request.path.encode())

    def metadata(self, name: str) -> Any:
        assert name == "batch-requests"
        return self.limits


def api_of(gateway: FakeGateway, attributes: dict[str, Any] | None = None) -> PublicApi:
    registry = Registry(["batch-requests"], {"batch-requests": attributes or {}})
    (api,) = registry.public_apis(cast(Gateway, gateway))  # it asks for no more than what is there
    return api


def batch(*paths: str, **more: Any) -> bytes:
    return msgspec.json.encode({"pipeline": [{"path": path} for path in paths], **more})


def post(gateway: FakeGateway, body: bytes, budget: Budget | None = None) -> Any:
    request = Request("POST", "/b", "", Headers(), body, Origin("10.0.0.1", host="a.test"), budget)

    async def main() -> Response:
        return await api_of(gateway).handler(request)

    response = asyncio.run(main())
    assert response.status == 200
    assert isinstance(response.body, bytes)
    return msgspec.json.decode(response.body)


def test_uri_and_method() -> None:
    api = api_of(FakeGateway())
    assert (api.uri, api.methods) == ("/apisix/batch-requests", frozenset({"POST"}))
    assert api_of(FakeGateway(), {"uri": "/batch"}).uri == "/batch"


def test_items_go_through_the_gateway() -> None:
    gateway = FakeGateway()
    replies = post(gateway, batch("/1", "/2", "/3"))
    assert [reply["body"] for reply in replies] == ["/1", "/2", "/3"]
    assert [item.path for item in gateway.items] == ["/1", "/2", "/3"]
    assert {item.origin.client for item in gateway.items} == {"10.0.0.1"}
    budgets = {id(item.batch) for item in gateway.items}
    assert len(budgets) == 1, "the items share one budget"
    assert gateway.items[0].batch is not None


def test_limits_are_those_of_the_metadata_at_that_moment() -> None:
    gateway = FakeGateway(Limits(max_pipeline_items=2))
    post(gateway, batch("/1", "/2"))
    with pytest.raises(TooManyItems):
        post(gateway, batch("/1", "/2", "/3"))
    gateway.limits = Limits(max_body_size=10)
    with pytest.raises(BatchTooLarge):
        post(gateway, batch("/1"))
    gateway.limits = Limits()
    assert len(post(gateway, batch("/1", "/2", "/3"))) == 3


def test_refused_batch_runs_nothing() -> None:
    gateway = FakeGateway()
    for body in (b"", b"{", b"[]", b'{"pipeline":[]}', batch("/1", "/a b")):
        with pytest.raises(BatchRefused):
            post(gateway, body)
    assert gateway.items == []


def test_batch_inside_a_batch_is_refused() -> None:
    gateway = FakeGateway()
    with pytest.raises(NestedBatch):
        post(gateway, batch("/1"), Budget(max_reply_size=1, max_response_size=1))
    assert gateway.items == []
