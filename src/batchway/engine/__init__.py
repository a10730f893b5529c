"""Runs the items of a batch: order, concurrency, deadlines."""

from batchway.engine.run import PromptTarget, Target, collect, run
from batchway.engine.running import Bounds

__all__ = ["Bounds", "PromptTarget", "Target", "collect", "run"]
