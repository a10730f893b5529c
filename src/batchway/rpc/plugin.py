"""`json-rpc`: a route that serves a JSON-RPC app of this process, each call counted as a request."""

import asyncio
import time
from typing import Annotated, Any, ClassVar, Literal
from weakref import WeakSet

from msgspec import Meta, Struct

from batchway.errors import ConfigError, InvalidResource
from batchway.model import BatchReport, Request, Response, read_body
from batchway.plugins import Context, Gateway, Plugin
from batchway.plugins.answers import drop_body, pay_for_body
from batchway.plugins.base import Plugins
from batchway.rpc import context as rpc
from batchway.rpc.app import RpcApp
from batchway.rpc.errors import LimitExceeded
from batchway.rpc.http import MIDDLEWARE, WATCH
from batchway.rpc.importing import load_app
from batchway.rpc.inside import ask
from batchway.rpc.watch import Watch


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Which app, by its import path, and the profile to serve it with, instead of its own."""

    app: Annotated[str, Meta(min_length=1, max_length=256)]
    """`myservice:app`."""
    profile: Literal["standard", "sajya"] | None = None


class Attributes(Struct, frozen=True):
    """`plugin_attr.json-rpc`: the apps that routes may name; None: any that can be imported."""

    apps: tuple[str, ...] | None = None


class JsonRpc(Plugin):
    """Answers for an upstream, after authentication and all restrictions."""

    name = "json-rpc"
    priority = 502
    has_calls = True
    Config: ClassVar[type[Struct]] = Config
    Attributes: ClassVar[type[Struct]] = Attributes

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._app = _load(config)
        _apps.add(self._app)

    @classmethod
    def check(cls, config: Any, registry: Plugins) -> None:
        """Raises InvalidResource for an app that cannot be had. One that is not allowed is not imported."""
        allowed = registry.attributes(cls.name).apps
        if allowed is not None and config.app not in allowed:
            message = f"config of plugin json-rpc: {config.app} is not in plugin_attr.json-rpc.apps"
            raise InvalidResource(message)
        _load(config)

    async def access(self, context: Context) -> Response | None:
        """The app's answer."""
        counted = _Counted(context)
        request = context.request
        if request.batch is not None and not isinstance(request.body, bytes):
            context.change(body=await read_body(request.body, request.batch.max_reply_size))
        extensions: dict[str, Any] = {MIDDLEWARE: (counted,)}
        if self.gateway.is_observed:
            context.calls = extensions[WATCH] = Watch()
        began = time.perf_counter()
        response = await ask(self._app, context.request, extensions)
        await pay_for_body(context, response)
        if not counted.calls:
            return await counted.request(response)
        note = self.gateway.note_batch
        if note is not None:
            note(_report(context.request, response, counted, time.perf_counter() - began))
        return response


_apps: WeakSet[RpcApp] = WeakSet()


async def finish_apps() -> None:
    """Wait for what calls have put off, for as long as each app's `background_grace_s` says."""
    await asyncio.gather(*(app.finish_background() for app in list(_apps)))


def _load(config: Config) -> RpcApp:
    """Raises InvalidResource."""
    try:
        return load_app(config.app, config.profile)
    except ConfigError as error:
        message = f"config of plugin json-rpc: {error.message}"
        raise InvalidResource(message) from error


class _Counted:
    """Around each call: asks the plugins that count whether it may run."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.calls = 0
        self.failed = 0

    async def __call__(self, call: rpc.Context, proceed: rpc.Proceed) -> Any:
        self.calls += 1
        self.failed += 1
        refusal = await self._count()
        if refusal is not None:
            raise LimitExceeded(data=_told(refusal))
        result = await proceed()
        self.failed -= 1
        return result

    async def request(self, response: Response) -> Response:
        """`response` to a request without a call that could be counted: it is counted itself."""
        refusal = None
        try:
            refusal = await self._count()
        except BaseException:
            await self._drop(response)
            raise
        if refusal is not None:
            await self._drop(response)
        return refusal or response

    async def _drop(self, response: Response) -> None:
        """Nobody is told what became of the entries: it was the request that was refused."""
        self._context.calls = None
        await drop_body(response)

    async def _count(self) -> Response | None:
        context = self._context
        # What holds for all routes has counted the request already: that pays for its first call.
        also = context.counted if self.calls > 1 else ()
        for plugin in (*also, *context.counting):
            refusal = await plugin.count(context)
            if refusal is not None:
                return refusal
        return None


def _report(request: Request, response: Response, counted: _Counted, took_s: float) -> BatchReport:
    """What became of the calls; of answers that are streamed it is what is known when they begin."""
    received, sent = request.body, response.body
    bytes_in = len(received) if isinstance(received, bytes) else received.length or 0
    bytes_out = len(sent) if isinstance(sent, bytes) else 0
    return BatchReport("jsonrpc", counted.calls, counted.failed, took_s, bytes_in, bytes_out)


def _told(refusal: Response) -> dict[str, int]:
    """What a client is told of a call that was one too many: seconds to wait, where they are known."""
    told = {"status": refusal.status}
    for name, value in refusal.headers:
        if name.lower() == b"retry-after":
            told["retry_after"] = int(value)
    return told
