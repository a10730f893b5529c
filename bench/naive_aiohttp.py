"""The aggregator that one writes in an afternoon: aiohttp on uvloop, gather over one ClientSession.

It speaks APISIX's batch format, as far as a bench needs it. Nothing is bounded or checked.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import uvloop
from aiohttp import ClientSession, TCPConnector, web

SESSION = web.AppKey("session", ClientSession)


def build_app(upstream: str) -> web.Application:
    """The service, in front of the upstream at that base URL."""

    async def session(app: web.Application) -> AsyncIterator[None]:
        connector = TCPConnector(limit=0)
        async with ClientSession(connector=connector) as app[SESSION]:
            yield

    async def batch(request: web.Request) -> web.Response:
        document = await request.json()
        headers = document.get("headers", {})

        async def run(item: dict[str, Any]) -> dict[str, Any]:
            async with request.app[SESSION].request(
                item.get("method", "GET"),
                upstream + item["path"],
                params=item.get("query"),
                headers=headers | item.get("headers", {}),
                data=item.get("body"),
            ) as response:
                return {
                    "status": response.status,
                    "reason": response.reason,
                    "headers": dict(response.headers),
                    "body": await response.text(),
                }

        replies = await asyncio.gather(*map(run, document["pipeline"]))
        return web.Response(text=json.dumps(replies), content_type="application/json")

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_post("/apisix/batch-requests", batch)
    return app


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    arguments = parser.parse_args()
    web.run_app(
        build_app(arguments.upstream),
        host="127.0.0.1",
        port=arguments.port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
