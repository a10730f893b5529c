"""`public-api`: makes an endpoint that a plugin offers reachable through a route."""

from typing import ClassVar

from msgspec import Struct

from batchway.errors import RouteNotFound
from batchway.model import Response
from batchway.plugins.answers import pay_for_body
from batchway.plugins.base import Plugin
from batchway.plugins.context import Context


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`uri`: the endpoint's own URI, where the route has another one."""

    uri: str | None = None


class PublicApiPlugin(Plugin):
    """Hands the request to the endpoint; 404 if no enabled plugin offers it."""

    name = "public-api"
    priority = 501
    Config: ClassVar[type[Struct]] = Config

    async def access(self, context: Context) -> Response | None:
        """The endpoint's answer."""
        request = context.request
        uri = self.config.uri or request.path
        handler = self.gateway.public_api(request.method, uri)
        if handler is None:
            message = "404 Not Found"
            raise RouteNotFound(message)
        response = await handler(request)
        await pay_for_body(context, response)
        return response
