"""A JSON-RPC service: procedures in, an app out that answers bytes with bytes, by ASGI or standard I/O."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from copy import copy
from typing import Any, Self, TypeVar, Unpack, overload

import msgspec
from msgspec import UNSET

from batchway.engine import Bounds
from batchway.errors import ConfigError, TooManyItems
from batchway.formats.jsonrpc import NULL_ID, Error, Unreadable
from batchway.rpc import http, stdio
from batchway.rpc.background import Background
from batchway.rpc.connections import Connections
from batchway.rpc.context import Context, Middleware
from batchway.rpc.discover import DISCOVER, Discovery
from batchway.rpc.errors import RequestTooLarge, RpcError
from batchway.rpc.faults import DecodeHook
from batchway.rpc.framing import FramingName
from batchway.rpc.injection import Resolver
from batchway.rpc.method import Tools
from batchway.rpc.origins import Origins
from batchway.rpc.page import Page
from batchway.rpc.procedure import Options, Procedure, make, make_options
from batchway.rpc.registry import Registry
from batchway.rpc.session import Service, Session
from batchway.rpc.settings import LimitOptions, RpcLimits, TooMany, find_profile, settle
from batchway.rpc.teller import Teller
from batchway.rpc.threads import Threads
from batchway.rpc.transport import Answered
from batchway.rpc.watch import Watched, WatchedSession, note_refusal
from batchway.wire import Receive, Scope, Send

F = TypeVar("F", bound=Callable[..., Any])


_NOBODY = Context()
_NO_OPTIONS = {"self", "procedures", "limit_options"}


class RpcApp:
    """A JSON-RPC 2.0 server without a socket, and an ASGI app.

    Closed by the server's shutdown where its lifespan comes through here; else by `aclose`.
    """

    def __init__(
        self,
        procedures: Iterable[type[Procedure] | Procedure] = (),
        *,
        profile: str = "standard",
        delimiter: str = "@",
        middleware: Sequence[Middleware] = (),
        batch_middleware: Sequence[Middleware] = (),
        resolver: Resolver | None = None,
        sequential: bool = False,
        limits: RpcLimits | None = None,
        too_many: TooMany | None = None,
        strict_content_type: bool = False,
        empty_status: int = 204,
        get: bool = False,
        allowed_origins: Collection[str] = (),
        title: str = "JSON-RPC service",
        version: str = "0",
        discover: bool = True,
        page: bool = True,
        debug: bool = False,
        dec_hook: DecodeHook | None = None,
        enc_hook: Callable[[Any], Any] | None = None,
        **limit_options: Unpack[LimitOptions],
    ) -> None:
        """Raises ConfigError naming what is wrong.

        - `profile`: `standard`, or `sajya` for clients of that server.
        - `delimiter`: between the names of a procedure and its method.
        - `middleware` runs around each call, `batch_middleware` around each batch; the first is outermost.
        - `resolver` makes an object of a class: each procedure once, and what is marked with Inject.
        - `sequential`: the calls of a batch run one after another.
        - `limits`, and each of its fields by its own name, as in `RpcApp(max_items=1000)`.
        - `too_many`: the answer to more than `max_items` calls.
        - `strict_content_type`: refuse over HTTP what is not sent as JSON.
        - `empty_status`: over HTTP, where there is nothing to say; 200 or 202 for clients that mind 204.
        - `get`: idempotent methods may be called by GET.
        - `allowed_origins`: pages of these sites may open a WebSocket, and send calls as text, besides
          those of the service's own.
        - `title` and `version` are for the OpenRPC document; `discover`: `rpc.discover` returns it.
        - `page`: GET shows it to people; not without `discover`.
        - `debug`: tell clients of exceptions. Shows them paths and values of yours.
        - `dec_hook`, `enc_hook`: msgspec's, for types that it does not know.
        """
        given = locals()
        self._given = {**limit_options, **{name: given[name] for name in given.keys() - _NO_OPTIONS}}
        found = find_profile(profile)
        self.limits = settle(limits or found.limits, limit_options)
        self.strict_content_type = strict_content_type
        self.empty_status = http.check_empty_status(empty_status)
        self.get = get
        self.origins = Origins(allowed_origins)
        self._dialect = found.dialect
        self._too_many = too_many or found.too_many
        self._threads = Threads(self.limits.threads, self.limits.max_waiting)
        tools = Tools(self._threads, found.word, resolver, dec_hook, self.limits.call_timeout_s)
        self.registry = Registry(delimiter, middleware, tools)
        for procedure in procedures:
            self.registry.add_procedure(make(procedure, resolver))
        self._discovery = Discovery(self.registry, title=title, version=version)
        if discover:
            self.registry.add(DISCOVER, self._discovery.discover, Options(idempotent=True), reserved=True)
        self._page = Page(title, self._discovery.encoded) if page and discover else None
        self._background = Background(
            self._threads,
            max_jobs=self.limits.max_background,
            concurrency=self.limits.background_concurrency,
        )
        encode = msgspec.json.Encoder(enc_hook=enc_hook).encode
        self.connections = Connections(encode)
        """Those of clients that can be notified, while they are open."""
        self._teller = Teller(self._dialect, encode, debug=debug, max_bytes=self.limits.max_reply_bytes)
        self._service = Service(
            registry=self.registry,
            dialect=self._dialect,
            limits=self.limits,
            encode=encode,
            background=self._background,
            middleware=tuple(batch_middleware),
            bounds=Bounds(self.limits.timeout_s, 1 if sequential else self.limits.concurrency),
            teller=self._teller,
        )

    @overload
    def method(self, name: F, /) -> F: ...
    @overload
    def method(self, name: str | None = None, /, **options: Any) -> Callable[[F], F]: ...
    def method(self, name: F | str | None = None, /, **options: Any) -> F | Callable[[F], F]:
        """Add a function under a full name, its own if none is given: `@app.method("foo.bar")`.

        Options as those of `batchway.rpc.method`. Raises ConfigError.
        """
        if callable(name):
            return self.method()(name)
        found = make_options(options)

        def add(function: F) -> F:
            own = name or found.name or getattr(function, "__name__", None)
            if own is None:
                message = f"{function!r} has no name of its own: give one, as in @app.method('foo.bar')"
                raise ConfigError(message)
            self.registry.add(own, function, found)
            return function

        return add

    def with_profile(self, profile: str) -> Self:
        """A copy of this app with the same methods and options, and another profile. Raises ConfigError.

        Procedures are not made anew. What the options leave to the profile is as that has it.
        """
        other = copy(self)
        procedures = self.registry.procedures.values()
        RpcApp.__init__(other, procedures, **{**self._given, "profile": profile})
        for method in self.registry:
            if method.name not in other.registry.methods:
                other.registry.add(method.name, method.function, method.options)
        other.connections = self.connections  # who has this app broadcasts to clients of either
        return other

    def openrpc(self) -> dict[str, Any]:
        """The OpenRPC document of all methods."""
        return self._discovery.document()

    def page(self) -> Page | None:
        """What shows this service to people, None if that is off."""
        return self._page

    async def handle(self, body: bytes | str, context: Context | None = None) -> bytes | None:
        """The response to a body: one call, or a batch of them. None if there is nothing to say.

        Raises nothing of the calls'. Cancelled, it cancels them.
        """
        answered = await self.answer(body, context)
        self.release(answered)
        return answered.body

    async def answer(self, body: bytes | str, context: Context | None = None) -> Answered:
        """As `handle`, for a transport: what was put off by `Context.after` waits for `release`."""
        session = self._open(body, context)
        if isinstance(session, Answered):
            return session
        try:
            found = await session.answer()
        except BaseException:
            self._background.start(session.jobs)
            raise
        return Answered(found, jobs=session.jobs)

    async def stream(
        self, body: bytes | str, send: Callable[[bytes], Awaitable[None]], context: Context | None = None
    ) -> Answered:
        """Send each response as soon as it is there; what is returned has a body only if nothing was sent.

        Raises what `send` raises, and cancels the calls then.
        """
        session = self._open(body, context)
        if isinstance(session, Answered):
            return session
        try:
            await session.stream(send)
        except BaseException:
            self._background.start(session.jobs)
            raise
        return Answered(None, jobs=session.jobs)

    def release(self, answered: Answered) -> None:
        """Begin what the calls have put off until now."""
        if answered.jobs:
            self._background.start(answered.jobs)

    def refuse(self, error: RpcError) -> Answered:
        """The answer to a body that was not looked at."""
        return Answered(bytes(self._teller.failure(error.error, NULL_ID)), error.status)

    async def broadcast(self, method: str, params: Any = UNSET) -> int:
        """Send a notification to all connections, and wait for none. How many are to get it."""
        return self.connections.broadcast(method, params)

    async def serve_stdio(self, framing: FramingName = "auto") -> None:
        """Serve standard input until it ends, and finish what runs; what is printed goes to standard error.

        `framing`: `newline`, or `content-length` as language servers have it; `auto` goes by the client.
        """
        await stdio.serve_stdio(self, framing)

    async def aclose(self) -> None:
        """Wait for background work, `background_grace_s` at most. The app may be used again."""
        await self.finish_background()
        self._threads.close()

    async def finish_background(self) -> None:
        """Return once nothing is left of what was put off; `background_grace_s` is what that may take."""
        await self._background.finish(self.limits.background_grace_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI app."""
        await http.serve(self, scope, receive, send)

    def _open(self, body: bytes | str, context: Context | None) -> Session | Answered:
        """The batch in a body, or the answer if there is none that could run."""
        if isinstance(body, str):
            body = body.encode(errors="surrogatepass")  # which is no UTF-8, and told so
        limits = self.limits
        if len(body) > limits.max_body_bytes:
            too_large = RequestTooLarge()
            note_refusal(context, too_large.error)
            return self.refuse(too_large)
        try:
            batch = self._dialect.decode(body, max_items=limits.max_items, max_depth=limits.max_depth)
        except Unreadable as error:
            return self._refuse_batch(error.error, context)
        except TooManyItems:
            too_many = self._too_many
            return self._refuse_batch(too_many.error, context, in_array=too_many.in_array)
        if isinstance(context, Watched):
            return WatchedSession(self._service, batch, context)
        return Session(self._service, batch, context or _NOBODY)

    def _refuse_batch(self, error: Error, context: Context | None, *, in_array: bool = False) -> Answered:
        note_refusal(context, error)
        refusal = bytes(self._teller.failure(error, NULL_ID))
        return Answered(b"[" + refusal + b"]" if in_array else refusal)
