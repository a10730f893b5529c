"""A request and its answer on a client's connection: uvicorn's, but cheaper and written at once.

uvicorn sends an answer's head and its body apart, which is two packets for every small answer, and an
answer of unknown length chunked even to a client of HTTP/1.0, which does not know that.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from batchway.wire import Pairs

_JOINED_BYTES = 64 * 1024
"""A body up to here is copied, to be written together with its head."""
_BODILESS = (204, 304)
_LENGTH, _CODED, _CONNECTION = range(1, 4)
_MEANINGS = {b"content-length": _LENGTH, b"transfer-encoding": _CODED, b"connection": _CONNECTION}
# RFC 9110, sections 5.1 and 5.5.
_NO_NAME = bytes(range(0x21)) + b'\x7f()<>@,;:\\[]={}"'
_NO_VALUE = bytes(one for one in range(0x20) if one != 0x09) + b"\x7f"


class Exchange(RequestResponseCycle):
    """Made of a RequestResponseCycle before its task begins.

    An app that has `serve_whole` is given, in place of ASGI's three, the exchange itself if the request is
    there whole: nobody has to listen for more of it then, and `gone` tells of the client's leaving.
    """

    is_watched = False
    """Whether the task is to be cancelled as soon as the client leaves."""
    _head = b""
    """Waits for the first of the body, but not for longer than that takes to come."""
    _until_close = False
    _bodiless = False

    async def run_asgi(self, app: Any) -> None:
        """Have the app answer; an answer that it leaves unfinished breaks the connection."""
        serve: Callable[[Exchange], Awaitable[None]] | None = getattr(app, "serve_whole", None)
        if serve is not None and not self.more_body and not self.disconnected:
            self.is_watched = True
            await super().run_asgi(lambda *_: serve(self))
        else:
            await super().run_asgi(app)

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.disconnected

    def take_body(self) -> bytes:
        """The request's body, which is there whole."""
        self.flow.resume_reading()
        body, self.body = bytes(self.body), bytearray()
        return body

    async def send(self, message: Any) -> None:
        """As ASGI has it."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._expect(message, "http.response.start")
            self._begin(message["status"], message.get("headers", ()), None)
            # A body that is there already comes before this.
            asyncio.get_running_loop().call_soon(self._flush)
        elif not self.response_complete:
            self._expect(message, "http.response.body")
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            error = f"{message['type']} after the end of the answer"
            raise RuntimeError(error)

    def answer(self, status: int, headers: Pairs, body: bytes | None) -> bool:
        """Send an answer that is there whole; None for no body, whatever the headers announce.

        False, and nothing is sent, while the client does not read what it has been sent before.
        """
        if self.disconnected:
            return True
        if self.flow.write_paused:
            return False
        self._begin(status, headers, None if body is None else len(body))
        self._go_on(body or b"", more=False)
        return True

    async def send_500_response(self) -> None:
        """Say that the app has failed. Nothing counts of an answer whose head could not be sent."""
        self.chunked_encoding, self.expected_content_length = None, 0
        await super().send_500_response()

    @staticmethod
    def _expect(message: Any, kind: str) -> None:
        if message["type"] != kind:
            error = f"{message['type']} where {kind} was expected"
            raise RuntimeError(error)

    # --- the head

    def _begin(self, status: int, headers: Pairs, length: int | None) -> None:
        """Raises RuntimeError for headers that cannot be sent; the answer has not begun then."""
        lines = [STATUS_LINE[status]]
        bodiless = status in _BODILESS
        self._bodiless = bodiless or self.scope["method"] == "HEAD"
        if self.default_headers:
            headers = [*self.default_headers, *headers]
        names = values = b""
        for pair in headers:
            name, value = pair[0].lower(), pair[1]
            meaning = _MEANINGS.get(name)
            if meaning is not None:
                if meaning == _LENGTH and bodiless:  # nothing may follow. RFC 9110, section 8.6
                    continue
                self._heed(meaning, value)
                if meaning == _CONNECTION and value == b"close":  # said below
                    continue
            names += name
            values += value
            lines += (name, b": ", value, b"\r\n")
        if names.translate(None, _NO_NAME) != names or values.translate(None, _NO_VALUE) != values:
            message = "a header of the answer has characters that no header may have"
            raise RuntimeError(message)
        if self.chunked_encoding is None and not bodiless:
            lines.append(self._framing(length))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)
        self.response_started = True
        self.waiting_for_100_continue = False

    def _heed(self, meaning: int, value: bytes) -> None:
        if meaning == _LENGTH and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif meaning == _CODED and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        elif meaning == _CONNECTION and b"close" in [one.strip() for one in value.lower().split(b",")]:
            self.keep_alive = False

    def _framing(self, length: int | None) -> bytes:
        """The header that says where the body ends, where the app has not said so."""
        if length is not None:
            self.expected_content_length = length
            return b"content-length: %d\r\n" % length
        if self._bodiless:
            return b""
        if self.scope["http_version"] == "1.0":  # RFC 9112, section 6.1
            self._until_close = True
            self.keep_alive = False
            return b""
        self.chunked_encoding = True
        return b"transfer-encoding: chunked\r\n"

    # --- the body

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self._bodiless:
            body = b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        elif not self._until_close:
            self.expected_content_length -= len(body)
            self._check_length(more=more)
        self._write(body)
        if not more:
            self._end()

    def _check_length(self, *, more: bool) -> None:
        over = self.expected_content_length
        if over < 0 or (over and not more):
            message = "the answer's body is not as long as its Content-Length says"
            raise RuntimeError(message)

    def _write(self, data: bytes) -> None:
        if self._head and len(data) <= _JOINED_BYTES:
            head, self._head = self._head, b""
            self.transport.write(head + data)
            return
        self._flush()
        if data:
            self.transport.write(data)

    def _flush(self) -> None:
        """Send the head, if it still waits."""
        head, self._head = self._head, b""
        if head and not self.transport.is_closing():
            self.transport.write(head)

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
