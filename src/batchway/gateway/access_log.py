"""The access log: a line for each request, each item of a batch and each call, in a format as nginx's.

Source: nginx, ngx_http_log_module. A line is made at once and written soon, by a thread: a disk that is
slow, or a pipe that nobody reads, holds up no request.
"""

import asyncio
import base64
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread

import structlog

from batchway.errors import ConfigError
from batchway.model import CallReport
from batchway.plugins import Context

FORMAT = (
    '$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time'
    ' "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time'
    " $route_id $consumer_name $batch_id"
)
"""An item's `batch_id` is that of the request that carried it."""
CALL_FORMAT = FORMAT + ' $rpc_index "$rpc_method" $rpc_code'
"""Of JSON-RPC calls."""
MAX_METHOD = 128
"""Characters of a method's name: clients may send any."""
DEFAULT_PATH = "logs/access.log"
FLUSH_S = 0.2
CLOSE_S = 5.0
"""How long the last lines may take."""
MAX_BUFFERED_BYTES = 8 * 1024 * 1024
"""What cannot be written fast enough is dropped beyond that, and counted."""

log = structlog.get_logger(__name__)

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_TO_ESCAPE = re.compile(r'[\x00-\x1f"\\\x7f-\U0010ffff]')
_TO_ESCAPE_IN_JSON = re.compile(r'[\x00-\x1f"\\\ud800-\udfff]')


def _method(call: CallReport) -> str | None:
    name = call.method
    return name if name is None or len(name) <= MAX_METHOD else f"{name[:MAX_METHOD]}..."


_Find = Callable[[CallReport], str | None]

_OF_SINGLE: dict[str, _Find] = {
    "rpc_method": _method,
    "rpc_code": lambda call: None if call.code is None else str(call.code),
}
_OF_CALL: dict[str, _Find] = {
    **_OF_SINGLE,
    "rpc_index": lambda call: str(call.index),
    "request_time": lambda call: f"{call.took_s:.3f}",
    "body_bytes_sent": lambda _: "0",  # they are in the line of the batch
    "bytes_sent": lambda _: "0",
}


class Format:
    """What makes lines."""

    def __init__(self, template: str, *, json: bool = False) -> None:
        """With `json`, values are escaped as in a JSON string."""
        pieces = _VARIABLE.split(template)
        names = [one or other for one, other in zip(pieces[1::3], pieces[2::3], strict=True)]
        self._parts = [piece for literal in pieces[::3] for piece in (literal, "")]
        self._names = [(2 * number + 1, name) for number, name in enumerate(names)]
        self._places_of_single = self._places(_OF_SINGLE)
        self._places_of_call = self._places(_OF_CALL)
        self._escape, self._missing = (_escape_in_json, "") if json else (_escape, "-")

    def __call__(self, context: Context) -> str:
        """The line of a request."""
        return "".join(self._values(context))

    def of_single(self, context: Context, call: CallReport) -> str:
        """The line of a request and of the one call in it."""
        parts = self._values(context)
        self._fill(parts, self._places_of_single, call)
        return "".join(parts)

    def of_calls(self, context: Context, calls: Iterator[CallReport]) -> Iterator[str]:
        """The lines of the calls of a batch: what they share is found out once."""
        parts = self._values(context)
        for call in calls:
            self._fill(parts, self._places_of_call, call)
            yield "".join(parts)

    def _values(self, context: Context) -> list[str]:
        parts = self._parts.copy()
        for place, name in self._names:
            parts[place] = self._written(log_variable(context, name))
        return parts

    def _places(self, known: Mapping[str, _Find]) -> list[tuple[int, _Find]]:
        return [(place, known[name]) for place, name in self._names if name in known]

    def _fill(self, parts: list[str], places: list[tuple[int, _Find]], call: CallReport) -> None:
        for place, find in places:
            parts[place] = self._written(find(call))

    def _written(self, value: str | None) -> str:
        return self._escape(value) if value else self._missing


def log_variable(context: Context, name: str) -> str | None:
    """A variable's value; some have a meaning only here."""
    match name:
        case "request":
            return (
                f"{context.original.method} {context.var('request_uri')} {context.var('server_protocol')}"
            )
        case "remote_user":
            return _remote_user(context)
        case "bytes_sent":
            return str(context.body_bytes)
    return context.var(name)


