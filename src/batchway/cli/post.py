"""One HTTP POST, as a person at a terminal needs it: an answer in time, or one line that says why not."""

import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead
from threading import Thread
from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import Struct

from batchway import __version__
from batchway.cli.failures import NoAnswer
from batchway.errors import ReplyTooLarge
from batchway.formats import content

MAX_ANSWER_BYTES = 1 << 30
_CHUNK = 1 << 16
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "expect", "te", "upgrade"})

Headers = Sequence[tuple[str, str]]


class Endpoint(Struct, frozen=True):
    """Where to post."""

    scheme: str
    host: str
    port: int | None
    target: str
    """Path and query, percent-encoded."""

    def __str__(self) -> str:
        """The URL without its query, which may hold a key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target.partition('?')[0]}"

    def connection(self, timeout_s: float) -> HTTPConnection:
        """Not yet connected. Certificates are verified; `SSL_CERT_FILE` names other CAs."""
        if self.scheme == "https":
            return HTTPSConnection(self.host, self.port, timeout=timeout_s)
        return HTTPConnection(self.host, self.port, timeout=timeout_s)


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    reason: str
    location: str | None
    body: bytes
    """Without its content coding."""
    wire_bytes: int
    """Size of the body as it came."""
    elapsed_s: float
    """From before the connection was made until the last byte was there."""


def parse_url(url: str) -> Endpoint:
    """The endpoint that `url` names. Raises ValueError saying what is expected."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = "expected a URL such as http://127.0.0.1:9080/apisix/batch-requests"
        raise ValueError(msg)
    if "@" in parts.netloc:
        msg = "a user or password in a URL is not supported: send them with -H 'Authorization: ...'"
        raise ValueError(msg)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    return Endpoint(parts.scheme, parts.hostname, port, target)


def parse_header(line: str) -> tuple[str, str]:
    """Name and value of a header written `Name: value`. Raises ValueError."""
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name) or _BAD_VALUE.search(value):
        msg = "expected a header written 'Name: value'"  # the line itself may hold a credential
        raise ValueError(msg)
    if name.lower() in _FRAMING:
        msg = f"{name} cannot be set: batchway frames the request itself"
        raise ValueError(msg)
    return name, value.strip()


def post(endpoint: Endpoint, headers: Headers, body: bytes, timeout_s: float) -> Answer:
    """The answer, be its status what it may; redirects are not followed.

    `timeout_s` bounds all of it: name look-up, TLS, upload and answer. Raises NoAnswer.
    """
    # In a thread of its own, as neither getaddrinfo nor a server that sends a byte now and then can
    # be interrupted. A daemon: one that is waited for no more must not keep the process.
    outcome: Future[Answer] = Future()
    work = (outcome, _exchange, endpoint, headers, body, timeout_s)
    Thread(target=_settle, args=work, name="post", daemon=True).start()
    try:
        return outcome.result(timeout_s)
    except (OSError, HTTPException, content.Undecodable) as error:
        problem = _explain(error, timeout_s)
        raise NoAnswer(f"{endpoint}: {problem}") from None
    except UnicodeError:  # from the codec "idna"
        raise NoAnswer(f"{endpoint}: this host name cannot be looked up: check --url") from None


def _settle(outcome: Future[Answer], work: Callable[..., Answer], *args: Any) -> None:
    try:
        outcome.set_result(work(*args))
    except BaseException as error:  # noqa: BLE001 - raised again where the outcome is awaited
        outcome.set_exception(error)


def _exchange(endpoint: Endpoint, headers: Headers, body: bytes, timeout_s: float) -> Answer:
    started = time.monotonic()
    connection = endpoint.connection(timeout_s)
    try:
        connection.connect()
        _send(connection, endpoint, headers, body)
        with connection.getresponse() as response:
            raw = _read(response, endpoint)
    finally:
        connection.close()
    return Answer(
        response.status,
        response.reason,
        response.headers.get("Location"),
        _decode(raw, response.headers.get_all("Content-Encoding", []), endpoint),
        len(raw),
        time.monotonic() - started,
    )


def _send(connection: HTTPConnection, endpoint: Endpoint, headers: Headers, body: bytes) -> None:
    """Send the request. No `Connection: close`: APISIX hands it on to every item."""
    ours = {
        "user-agent": f"batchway/{__version__}",
        "content-type": "application/json",
        "accept-encoding": "gzip",
        "prefer": "item-durations",
    }
    given = {name.lower() for name, _ in headers}
    connection.putrequest("POST", endpoint.target, skip_host="host" in given, skip_accept_encoding=True)
    for name, value in [*((k, v) for k, v in ours.items() if k not in given), *headers]:
        connection.putheader(name, value.encode())
    connection.putheader("content-length", str(len(body)))
    # A server that refuses a body need not read it to the end; its answer may be there all the same.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders(body)


def _read(response: HTTPResponse, endpoint: Endpoint) -> bytes:
    body = bytearray()
    while piece := response.read(_CHUNK):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise _too_large(endpoint)
    if response.length:  # what Content-Length announced and did not come
        raise IncompleteRead(b"", response.length)
    return bytes(body)


def _decode(body: bytes, codings: list[str], endpoint: Endpoint) -> bytes:
    try:
        decoded = content.decode(body, ", ".join(codings), MAX_ANSWER_BYTES)
    except ReplyTooLarge:
        raise _too_large(endpoint) from None
    if decoded is None:
        raise NoAnswer(f"{endpoint}: the answer has a Content-Encoding that batchway does not know")
    return decoded


def _too_large(endpoint: Endpoint) -> NoAnswer:
    return NoAnswer(f"{endpoint}: the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB")


def _explain(error: Exception, timeout_s: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {timeout_s:g} s: give it more time with --timeout"
        case ConnectionRefusedError():
            return "connection refused: start the gateway with `batchway serve`, or give another --url"
        case socket.gaierror():
            return "the host name is not known: check --url"
        case ssl.SSLCertVerificationError():
            why = error.verify_message
            return f"the certificate is not trusted: {why}: name its CA's file in SSL_CERT_FILE"
        case ssl.SSLError():
            return f"no TLS connection: {error.reason or error}: should it be http:// in --url?"
        case ConnectionError() | IncompleteRead():
            return "the connection was closed before the answer was whole: see the log of the server"
        case OSError():
            return f"{error.strerror or error}: check --url"
        case HTTPException():
            return "what answers there is not HTTP: check --url"
        case _:
            return "the answer is not what its Content-Encoding says: see the log of the server"
