"""Listeners, lifespan, workers, reload: what runs batchway as a process."""

from batchway.server.listener import ListenError
from batchway.server.runtime import make_registry
from batchway.server.start import run

__all__ = ["ListenError", "make_registry", "run"]
