"""The batch endpoint as an ASGI app: one POST in, an app called for every item, one response out."""

import asyncio
import contextlib
import logging
from typing import Unpack

from batchway import endpoint
from batchway.asgi.call import Call, Reply
from batchway.asgi.calls import Calls
from batchway.asgi.options import Options, settle
from batchway.asgi.outer import lowered, read_request
from batchway.asgi.scopes import Scopes
from batchway.errors import BatchwayError, InternalError, MethodRefused
from batchway.model import Budget, ClientGone, Request, Response, error_response, json_response, read_body
from batchway.wire import App, Receive, Scope, Send, WireBody, send_response

log = logging.getLogger("batchway.asgi")

_CLIENT_GONE = 499  # nginx's number; for the logs of what stands outside, the client hears nothing


class BatchEndpoint:
    """ASGI app that answers a batch by calling `app` for each item.

    For a route of its own, `Route("/batch", BatchEndpoint(app))`: the items take the whole way through
    `app`, its middleware and its router. BatchMiddleware is the other way to have one. Options are those
    of `Options`; raises ConfigError naming the one that is wrong.

    A client that leaves takes its items with it. What an app does after its response is whole is not
    the batch's: it goes on, until `aclose`.
    """

    def __init__(self, app: App, *, routed: bool = True, **options: Unpack[Options]) -> None:
        """`routed`: whether it is the app's own router that leads here, through all of `app`."""
        self.app = app
        self.settings = settle(options)
        self._routed = routed
        self._calls = Calls(
            app, max_calls=self.settings.max_calls, grace_s=self.settings.background_grace_s
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a batch; the lifespan is the app's."""
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await self.app(scope, self._calls.until_shutdown(receive), send)
            case _:
                await send({"type": "websocket.close", "code": 1000})

    async def aclose(self) -> None:
        """Wait for background work, `background_grace_s` at most, then cancel it.

        Comes by itself at the server's shutdown where the lifespan comes through here. A router does
        not send it to its routes.
        """
        await self._calls.finish()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            response = error_response(MethodRefused(f"method {scope['method']} is not allowed"))
            response.headers.append((b"allow", b"POST"))
            await send_response(lowered(response), send)
            return
        # A body that no header announces is read too: HTTP/2 has them.
        body = WireBody(scope["headers"], receive, unannounced=True)
        try:
            response = await self._answer_while_heard(scope, body)
        except ClientGone:
            # Whatever middleware stands outside still waits for some response.
            response = json_response(_CLIENT_GONE, {"error_msg": "client closed request"})
            with contextlib.suppress(OSError):
                await send_response(lowered(response), send)
        else:
            await send_response(lowered(response), send)

    async def _answer_while_heard(self, scope: Scope, body: WireBody) -> Response:
        """The response to a batch. Raises ClientGone as soon as the client has left."""
        work = asyncio.current_task()
        watch = asyncio.get_running_loop().create_task(body.watch(work))
        try:
            return await self._answer(scope, body)
        except asyncio.CancelledError:
            if not body.gone or (work is not None and work.uncancel()):
                raise
            raise ClientGone from None
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _answer(self, scope: Scope, body: WireBody) -> Response:
        scopes = Scopes(scope, protected=self.settings.protected, routed=self._routed)

        async def call(item: Request) -> Response:
            return await self._call(item, scopes)

        try:
            request = read_request(scope, body)
            return await endpoint.answer(request, call, self.settings.limits)
        except BatchwayError as error:
            return error_response(error)
        except ClientGone:
            raise
        except Exception:
            log.exception("the batch failed")
            return error_response(InternalError())

    async def _call(self, item: Request, scopes: Scopes) -> Response:
        limits = self.settings.limits
        body = await read_body(item.body, limits.max_body_size)
        budget = item.batch or Budget(
            max_reply_size=limits.max_reply_size, max_response_size=limits.max_response_size
        )
        reply: Reply = asyncio.get_running_loop().create_future()
        call = Call(scopes.make(item, len(body)), body, budget, reply)
        await self._calls.start(call)
        try:
            result = await reply
        except asyncio.CancelledError:
            if reply.cancelled():  # else the app has done its part, and may finish in peace
                call.discard()
            raise
        if isinstance(result, BatchwayError):
            raise result
        return result
