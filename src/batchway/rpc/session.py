"""One batch on its way through an app: its calls as items for the engine, their results as responses."""

import asyncio
import secrets
import traceback
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from batchway.engine import Bounds, collect
from batchway.errors import BatchwayError, DeadlineExceeded
from batchway.formats.jsonrpc import NO_ID, NULL_ID, Batch, Call, Dialect, Encode, Malformed
from batchway.model import Ready
from batchway.rpc.background import Background, Job
from batchway.rpc.context import Context, Middleware
from batchway.rpc.errors import (
    BatchTimedOut,
    InternalError,
    MethodNotFound,
    ResponseTooLarge,
    RpcError,
    TooHeavy,
    Unfit,
)
from batchway.rpc.method import Method, ProxyMethod, around, read_params
from batchway.rpc.registry import Registry
from batchway.rpc.settings import RpcLimits

Item = Call | Malformed | Ready[bytes]

_SMALL = 4096  # bytes: responses up to this size are counted when all are there

log = structlog.get_logger(__name__)


class Service(Struct, frozen=True):
    """What all batches of an app share."""

    registry: Registry
    dialect: Dialect
    limits: RpcLimits
    encode: Encode
    background: Background
    middleware: Sequence[Middleware]
    """Around each batch."""
    sequential: bool
    debug: bool


class Session:
    """Answers one batch. `jobs` is what its calls have put off until it is answered."""

    def __init__(self, service: Service, batch: Batch, caller: Context) -> None:
        self.jobs: list[Job] = []
        self._service = service
        self._batch = batch
        self._caller = caller
        self._methods = service.registry.methods
        self._dialect = service.dialect
        self._answer = service.dialect.answer
        self._encode = service.encode
        self._guarded = bool(caller.middleware)
        self._drive = _driver()
        self._spent = 0
        self._context: Context | None = None

    # --- the batch

    async def answer(self) -> bytes | None:
        """The response body. Cancelled, it cancels the calls."""
        if not self._service.middleware:
            return self._whole(await self._collect())
        found: list[list[bytes | BatchwayError]] = []

        async def innermost(_: Context) -> None:
            found.append(await self._collect())

        try:
            await around(self._service.middleware, self.context, innermost)()
            (responses,) = found
        except Exception as error:  # noqa: BLE001 - told as every other, and logged there
            return self._refuse(error)
        return self._whole(responses)
