"""HTTP/1.1 connection pools, balancing, retries."""

from batchway.upstream.client import Pools, UpstreamClient
from batchway.upstream.pool import Terms
from batchway.upstream.resolver import Resolver

__all__ = ["Pools", "Resolver", "Terms", "UpstreamClient"]
