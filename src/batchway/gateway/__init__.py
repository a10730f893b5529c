"""Router, plugin pipeline, upstreams: the target behind the data plane."""

from batchway.gateway.app import GatewayApp, Trust
from batchway.gateway.forward import Forwarding
from batchway.gateway.gateway import Gateway

__all__ = ["Forwarding", "Gateway", "GatewayApp", "Trust"]
