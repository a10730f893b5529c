"""Listeners, lifespan, workers, reload: what runs batchway as a process."""

from batchway.server.from_settings import make_registry
from batchway.server.listener import ListenError
from batchway.server.start import run

__all__ = ["ListenError", "make_registry", "run"]
