"""Clients of JSON-RPC services: one call, notifications, batches, over HTTP."""

from batchway.rpc.client.batch import AsyncBatch, SyncBatch
from batchway.rpc.client.calls import Reply
from batchway.rpc.client.clients import AsyncRpcClient, RpcClient
from batchway.rpc.client.errors import (
    AnswerTimedOut,
    BadAnswer,
    ClientClosed,
    ClientError,
    ConnectionBroken,
    HttpError,
    Redirected,
    Unreachable,
)
from batchway.rpc.client.settings import ClientOptions, ClientSettings

__all__ = [
    "AnswerTimedOut",
    "AsyncBatch",
    "AsyncRpcClient",
    "BadAnswer",
    "ClientClosed",
    "ClientError",
    "ClientOptions",
    "ClientSettings",
    "ConnectionBroken",
    "HttpError",
    "Redirected",
    "Reply",
    "RpcClient",
    "SyncBatch",
    "Unreachable",
]
