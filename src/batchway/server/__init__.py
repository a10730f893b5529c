"""Listeners, lifespan, reload: what runs batchway as a process."""

from batchway.server.listener import ListenError
from batchway.server.runtime import make_registry, serve

__all__ = ["ListenError", "make_registry", "serve"]
