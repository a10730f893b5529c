"""`batch-requests`: an endpoint that takes a batch apart and runs every item through the gateway.

Source: apisix/plugins/batch-requests.lua.
"""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from batchway import endpoint
from batchway.model import Limits, Request, Response
from batchway.plugins.base import Gateway, Plugin, PublicApi


class BatchRequestsAttributes(Struct, frozen=True):
    """`plugin_attr.batch-requests`."""

    uri: Annotated[str, Meta(pattern="^/")] = "/apisix/batch-requests"


class BatchRequests(Plugin):
    """Offers the batch endpoint as a public API."""

    name = "batch-requests"
    priority = 4010
    Metadata: ClassVar[type[Struct]] = Limits
    Attributes: ClassVar[type[Struct]] = BatchRequestsAttributes

    @classmethod
    def public_apis(cls, gateway: Gateway, attributes: BatchRequestsAttributes) -> list[PublicApi]:
        """`POST /apisix/batch-requests`, or another URI from `plugin_attr`."""

        async def run_batch(request: Request) -> Response:
            limits = gateway.metadata(cls.name)
            return await endpoint.answer(request, gateway.handle, limits, note=gateway.note_batch)

        return [PublicApi(frozenset({"POST"}), attributes.uri, run_batch)]