def _remote_user(context: Context) -> str | None:
    """The name in Basic credentials, whether or not they are good: as in nginx."""
    scheme, _, encoded = (context.var("http_authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded).partition(b":")[0].decode("latin-1")
    except ValueError:  # no base64, or not even ASCII
        return None


def _escape(value: str) -> str:
    return _TO_ESCAPE.sub(_as_hex, value)


def _as_hex(found: re.Match[str]) -> str:
    raw = found[0].encode("utf-8", "surrogatepass")
    return "".join(f"\\x{byte:02X}" for byte in raw)


def _escape_in_json(value: str) -> str:
    return _TO_ESCAPE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", value)


class AccessLog:
    """An observer that writes lines to a file, appended to, or to standard output."""

    def __init__(self, path: str, of_requests: Format, of_calls: Format | None = None) -> None:
        """`path` may be `stdout` or `stderr`. Raises ConfigError if it cannot be opened."""
        self._of_requests = of_requests
        self._of_calls = of_calls or of_requests
        self._owns = path not in _STANDARD
        self._fd = _open(path) if self._owns else _STANDARD[path]().fileno()
        self._lines: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._closed = False

    def __call__(self, context: Context) -> None:
        """Take note of a request, and before it of the calls in its body."""
        if self._closed:  # a request that was cut off: by now the descriptor may be another file's
            return
        if self._size > MAX_BUFFERED_BYTES:  # so that lines that nobody will see are not made
            self._dropped += 1
            return
        for text in self._texts(context):
            if self._size > MAX_BUFFERED_BYTES:
                self._dropped += 1
                continue
            line = text.encode("utf-8", "backslashreplace") + b"\n"
            self._lines.append(line)
            self._size += len(line)
        if self._lines and self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _texts(self, context: Context) -> Iterator[str]:
        calls = context.calls
        if calls is None:
            yield self._of_requests(context)
        elif calls.id is not None:
            yield from self._of_calls.of_calls(context, iter(calls))
            yield self._of_requests(context)
        else:
            only = next(iter(calls), None)
            yield self._of_requests(context) if only is None else self._of_calls.of_single(context, only)

    def _flush(self) -> None:
        self._timer = None
        lines, self._lines, self._size = self._lines, [], 0
        self._report_drops()
        self._writing = _in_thread(partial(_write, self._fd, b"".join(lines)))
        self._writing.add_done_callback(self._written)

    def _written(self, writing: "asyncio.Future[None]") -> None:
        self._writing = None
        if not writing.cancelled() and (error := writing.exception()) is not None:
            log.error("access log not written", error=str(error))
        if self._closed:
            if self._owns:
                os.close(self._fd)
        elif self._lines:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _report_drops(self) -> None:
        if self._dropped:
            log.warning("access log lines dropped: written too slowly", count=self._dropped)
            self._dropped = 0

    async def close(self) -> None:
        """Write what there is and close the file; a pipe that nobody reads is not waited for."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CLOSE_S
        while (self._lines or self._writing is not None) and loop.time() < end:
            if self._writing is None:
                self._flush_now()
            if self._writing is not None:
                await asyncio.wait({self._writing}, timeout=end - loop.time())
        self._closed = True
        self._stop_timer()
        if self._writing is not None:
            log.warning("access log closed before all was written")
        elif self._owns:
            os.close(self._fd)

    def _flush_now(self) -> None:
        self._stop_timer()
        self._flush()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_STANDARD = {"stdout": lambda: sys.stdout, "stderr": lambda: sys.stderr}


def _open(path: str) -> int:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        message = f"nginx_config.http.access_log: {path} cannot be opened: {error.strerror}"
        raise ConfigError(message) from None


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _in_thread(work: Callable[[], None]) -> "asyncio.Future[None]":
    """Do it in a thread that the process does not wait for: a pipe that nobody reads would keep it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        error = None
        try:
            work()
        except Exception as found:  # noqa: BLE001 - handed on
            error = found
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_settle, done, error)

    Thread(target=run, name="access log", daemon=True).start()
    return done


def _settle(done: "asyncio.Future[None]", error: Exception | None) -> None:
    if done.cancelled():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
