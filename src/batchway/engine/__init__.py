"""Runs the items of a batch: order, concurrency, deadlines."""

from batchway.engine.run import Bounds, PromptTarget, Target, collect, run

__all__ = ["Bounds", "PromptTarget", "Target", "collect", "run"]
