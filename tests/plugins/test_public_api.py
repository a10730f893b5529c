"""`public-api`: a route to an endpoint that a plugin offers."""

import asyncio
from typing import Any

import pytest

from batchway.errors import RouteNotFound
from batchway.model import Headers, Origin, Request, Response
from batchway.plugins import Handler, Registry
from batchway.plugins.public_api import PublicApiPlugin


class FakeGateway:
    """Offers `POST /api` and `GET /api`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def handle(self, request: Request) -> Response:
        raise AssertionError

    def metadata(self, name: str) -> Any:
        raise AssertionError

    def public_api(self, method: str, uri: str) -> Handler | None:
        self.asked.append((method, uri))

        async def handler(request: Request) -> Response:
            return Response(200, "", [], f"{method} {uri} for {request.path}".encode())

        return handler if (method, uri) in (("POST", "/api"), ("GET", "/api")) else None


def access(config: dict[str, Any], path: str, method: str = "POST", query: str = "") -> Response:
    plugin = Registry().build("public-api", config, FakeGateway())
    request = Request(method, path, query, Headers(), b"", Origin(""))
    response = asyncio.run(plugin.access(request))
    assert response is not None, "it has no other answer than its own"
    return response


def test_path_of_the_request_is_the_endpoint_s() -> None:
    assert access({}, "/api").body == b"POST /api for /api"
    assert access({}, "/api", "GET").body == b"GET /api for /api"


def test_endpoint_under_another_uri() -> None:
    assert access({"uri": "/api"}, "/somewhere/else").body == b"POST /api for /somewhere/else"


def test_query_is_no_part_of_the_uri() -> None:
    assert access({}, "/api", query="a=b").body == b"POST /api for /api"


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
    with pytest.raises(RouteNotFound) as caught:
        access(config, path, method)
    assert (caught.value.status, caught.value.message) == (404, "404 Not Found")


def test_priority_is_that_of_apisix() -> None:
    assert PublicApiPlugin.priority == 501
