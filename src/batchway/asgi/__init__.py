"""The batch endpoint inside an ASGI app: its items reach the app without a socket."""

from batchway.asgi.endpoint import BatchEndpoint
from batchway.asgi.middleware import BatchMiddleware
from batchway.model import Limits

__all__ = ["BatchEndpoint", "BatchMiddleware", "Limits"]
