"""Runs the items of a batch: order, concurrency, deadlines."""

from batchway.engine.run import Bounds, Target, run

__all__ = ["Bounds", "Target", "run"]
