"""Bodies to an endpoint and back, over HTTP/1.1: connections kept alive, tries where trying is safe."""

import asyncio
import os
import random
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from typing import Literal

from msgspec import Struct

from batchway.errors import ReplyTooLarge, UpstreamError, UpstreamRefused, UpstreamTimeout
from batchway.formats import content
from batchway.model import Budget, Headers, Origin, Request, Response
from batchway.rpc.client.answers import Said
from batchway.rpc.client.endpoint import Endpoint, header_block
from batchway.rpc.client.errors import (
    AnswerTimedOut,
    BadAnswer,
    ClientError,
    ConnectionBroken,
    HttpError,
    Redirected,
    Unreachable,
)
from batchway.rpc.client.settings import ClientSettings
from batchway.upstream import Pools, Resolver, Terms, UpstreamClient

FIRST_PAUSE_S = 0.05
"""Before the second try; twice as long before each further one, give or take a half."""


class _Node(Struct, frozen=True):
    host: str
    port: int
    weight: int = 1
    priority: int = 0


class _Timeout(Struct, frozen=True):
    connect: float
    send: float
    read: float


class _Tls(Struct, frozen=True):
    verify: bool
    client_cert: None = None
    client_key: None = None


class _Server(Struct, frozen=True):
    """The endpoint, as an upstream of one node."""

    node: _Node
    scheme: Literal["http", "https"]
    timeout: _Timeout
    tls: _Tls
    pass_host: Literal["node"] = "node"  # noqa: S105 - no password
    upstream_host: None = None
    type: Literal["roundrobin"] = "roundrobin"
    hash_on: Literal["vars"] = "vars"
    key: None = None
    retries: int = 0
    retry_timeout: int = 0
    keepalive_pool: None = None
    max_connections: None = None
    checks: None = None

    def node_list(self) -> Sequence[_Node]:
        """The one."""
        return [self.node]


class Sender:
    """Posts bodies. Belongs to the event loop that it is made in."""

    def __init__(self, endpoint: Endpoint, settings: ClientSettings) -> None:
        """Raises ConfigError for CAs that cannot be used, and headers that are none."""
        self._endpoint = endpoint
        self._settings = settings
        self._block = header_block(settings.headers, settings.bearer)
        self._pools = Pools(Resolver(), ca_file=settings.ca_file)
        # Who has to wait for a connection waits here, for as long as the call may take.
        self._slots = asyncio.Semaphore(settings.max_connections)
        terms = Terms(
            max_connections=settings.max_connections,
            max_idle=settings.max_connections,
            idle_timeout_s=settings.idle_timeout_s,
        )
        server = _Server(
            _Node(endpoint.host, endpoint.port),
            "https" if endpoint.scheme == "https" else "http",
            _Timeout(settings.connect_timeout_s, settings.timeout_s, settings.timeout_s),
            _Tls(settings.verify),
        )
        self._client = UpstreamClient(server, self._pools, terms, log=False)  # it is raised

    async def post(self, body: bytes, timeout_s: float, *, may_repeat: bool) -> Said:
        """What the server says to a body, within `timeout_s`. Raises ClientError.

        Cancelled, it closes the connection: the server hears of it.
        """
        times = _Timeout(min(self._settings.connect_timeout_s, timeout_s), timeout_s, timeout_s)
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                response = await self._try(body, times, may_repeat=may_repeat)
        except ClientError:  # some of those are TimeoutErrors, and know more
            raise
        except TimeoutError:
            message = f"{self._endpoint}: no answer within {timeout_s:g} s"
            raise AnswerTimedOut(message) from None
        return self._read(response)

    async def _try(self, body: bytes, times: _Timeout, *, may_repeat: bool) -> Response:
        pause_s = FIRST_PAUSE_S
        for tries_left in range(self._settings.retries, -1, -1):
            try:
                return await self._client.send(self._request(body), self._block, times)
            except UpstreamError as error:
                is_safe = may_repeat or not _was_sent(error)
                if not tries_left or not is_safe or isinstance(error, ReplyTooLarge):
                    raise self._explained(error) from error
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            pause_s *= 2
        raise AssertionError

    def _request(self, body: bytes) -> Request:
        most = self._settings.max_answer_bytes
        budget = Budget(max_reply_size=most, max_response_size=most)
        endpoint = self._endpoint
        return Request(
            "POST",
            endpoint.path,
            endpoint.query,
            Headers(),
            body,
            Origin(""),
            budget,
            self._settings.verify,
        )

    def _explained(self, error: UpstreamError) -> ClientError:
        if isinstance(error, ReplyTooLarge):
            return self._too_large()
        said = error.message.replace("upstream node", "server").replace("upstream", "server")
        said += _why(error.__cause__)
        kind: type[ClientError] = ConnectionBroken
        if not _was_sent(error):
            kind = Unreachable
        elif isinstance(error, UpstreamTimeout):
            kind = AnswerTimedOut
        return kind(f"{self._endpoint}: {said}")

    def _too_large(self) -> BadAnswer:
        most = self._settings.max_answer_bytes
        return BadAnswer(f"{self._endpoint}: the answer is larger than max_answer_bytes, which is {most}")

    # --- the response

    def _read(self, response: Response) -> Said:
        body = self._decoded(response)
        refusal = None if 200 <= response.status < 300 else self._refusal(response, body)
        if isinstance(refusal, Redirected):
            raise refusal
        return Said(body, refusal)

    def _decoded(self, response: Response) -> bytes:
        body = response.body
        if not isinstance(body, bytes):
            return b""
        coding = ", ".join(_all(response, b"content-encoding"))
        try:
            decoded = content.decode(body, coding, self._settings.max_answer_bytes)
        except ReplyTooLarge:
            raise self._too_large() from None
        except content.Undecodable:
            decoded = None
        if decoded is None:
            message = f"{self._endpoint}: the answer cannot be decoded: its content coding is {coding[:40]}"
            raise BadAnswer(message)
        return decoded

    def _refusal(self, response: Response, body: bytes) -> HttpError:
        status, reason = response.status, _phrase(response)
        message = f"{self._endpoint}: the server answered {status} {reason}".rstrip()
        locations = _all(response, b"location")
        if 300 <= status < 400 and locations:
            message += f", redirected to {locations[0]}, which is not followed"
            redirected = Redirected(message, status=status, reason=reason, body=body)
            redirected.location = locations[0]
            return redirected
        return HttpError(message, status=status, reason=reason, body=body)

    async def aclose(self) -> None:
        """Close every connection; what runs fails."""
        await self._pools.close()
        await asyncio.sleep(0)  # for the transports to close


def _was_sent(error: UpstreamError) -> bool:
    """Whether the server may have the request. It has not if connecting failed, or took too long."""
    return not isinstance(error, UpstreamRefused) and not isinstance(error.__cause__, TimeoutError)


def _why(cause: BaseException | None) -> str:
    """What the system has to say."""
    match cause:
        case ssl.SSLCertVerificationError():  # told already
            return ""
        case ssl.SSLError():
            return f": no TLS: {cause.reason or cause}"
        case OSError(errno=int(number)) if number > 0:
            return f": {os.strerror(number).lower()}"
    return ""


def _all(response: Response, name: bytes) -> list[str]:
    """The values of all headers of a name."""
    return [value.decode("latin-1") for given, value in response.headers if given.lower() == name]


def _phrase(response: Response) -> str:
    try:
        return response.reason or HTTPStatus(response.status).phrase
    except ValueError:
        return ""
