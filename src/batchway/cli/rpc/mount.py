"""An ASGI app at a path of a server, and nothing at any other."""

from typing import Any

from batchway.model import json_response
from batchway.wire import App, Receive, Scope, Send, send_response


class Mount:
    """`app` at `path` and below, 404 elsewhere."""

    def __init__(self, app: App, path: str) -> None:
        """`path` begins with a slash."""
        self._app = app
        self._path = path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI app."""
        if scope["type"] == "lifespan" or not self._path:
            await self._app(scope, receive, send)
        elif scope["path"] == self._path or scope["path"].startswith(self._path + "/"):
            await self._app(self._inside(scope), receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send_response(json_response(404, {"error_msg": "there is nothing at this path"}), send)

    def _inside(self, scope: Scope) -> dict[str, Any]:
        """As the app is to see it. `path` stays whole. Source: ASGI, HTTP protocol 2.5."""
        return {**scope, "root_path": scope.get("root_path", "") + self._path}
