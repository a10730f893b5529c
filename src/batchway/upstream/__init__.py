"""HTTP/1.1 connection pools, balancing, health checks, retries."""

from batchway.upstream.client import UpstreamClient
from batchway.upstream.health import UpstreamHealth
from batchway.upstream.keys import Lookup
from batchway.upstream.pool import Terms
from batchway.upstream.pools import Pools
from batchway.upstream.reach import check_certificate
from batchway.upstream.resolver import Resolver, is_address

__all__ = [
    "Lookup",
    "Pools",
    "Resolver",
    "Terms",
    "UpstreamClient",
    "UpstreamHealth",
    "check_certificate",
    "is_address",
]
