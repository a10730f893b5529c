"""`public-api`: a route to an endpoint that a plugin offers."""

import asyncio
from typing import Any

import pytest

from batchway.model import Request, Response
from batchway.plugins import PLUGINS, Plugin, PublicApi
from batchway.plugins.public_api import PublicApiPlugin
from tests.plugins.gateways import document, get, running


class Offering(Plugin):
    """Offers `POST /api` and `GET /api`."""

    name = "test-offering"
    priority = 1

    @classmethod
    def public_apis(cls, gateway: Any, attributes: Any) -> list[PublicApi]:
        async def handler(request: Request) -> Response:
            return Response(200, "", [], f"{request.method} for {request.path}".encode())

        return [PublicApi(frozenset({"GET", "POST"}), "/api", handler)]


@pytest.fixture(autouse=True)
def offering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLUGINS, Offering.name, Offering)


def access(config: dict[str, Any], path: str, method: str = "POST", query: str = "") -> Response:
    async def main() -> Response:
        async with running(routes={"1": {"uri": "/*", "plugins": {"public-api": config}}}) as gateway:
            return await get(gateway, path, method, query=query)

    return asyncio.run(main())


def test_path_of_the_request_is_the_endpoint_s() -> None:
    assert access({}, "/api").body == b"POST for /api"
    assert access({}, "/api", "GET").body == b"GET for /api"


def test_endpoint_under_another_uri() -> None:
    assert access({"uri": "/api"}, "/somewhere/else").body == b"POST for /somewhere/else"


def test_query_is_no_part_of_the_uri() -> None:
    assert access({}, "/api", query="a=b").body == b"POST for /api"


@pytest.mark.parametrize(
    ("config", "path", "method"),
    [
        ({}, "/other", "POST"),
        ({}, "/api/", "POST"),
        ({}, "/api", "PUT"),
        ({"uri": "/other"}, "/api", "POST"),
    ],
)
def test_endpoint_that_is_not_there(config: dict[str, Any], path: str, method: str) -> None:
    response = access(config, path, method)
    assert (response.status, document(response)) == (404, {"error_msg": "404 Not Found"})


def test_priority_is_that_of_apisix() -> None:
    assert PublicApiPlugin.priority == 501
