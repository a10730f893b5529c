"""The batch endpoint as ASGI middleware: on one path of an app, with the rest of the app behind it."""

from typing import Unpack

from batchway.asgi.endpoint import BatchEndpoint
from batchway.asgi.options import Options
from batchway.asgi.scopes import route_path
from batchway.errors import ConfigError
from batchway.wire import App, Receive, Scope, Send


class BatchMiddleware:
    """Answers batches on `path`; all else goes to `app` untouched, as do the items of a batch.

    For any ASGI app: `app.add_middleware(BatchMiddleware, path="/batch")`, or
    `BatchMiddleware(app, path="/batch")`. `path` is relative to the scope's `root_path`. Middleware
    outside of this sees the batch, middleware inside of it the items. Options are those of `Options`;
    raises ConfigError naming the one that is wrong.
    """

    def __init__(self, app: App, *, path: str = "/batch", **options: Unpack[Options]) -> None:
        if not path.startswith("/"):
            message = "path: expected a path that begins with a slash"
            raise ConfigError(message)
        self.app = app
        self.path = path
        self.endpoint = BatchEndpoint(app, routed=False, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a batch, or hand over to the app."""
        kind = scope["type"]
        if kind == "lifespan" or (kind == "http" and route_path(scope) == self.path):
            await self.endpoint(scope, receive, send)
        else:
            await self.app(scope, receive, send)
