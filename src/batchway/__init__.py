"""batchway: one request in, many requests run, one response out."""

__version__ = "0.1.0"
