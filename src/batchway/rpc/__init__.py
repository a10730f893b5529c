"""JSON-RPC 2.0 services: procedures, their validation, and batches of calls."""

from batchway.rpc.app import RpcApp
from batchway.rpc.context import Context, Middleware, Proceed
from batchway.rpc.errors import (
    BatchTimedOut,
    Busy,
    CallTimedOut,
    InternalError,
    InvalidParams,
    LimitExceeded,
    MethodNotFound,
    RequestTooLarge,
    ResponseTooLarge,
    RpcError,
    TooHeavy,
)
from batchway.rpc.inject import Bind, Inject
from batchway.rpc.procedure import Procedure, Proxy, method
from batchway.rpc.settings import RpcLimits, TooMany

__all__ = [
    "BatchTimedOut",
    "Bind",
    "Busy",
    "CallTimedOut",
    "Context",
    "Inject",
    "InternalError",
    "InvalidParams",
    "LimitExceeded",
    "MethodNotFound",
    "Middleware",
    "Procedure",
    "Proceed",
    "Proxy",
    "RequestTooLarge",
    "ResponseTooLarge",
    "RpcApp",
    "RpcError",
    "RpcLimits",
    "TooHeavy",
    "TooMany",
    "method",
]
