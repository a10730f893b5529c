"""Clients for tests of a service: they ask an app as it is, with no socket and no server."""

import asyncio
import contextvars
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from batchway.rpc.app import RpcApp
from batchway.rpc.client.answers import Said, settle
from batchway.rpc.client.caller import AsyncCaller, Caller
from batchway.rpc.client.calls import PendingCall, body_of
from batchway.rpc.client.errors import AnswerTimedOut, ClientError
from batchway.rpc.client.settings import Hooks
from batchway.rpc.context import Context
from batchway.rpc.faults import DecodeHook

T = TypeVar("T")


class AsyncRpcTestClient(AsyncCaller):
    """Asks an app, in the event loop that runs. Used with `async with`, it closes the app.

    All goes through JSON, as from a client; what is put off by `Context.after` is done before an answer
    is returned. `headers`, `state` and `client` are those of the next call: they may be changed.
    """

    def __init__(
        self,
        app: RpcApp,
        *,
        headers: Mapping[str, str] | None = None,
        state: Mapping[str, Any] | None = None,
        client: str = "test",
        delimiter: str = "@",
        dec_hook: DecodeHook | None = None,
    ) -> None:
        """`client`: the address that the calls seem to come from. `dec_hook`: for `result_type`."""
        super().__init__(Hooks(dec_hook=dec_hook), delimiter)
        self.app = app
        self.headers = dict(headers or {})
        self.state = dict(state or {})
        self.client = client

    async def _ask(self, call: PendingCall, timeout_s: float | None) -> None:
        said = await self._ask_raw(call.body, timeout_s)
        settle([call], Said(said))

    async def _ask_all(self, calls: Sequence[PendingCall], timeout_s: float | None) -> ClientError | None:
        return settle(calls, Said(await self._ask_raw(body_of(calls, as_array=True), timeout_s)))

    async def _ask_raw(self, body: bytes, timeout_s: float | None) -> bytes | None:
        context = Context(headers=self.headers, client=self.client, transport="test", state=self.state)
        try:
            async with asyncio.timeout(timeout_s):
                said = await self.app.handle(body, context)
        except TimeoutError:
            message = f"no answer within {timeout_s:g} s"
            raise AnswerTimedOut(message) from None
        await self.app.finish_background()
        return said

    async def aclose(self) -> None:
        """Close the app."""
        await self.app.aclose()


class RpcTestClient(Caller):
    """Asks an app, from a test that is not async. Used with `with`, it closes the app.

    All goes through JSON, as from a client; what is put off by `Context.after` is done before an answer
    is returned. Where an event loop runs, use AsyncRpcTestClient.
    """

    def __init__(
        self,
        app: RpcApp,
        *,
        headers: Mapping[str, str] | None = None,
        state: Mapping[str, Any] | None = None,
        client: str = "test",
        delimiter: str = "@",
        dec_hook: DecodeHook | None = None,
    ) -> None:
        """`client`: the address that the calls seem to come from. `dec_hook`: for `result_type`."""
        self.asynchronous = AsyncRpcTestClient(
            app, headers=headers, state=state, client=client, delimiter=delimiter, dec_hook=dec_hook
        )
        # Not a method of this one: the circle would leave it to the collector.
        self._loop = _Loop()
        super().__init__(self.asynchronous, self._loop.run)
        weakref.finalize(self, self._loop.close)  # a test need not close its client

    @property
    def app(self) -> RpcApp:
        """The service."""
        return self.asynchronous.app

    @property
    def headers(self) -> dict[str, str]:
        """Those of the next call; may be changed."""
        return self.asynchronous.headers

    @property
    def state(self) -> dict[str, Any]:
        """What the next call finds in `Context.state`; may be changed."""
        return self.asynchronous.state

    def close(self) -> None:
        """Close the app, and the loop that it ran in."""
        super().close()
        self._loop.close()


class _Loop:
    """One loop for all calls, which it runs in the thread that makes them."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, with the context variables of the test."""
        if _has_loop():
            work.close()
            message = "an event loop runs here: use AsyncRpcTestClient"
            raise RuntimeError(message)
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work, context=contextvars.copy_context())

    def close(self) -> None:
        """Close it, also where another one runs: a client may be forgotten anywhere."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if _has_loop():
            runner.get_loop().close()  # which is all that can be done without running it
        else:
            runner.close()


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
