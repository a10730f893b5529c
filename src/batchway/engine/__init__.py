"""Runs the items of a batch: order, concurrency, deadlines."""
