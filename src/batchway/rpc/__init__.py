"""JSON-RPC 2.0 services: procedures, their validation, and batches of calls."""

from batchway.rpc.app import RpcApp
from batchway.rpc.client import (
    AnswerTimedOut,
    AsyncRpcClient,
    BadAnswer,
    ClientClosed,
    ClientError,
    ConnectionBroken,
    HttpError,
    Redirected,
    Reply,
    RpcClient,
    Unreachable,
)
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
from batchway.rpc.testing import AsyncRpcTestClient, RpcTestClient

__all__ = [
    "AnswerTimedOut",
    "AsyncRpcClient",
    "AsyncRpcTestClient",
    "BadAnswer",
    "BatchTimedOut",
    "Bind",
    "Busy",
    "CallTimedOut",
    "ClientClosed",
    "ClientError",
    "ConnectionBroken",
    "Context",
    "HttpError",
    "Inject",
    "InternalError",
    "InvalidParams",
    "LimitExceeded",
    "MethodNotFound",
    "Middleware",
    "Procedure",
    "Proceed",
    "Proxy",
    "Redirected",
    "Reply",
    "RequestTooLarge",
    "ResponseTooLarge",
    "RpcApp",
    "RpcClient",
    "RpcError",
    "RpcLimits",
    "RpcTestClient",
    "TooHeavy",
    "TooMany",
    "Unreachable",
    "method",
]
