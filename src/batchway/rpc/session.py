"""One batch on its way through an app: its calls as items for the engine, their results as responses."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

from msgspec import Raw, Struct

from batchway.engine import Bounds, collect, run
from batchway.errors import BatchwayError
from batchway.formats.jsonrpc import NO_ID, NULL_ID, Batch, Call, Dialect, Encode, Malformed
from batchway.model import Ready, Reply
from batchway.rpc import prompt
from batchway.rpc.background import Background, Job
from batchway.rpc.context import Context, Middleware
from batchway.rpc.errors import (
    BatchTimedOut,
    InvalidParams,
    MethodNotFound,
    ResponseTooLarge,
    RpcError,
    TooHeavy,
    Unfit,
)
from batchway.rpc.method import Method, ProxyMethod, around, read_params
from batchway.rpc.prompt import Response, Started
from batchway.rpc.registry import Registry
from batchway.rpc.settings import RpcLimits
from batchway.rpc.teller import Teller

Send = Callable[[bytes], Awaitable[None]]

MIDDLEWARE_GRACE_S = 1.0
"""What middleware around a batch may take beyond the batch's time, to have its say on what came late."""


class Service(Struct, frozen=True):
    """What all batches of an app share."""

    registry: Registry
    dialect: Dialect
    limits: RpcLimits
    encode: Encode
    background: Background
    middleware: Sequence[Middleware]
    """Around each batch."""
    bounds: Bounds
    teller: Teller


