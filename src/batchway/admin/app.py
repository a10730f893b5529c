"""The Admin API as an ASGI app: HTTP in, calls of the generic resource out.

Source: apisix/admin/init.lua and resource.lua (3.x), for paths, statuses and the shapes of answers.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import parse_qsl

import structlog
from msgspec import Struct

from batchway.admin import audit, call, plugins, schemas
from batchway.admin.access import Access, FindHolder, KeyRefused, check_role
from batchway.admin.call import READS, Call, Message, MethodNotAllowed, Receive, Unknown
from batchway.admin.kinds import Kind, check_id
from batchway.admin.listing import BadArgument, selection
from batchway.admin.references import ParentMissing
from batchway.admin.resource import Answer, NotFound, Resources, no_holder
from batchway.admin.validation import validate, validate_all
from batchway.errors import BatchwayError, InternalError
from batchway.model import REASONS, ClientGone, Response, error_response, json_response
from batchway.store.base import ReadOnly, Store

Send = Callable[[Message], Awaitable[None]]
Args = dict[str, str]

log = structlog.get_logger(__name__)

_CHECKS = (["schema", "validate"], ["configs", "validate"])
"""Paths that nothing is written under."""


class CannotReload(BatchwayError):
    """There is no configuration that could be read again."""

    status = 503
    code = "cannot_reload"

    def __init__(self, message: str = "there is no configuration to read again") -> None:
        super().__init__(message)


async def _no_reload() -> None:
    raise CannotReload


class AdminApp:
    """The Admin API. Set `access` to replace keys, networks, plugins and keyring for all later requests.

    `reload` reads the configuration again, as SIGHUP does: raises BatchwayError if it cannot be used.
    """

    def __init__(
        self,
        store: Store,
        *,
        access: Access,
        applied: Callable[[int], Awaitable[None]],
        find_holder: FindHolder = no_holder,
        reload: Callable[[], Awaitable[None]] = _no_reload,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`applied` returns once the data plane has a revision; `find_holder` knows all that it has."""
        self.access = access
        self.reload = reload
        self._resources = Resources(store, applied, find_holder, now)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's lifespan."""
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await _follow_lifespan(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except ClientGone:
            return
        except BatchwayError as error:
            response = _refusal(error)
        except Exception:
            log.exception("admin request failed", method=scope["method"], path=scope["path"])
            response = error_response(InternalError())
        await _send(send, response, with_body=scope["method"] != "HEAD")

    async def _respond(self, scope: Message, receive: Receive) -> Response:
        method, segments = scope["method"], call.split_path(scope)
        if segments == ["healthz"]:
            call.check_method(method, *READS)
            return json_response(200, {"status": "ok"})
        access: Access = self.access
        client = scope["client"][0] if scope.get("client") else None
        access.check_address(client)
        if segments[:2] != ["apisix", "admin"]:
            raise Unknown("not found: the Admin API is under /apisix/admin/")
        if segments[2:] == [] and method == "HEAD":  # clients ask so whether there is an Admin API
            return json_response(200, {})
        below = segments[2:]
        args = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        attempt = audit.attempt(method, below, client)
        request = _Request(self._resources, self.reload, access, scope, receive, below, args, attempt)
        response = await request.respond()
        response.headers.append((b"X-API-VERSION", b"v3"))
        return response


class _Request(Struct):
    """One request below /apisix/admin, on its way to an answer."""

    resources: Resources
    reload: Callable[[], Awaitable[None]]
    access: Access
    scope: Message
    receive: Receive
    segments: Sequence[str]
    args: Args
    attempt: audit.Attempt

    @property
    def method(self) -> str:
        """The HTTP method."""
        return str(self.scope["method"])

    async def respond(self) -> Response:
        """The answer, be it a refusal; what changes something, or would have, is in the log by then."""
        is_write = self.method not in READS and list(self.segments[:2]) not in _CHECKS
        try:
            response, answer = await self._answer()
        except (NotFound, ParentMissing) as error:
            text = str(error)
            response = json_response(404, {"error_msg": text} if text else {"message": "Key not found"})
            if is_write:
                audit.refused(self.attempt, 404, "not_found")
        except BatchwayError as error:
            response = _refusal(error)
            if is_write:
                audit.failed(self.attempt, error)
        else:
            if is_write and answer is not None:
                audit.done(self.attempt, answer)
        return response

    async def _answer(self) -> tuple[Response, Answer | None]:
        key = _given_key(self.scope, self.args)
        found = self.access.find_key(key)
        self.attempt.who = found.name  # before its role is asked for: who tried is known, too
        check_role(found, reads=self.method in READS)
        match self.segments:
            case ["plugins", "reload"]:
                return await self._reload()
            case ["plugins", *rest]:
                return self._tell_plugins(rest), None
            case ["schema", "validate", name]:
                return await self._validate(call.find(name)), None
            case ["configs", "validate"]:
                return await self._validate_all(), None
            case ["schema", *rest]:
                return self._tell_schema(rest), None
        answer = await self._run(call.parse_call(self.method, self.segments, self.args))
        return json_response(answer.status, answer.document), answer

    async def _run(self, asked: Call) -> Answer:
        resources, place, access = self.resources, asked.place, self.access
        if asked.method in READS:
            if place.id is None:
                return await resources.list(place, selection(asked.args, place.kind), access)
            return await resources.get(place, access)
        resources.check_writable()
        if asked.method == "DELETE":
            check_id(place.kind, place.id)
            return await resources.delete(place, force=call.flag(asked.args, "force"))
        if asked.method == "PATCH":
            check_id(place.kind, place.id)
        ttl_s = call.ttl_s(asked.args)
        body = await self._body("new configuration" if asked.method == "PATCH" else "configurations")
        if asked.method == "PUT":
            forced = call.flag(asked.args, "force")
            return await resources.put(place, body, access, ttl_s=ttl_s, forced=forced)
        if asked.method == "POST":
            return await resources.post(place, body, access, ttl_s=ttl_s)
        return await resources.patch(place, asked.sub_path, body, access, ttl_s=ttl_s)

    async def _body(self, what: str) -> object:
        return call.decode_body(await call.read_body(self.scope, self.receive), what)

    # --- what is no resource

    async def _reload(self) -> tuple[Response, Answer | None]:
        if self.method != "PUT":
            message = f"please use PUT method to reload the plugins, {self.method} method is not allowed."
            raise MethodNotAllowed(["PUT"], message)
        try:
            await self.reload()
        except CannotReload:
            raise
        except BatchwayError as error:  # it names files: nothing for an answer
            log.error("configuration not reloaded", error=error.message)
            raise CannotReload("the configuration cannot be used: the log says why") from None
        headers = [(b"Content-Type", b"text/plain; charset=utf-8")]
        return Response(200, REASONS[200], headers, b"done"), Answer(200, {})

    def _tell_plugins(self, rest: Sequence[str]) -> Response:
        call.check_method(self.method, *READS)
        found, args = self.access.plugins.plugins, self.args
        _check_subsystem(args)
        match rest:
            case ["list"]:
                return json_response(200, plugins.plugin_names(found))
            case [] if args.get("all") == "true":
                return json_response(200, plugins.all_plugins(found))
            case []:
                raise BadArgument("not found plugin name")
            case [name]:
                return json_response(200, plugins.plugin_schema(found, name, args.get("schema_type", "")))
        raise Unknown("not found")

    def _tell_schema(self, rest: Sequence[str]) -> Response:
        call.check_method(self.method, *READS)
        match rest:
            case ["plugins", *names]:
                return self._tell_plugins(names)
            case [name]:
                kind = schemas.find_kind(name) or call.find(name)
                return json_response(200, schemas.kind_schema(kind.name))
        raise Unknown("not found")

    async def _validate(self, kind: Kind) -> Response:
        call.check_method(self.method, "POST")
        validate(kind, await self._body("configurations"), self.access)
        return _nothing_wrong()

    async def _validate_all(self) -> Response:
        call.check_method(self.method, "POST")
        errors = validate_all(await self._body("configurations"), self.access)
        if errors:
            message = "Configuration validation failed"
            return json_response(400, {"error_msg": message, "errors": errors})
        return _nothing_wrong()


def _nothing_wrong() -> Response:
    return Response(200, REASONS[200], [(b"Content-Type", b"application/json")], b"")


def _given_key(scope: Message, args: Args) -> bytes | None:
    if "api_key" in args:
        return args["api_key"].encode()
    return next((value for name, value in scope["headers"] if name == b"x-api-key"), None)


def _check_subsystem(args: Args) -> None:
    subsystem = args.get("subsystem", "http")
    if subsystem != "http":
        raise BadArgument(f"unsupported subsystem: {subsystem}")


# --- the answer


def _refusal(error: BatchwayError) -> Response:
    document: dict[str, object] = {"error_msg": error.message}
    if isinstance(error, KeyRefused):
        document["description"] = error.description
    response = json_response(error.status, document)
    if isinstance(error, MethodNotAllowed | ReadOnly):
        response.headers.append((b"Allow", ", ".join(error.allowed).encode()))
    return response


async def _send(send: Send, response: Response, *, with_body: bool) -> None:
    body = response.body if isinstance(response.body, bytes) else b""
    headers = [(name.lower(), value) for name, value in response.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})


async def _follow_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
