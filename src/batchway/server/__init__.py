"""Listeners, lifespan, reload: what runs batchway as a process."""

from batchway.server.listener import ListenError
from batchway.server.runtime import serve

__all__ = ["ListenError", "serve"]