class Session:
    """Answers one batch. `jobs` is what its calls have put off until it is answered."""

    def __init__(self, service: Service, batch: Batch, caller: Context) -> None:
        self.jobs: list[Job] = []
        self._service = service
        self._batch = batch
        self._caller = caller
        self._teller = service.teller
        self._room_held = self._room_sent = service.limits.max_response_bytes
        self._small = min(prompt.SMALL, service.limits.max_reply_bytes)
        self._context: Context | None = None

    @property
    def context(self) -> Context:
        """The caller with this batch."""
        if self._context is None:
            deadline = asyncio.get_running_loop().time() + self._service.limits.timeout_s
            self._context = self._caller.of_batch(self._batch.entries, deadline)
        return self._context

    # --- the batch

    async def answer(self) -> bytes | None:
        """The response body, None if there is nothing to say. Cancelled, it cancels the calls."""
        bounds = self._service.bounds
        if not self._service.middleware:
            return self._body(await self._collect(bounds))
        found: list[list[Any]] = []

        async def innermost(context: Context) -> None:
            found.append(await self._collect(Bounds(context.remaining_s, bounds.concurrency)))

        try:
            await self._surround(innermost)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told as a call's own, and logged there
            return self._refusal(error)
        return self._body(found[0])

    async def _surround(self, innermost: Callable[[Context], Awaitable[None]]) -> None:
        """Run `innermost` with all middleware around it. Raises what that raises, BatchTimedOut."""
        has_begun = has_run = False

        async def once(context: Context) -> None:
            nonlocal has_begun, has_run
            if has_begun:
                message = "middleware around a batch has run it twice"
                raise RuntimeError(message)
            has_begun = True
            await innermost(context)
            has_run = True

        try:
            async with asyncio.timeout_at(self.context.deadline + MIDDLEWARE_GRACE_S) as scope:
                await around(self._service.middleware, self.context, once)()
        except TimeoutError:
            if not scope.expired():
                raise
            raise BatchTimedOut from None
        if not has_run:
            message = "middleware around a batch has not run it, and raised nothing"
            raise RuntimeError(message)

    async def _collect(self, bounds: Bounds) -> list[Any]:
        return await collect(self._items(), self._target(), bounds, self._teller.tell_unanswered)

    async def stream(self, send: Send) -> None:
        """Send each response as soon as it is there. What `send` raises cancels the calls."""
        lost: list[Exception] = []

        async def send_one(response: bytes) -> None:
            try:
                await send(response)
            except Exception as error:
                lost.append(error)
                raise

        async def innermost(context: Context) -> None:
            await self._run_all(send_one, Bounds(context.remaining_s, self._service.bounds.concurrency))

        try:
            await self._surround(innermost)
        except (Exception, SystemExit) as error:
            if lost:
                raise
            refusal = self._refusal(error)
            if refusal is not None:
                await send(refusal)

    async def _run_all(self, send: Send, bounds: Bounds) -> None:
        replies: AsyncGenerator[Reply[Response], None]
        replies = run(self._items(), self._target(), bounds, own_tasks=True)
        async with aclosing(replies):
            async for reply in replies:
                entry, found = self._batch.entries[reply.index], reply.result
                if isinstance(found, BatchwayError):
                    found = self._teller.tell_unanswered(entry, found)
                if found is not None:
                    await send(bytes(self._encoded(entry, found)))

    def _items(self) -> Sequence[Any]:
        """The entries; those that `max_weight` leaves no room for are answered already."""
        room = self._service.limits.max_weight
        if room is None:
            return self._batch.entries
        items: list[Any] = []
        for entry in self._batch.entries:
            method = self._find(entry)
            weight = 1 if method is None else method.weight
            if weight <= room:
                room -= weight
                items.append(entry)
            else:
                items.append(Ready(self._teller.tell(entry, TooHeavy())))
        return items

    def _body(self, responses: Sequence[Response]) -> bytes | None:
        dialect, single = self._service.dialect, self._batch.single
        body: bytes | None = b""
        try:
            body = dialect.encode(responses, self._service.encode, single=single)
            is_whole = body is None or len(body) <= self._service.limits.max_response_bytes
        except ValueError:  # an integer of more digits than Python writes
            is_whole = False
        if is_whole:
            return body
        fitting = [
            found if found is None else self._encoded(entry, found)
            for entry, found in zip(self._batch.entries, responses, strict=True)
        ]
        return dialect.encode(fitting, self._service.encode, single=single)

    def _refusal(self, error: BaseException) -> bytes | None:
        """The body for a batch that failed whole: one error, unless nobody waits for any answer."""
        entries, single = self._batch.entries, self._batch.single
        if not isinstance(error, RpcError):
            error = self._teller.internal_error(error, "")
        waiting = [entry for entry in entries if entry.id is not NO_ID]
        responses = []
        if waiting:
            responses = [self._teller.failure(error.error, waiting[0].id if single else NULL_ID)]
        return self._service.dialect.encode(responses, self._service.encode, single=single or bool(waiting))

    # --- its calls

    def _target(self) -> Callable[[Call], Started]:
        """What starts the calls. Not kept, as it keeps the session."""
        return prompt.target(
            {} if self._caller.middleware else self._service.registry.prompts,
            self._service.encode,
            self._service.dialect.answer,
            otherwise=self._start,
            failed=self._failed,
            large=self._large,
            small=self._small,
        )

    def _find(self, entry: Call | Malformed) -> Method | ProxyMethod | None:
        if entry.method is None:
            return None
        registry = self._service.registry
        return registry.methods.get(entry.method) or registry.find_proxy(entry.method)

    def _start(self, entry: Call | Malformed) -> Started:
        """The response to an entry that is no prompt call, or what has yet to run for it."""
        if isinstance(entry, Malformed):
            return self._teller.tell(entry, Unfit())
        method = self._find(entry)
        if method is not None:
            return self._run(method, entry)
        try:
            read_params(entry.params)
        except Unfit as error:
            return self._teller.tell(entry, error)
        if self._caller.middleware:  # to whoever counts calls, this is one, too
            return self._run_unknown(entry)
        return self._teller.tell(entry, MethodNotFound())

    async def _run_unknown(self, call: Call) -> Response:
        context = self.context.of_call(call, 1, self._service.background)

        async def innermost(_: Context) -> None:
            raise MethodNotFound

        try:
            await around(self._caller.middleware, context, innermost)()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the client or to the log
            return self._teller.tell(call, error)
        return self._teller.tell(call, MethodNotFound())

    async def _run(self, method: Method | ProxyMethod, call: Call) -> Response:
        background = self._service.background
        context = self.context.of_call(call, method.weight, background)
        try:
            result = await method.run(context)
            response = None if call.id is NO_ID else self._respond(call, result)
        except prompt.FAILURES as error:
            background.forget(context.jobs)
            if isinstance(error, asyncio.CancelledError) and _is_to_stop():
                raise
            return self._teller.tell(call, error, method.name)
        except BaseException:
            background.forget(context.jobs)
            raise
        self.jobs += context.jobs
        return response

    def _failed(self, call: Call, error: BaseException | None) -> Response:
        """The response to a prompt call that failed; if there is no error, its params are wrong."""
        if error is None:
            try:
                self._service.registry.methods[call.method].binder.take_apart(call.params)
                error = InvalidParams()
            except Exception as found:  # noqa: BLE001 - a hook of the service's may raise anything
                error = found
        return self._teller.tell(call, error, call.method)

    # --- their responses

    def _respond(self, call: Call, result: Any) -> Response:
        encoded = Raw(self._service.encode(result))
        if len(encoded) > self._small:
            return self._large(call, encoded)
        return self._service.dialect.answer(encoded, call.id)

    def _large(self, call: Call, result: Raw) -> Response:
        """The response with a result, if there is room to hold it until all are there."""
        size = len(result)
        if size > min(self._room_held, self._service.limits.max_reply_bytes):
            return self._teller.tell(call, ResponseTooLarge())
        self._room_held -= size
        return self._service.dialect.answer(result, call.id)

    def _encoded(self, entry: Call | Malformed, response: Struct | Raw) -> Raw:
        """The bytes of a response, or of what is said where there is no room to send it."""
        try:
            encoded = Raw(self._service.encode(response))
        except ValueError as error:
            return self._instead(entry, self._teller.internal_error(error, ""))
        size = len(encoded)
        if size > min(self._room_sent, self._service.limits.max_reply_bytes):
            return self._instead(entry, ResponseTooLarge())
        self._room_sent -= size
        return encoded

    def _instead(self, entry: Call | Malformed, error: RpcError) -> Raw:
        """What is said in place of a response that cannot be sent."""
        # A notification has a response where its params made it no call.
        return self._teller.failure(error.error, NULL_ID if entry.id is NO_ID else entry.id)


def _is_to_stop() -> bool:
    """Whether somebody has cancelled this task. If not, the call has met what was cancelled elsewhere."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
