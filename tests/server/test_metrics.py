"""The export server's app, while the configuration changes behind it."""

import asyncio
from typing import Any

import pytest

from batchway.plugins.prometheus import ExportAttributes
from batchway.server.metrics import MetricsApp
from tests.plugins.gateways import running


async def status(app: MetricsApp, path: str, method: str = "GET") -> int:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    await app(scope, None, send)  # type: ignore[arg-type]  # nothing is received
    found: int = sent[0]["status"]
    return found


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (ExportAttributes(export_uri="/numbers"), 200),
        (ExportAttributes(export_uri="/elsewhere"), 404),
        (None, 404),  # the plugin is off since a reload, and this connection still open
    ],
)
def test_attributes_are_those_of_now(attributes: ExportAttributes | None, expected: int) -> None:
    async def main() -> int:
        async with running() as gateway:
            return await status(MetricsApp(lambda: attributes, gateway), "/numbers")

    assert asyncio.run(main()) == expected
