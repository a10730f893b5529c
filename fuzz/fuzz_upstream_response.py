"""Any bytes from an upstream, split anywhere: one whole answer or one error, and none of it anywhere else.

Upstreams that answer well, that say more than they were asked, that are cut off, whose client leaves, that
send garbage. What is well formed is compared with what was meant, garbage with what h11 makes of it.

python fuzz/fuzz_upstream_response.py -max_total_time=60
"""

import asyncio
import socket
import sys
from dataclasses import dataclass, field
from typing import Any

import atheris
import h11

with atheris.instrument_imports():
    from batchway.errors import BatchwayError, ReplyTooLarge, UpstreamError
    from batchway.model import REASONS, Budget, Response
    from batchway.upstream.connection import Connection
    from batchway.upstream.exchange import Exchange

LOOP = asyncio.new_event_loop()
SOCKET, _PEER = socket.socketpair()
MAX_HEADER_BYTES = 1000
MAX_RESPONSE_BYTES = 1_000_000
DROPPED = frozenset(b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split())
Pairs = list[tuple[bytes, bytes]]


def end_to_end(pairs: Pairs) -> Pairs:
    """What may be passed on of the headers of an answer. RFC 9110, section 7.6.1."""
    nominated = [value.split(b",") for name, value in pairs if name.lower() == b"connection"]
    dropped = DROPPED | {name.strip().lower() for names in nominated for name in names}
    return [pair for pair in pairs if pair[0].lower() not in dropped]


def expect(held: bool, what: object) -> None:
    if not held:
        raise AssertionError(what)


class Owner:
    """Notes what the connection tells its pool."""

    max_header_bytes = MAX_HEADER_BYTES

    def __init__(self) -> None:
        self.freed: list[bool] = []
        self.losses = 0

    def watch(self, connection: Connection) -> None:
        expect(connection.expires < float("inf"), "watched without a time")

    def free(self, connection: Connection, *, reusable: bool) -> None:
        expect(not (reusable and connection.closed), "closed, but to be used again")
        self.freed.append(reusable)

    def lost(self, _: Connection) -> None:
        self.losses += 1


class Transport:
    """Takes what is written and knows whether it may still be read from."""

    def __init__(self) -> None:
        self.closing = False
        self.paused = False

    def get_extra_info(self, _: str) -> Any:
        return SOCKET

    def write(self, data: bytes) -> None:
        expect(bool(data), "an empty write")
        expect(not self.closing, "a write after the end")

    def close(self) -> None:
        self.closing = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        expect(not self.paused, "paused twice")
        self.paused = True

    def resume_reading(self) -> None:
        expect(self.paused, "resumed twice")
        self.paused = False


@dataclass
class Meant:
    """An answer, and what must be made of it."""

    status: int
    reason: bytes
    pairs: Pairs
    """As they are sent."""
    body: bytes
    wire: bytes
    no_body: bool
    until_eof: bool
    body_starts: int
    """Where the body begins in `wire`."""

    def check(self, response: Response, body: bytes | None) -> None:
        expect(response.status == self.status, (response.status, self.status))
        reason = self.reason.decode("latin-1") or REASONS.get(self.status, "")
        expect(response.reason == reason, (response.reason, reason))
        kept = end_to_end(self.pairs)
        expect(response.headers == kept, (response.headers, kept))
        bodiless = self.no_body or self.status in (204, 304)
        expect(body == (None if bodiless else self.body), (body, self.body))


@dataclass
class Upstream:
    """A connection, and all that has happened on it."""

    owner: Owner = field(default_factory=Owner)
    transport: Transport = field(default_factory=Transport)

    def __post_init__(self) -> None:
        self.connection = Connection(self.owner, LOOP)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]  # what it uses of one

    def ask(self, *, no_body: bool, budget: Budget | None) -> "asyncio.Future[Response]":
        return self.connection.send(Exchange(b"GET / HTTP/1.1\r\n\r\n", b"", no_body, budget, 60.0, 60.0))

    def feed(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            if not self.transport.closing:
                self.connection.data_received(piece)

    def lose(self, error: Exception | None) -> None:
        self.transport.closing = True
        self.connection.connection_lost(error)
        expect(self.owner.losses == 1, "lost, but not once")
        expect(self.connection.closed, "lost, but not closed")


class Builder:
    def __init__(self, data: atheris.FuzzedDataProvider) -> None:
        self.data = data

    def maybe(self) -> bool:
        return bool(self.data.ConsumeBool())

    def number(self, least: int, most: int) -> int:
        return int(self.data.ConsumeIntInRange(least, most))

    def some(self, most: int) -> bytes:
        return bytes(self.data.ConsumeBytes(self.number(0, most)))

    def visible(self, most: int) -> bytes:
        """Text for a value or a reason: no control characters, no blanks at its ends."""
        return bytes(byte for byte in self.some(most) if byte >= 0x20 and byte != 0x7F).strip()

    def pairs(self) -> Pairs:
        names = [
            b"X-A",
            b"x-a",
            b"Set-Cookie",
            b"Keep-Alive",
            b"TE",
            b"Content-Encoding",
            b"Proxy-Connection",
        ]
        count = self.number(0, 4)
        pairs = [(bytes(self.data.PickValueInList(names)), self.visible(8)) for _ in range(count)]
        options = [b"close", b"keep-alive", b"X-A", b"close, x-a ,set-cookie", b"Keep-Alive"]
        if self.maybe():
            pairs.append((b"Connection", bytes(self.data.PickValueInList(options))))
        return pairs

    def chunked(self, body: bytes) -> bytes:
        made = b""
        while body:
            size = self.number(1 + len(body) // 16, len(body))
            extension = self.data.PickValueInList([b"", b";a=b", b";a"])
            made += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
            body = body[size:]
        trailers = self.data.PickValueInList(
            [b"", b"X-Trailer: evil\r\n", b"Set-Cookie: evil\r\nX-A: b\r\n"]
        )
        return made + b"0\r\n" + bytes(trailers) + b"\r\n"

    def meant(self) -> Meant:
        """A whole answer. One that ends with its connection only if `until_eof` says so."""
        status = self.data.PickValueInList([200, 201, 204, 304, 404, 500, 299, 205])
        reason = self.visible(10)
        no_body = self.maybe()
        body = self.some(40) * self.data.PickValueInList([1, 1, 1, 30, 9000])
        framing = self.number(0, 2)
        pairs = self.pairs()
        coded = body
        if framing == 0:
            pairs.append((b"content-LENGTH", b"%d" % len(body)))
        elif framing == 1:
            pairs.append((b"Transfer-Encoding", b"chunked"))
            coded = self.chunked(body)
        if no_body or status in (204, 304):
            coded = b""
        head = b"HTTP/1.1 %d %b\r\n" % (status, reason)
        head += b"".join(b"%b: %b\r\n" % pair for pair in pairs) + b"\r\n"
        before = b"".join(
            bytes(
                self.data.PickValueInList(
                    [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 E\r\nX-A: no\r\n\r\n"]
                )
            )
            for _ in range(self.number(0, 2))
        )
        until_eof = framing == 2 and not no_body and status not in (204, 304)
        wire = before + head + coded
        return Meant(status, reason, pairs, body, wire, no_body, until_eof, len(before) + len(head))

    def split(self, wire: bytes) -> list[bytes]:
        """Anywhere, byte by byte at the most."""
        if self.maybe():
            return [wire] if wire else []
        if len(wire) < 400 and self.maybe():
            return [wire[at : at + 1] for at in range(len(wire))]
        cuts = sorted({self.number(0, len(wire)) for _ in range(self.number(1, 6))} | {0, len(wire)})
        return [wire[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]

    def budget(self) -> Budget | None:
        if self.maybe():
            return None
        most = self.data.PickValueInList([0, 1, 50, 5000, MAX_RESPONSE_BYTES])
        return Budget(max_reply_size=most, max_response_size=MAX_RESPONSE_BYTES)


async def collected(response: Response) -> bytes | None:
    body = response.body
    if body is None or isinstance(body, bytes):
        return body
    return b"".join([piece async for piece in body])


def outcome(future: "asyncio.Future[Response]") -> tuple[Response, bytes | None] | BatchwayError:
    """The answer with its whole body, or what failed. The exchange must be over."""
    expect(future.done(), "over, but not answered")
    error = future.exception()
    if error is not None:
        expect(isinstance(error, UpstreamError), error)
        return error if isinstance(error, BatchwayError) else UpstreamError("")
    response = future.result()
    try:
        return response, LOOP.run_until_complete(collected(response))
    except UpstreamError as broken_off:
        return broken_off


def check_budget(budget: Budget | None, found: tuple[Response, bytes | None] | BatchwayError) -> None:
    if budget is not None:
        spent = 0 if isinstance(found, BatchwayError) else len(found[1] or b"")
        expect(budget.remaining == MAX_RESPONSE_BYTES - spent, "the budget is not what was taken from it")


def check_meant(
    meant: Meant, budget: Budget | None, found: tuple[Response, bytes | None] | BatchwayError
) -> None:
    check_budget(budget, found)
    has_body = not meant.no_body and meant.status not in (204, 304)
    if budget is not None and has_body and len(meant.body) > budget.max_reply_size:
        expect(isinstance(found, ReplyTooLarge), found)
    else:
        expect(not isinstance(found, BatchwayError), found)
        if not isinstance(found, BatchwayError):
            meant.check(*found)


def well_behaved(make: Builder) -> None:
    """Answers on one connection, one after the other, the last one perhaps with more than was asked for."""
    upstream = Upstream()
    for _ in range(make.number(1, 3)):
        meant, budget = make.meant(), make.budget()
        excess = make.some(30) if make.maybe() else b""
        if make.maybe():
            excess = make.meant().wire
        if meant.until_eof:
            excess = b""
        future = upstream.ask(no_body=meant.no_body, budget=budget)
        upstream.feed(make.split(meant.wire + excess))
        if meant.until_eof:
            upstream.lose(None)
        found = outcome(future)
        check_meant(meant, budget, found)
        # llhttp swallows part of a chunk behind the head of an answer to HEAD without a word
        unseen = meant.no_body and (b"Transfer-Encoding", b"chunked") in meant.pairs
        if excess.strip(b"\r\n") and not unseen:
            expect(upstream.connection.closed, "more came than was asked for, but still open")
        expect(not upstream.transport.paused or upstream.transport.closing, "left paused")
        if isinstance(found, BatchwayError):
            expect(upstream.connection.closed, "failed, but still open")
        if upstream.connection.closed or not upstream.owner.freed[-1]:
            break  # what was too much must not be read as the next answer
    if not upstream.owner.losses:
        upstream.lose(None)


def cut_off(make: Builder) -> None:
    """An answer that ends before it is whole is an error, unless its end is the connection's."""
    meant, budget = make.meant(), make.budget()
    kept = make.number(0, len(meant.wire) - 1)
    error = ConnectionResetError() if make.maybe() else None
    upstream = Upstream()
    future = upstream.ask(no_body=meant.no_body, budget=budget)
    upstream.feed(make.split(meant.wire[:kept]))
    upstream.lose(error)
    found = outcome(future)
    check_budget(budget, found)
    if meant.until_eof and kept >= meant.body_starts and error is None:
        meant.body = meant.body[: kept - meant.body_starts]
        check_meant(meant, budget, found)
        return
    expect(isinstance(found, BatchwayError), "half an answer passes for a whole one")
    expect(upstream.owner.freed == [], "freed, but cut off")


def abandoned(make: Builder) -> None:
    """Nobody waits any more: the connection is closed, or the answer was whole and it may serve again."""
    meant, budget = make.meant(), make.budget()
    upstream = Upstream()
    future = upstream.ask(no_body=meant.no_body, budget=budget)
    upstream.feed(make.split(meant.wire[: make.number(0, len(meant.wire))]))
    was_free = list(upstream.owner.freed)
    upstream.connection.abandon(future)
    expect(upstream.connection.closed or was_free == [True], "abandoned half-way, but open")
    expect(upstream.owner.freed == was_free, "freed when abandoned")
    upstream.lose(None)
    check_budget(budget, outcome(future))


def garbage(make: Builder) -> None:
    """Any bytes: the exchange ends, and where h11 sees an answer too it is the same one."""
    no_body, budget = make.maybe(), make.budget()
    wire = bytes(make.data.ConsumeBytes(make.number(0, 600)))
    if make.maybe():
        wire = b"HTTP/1.1 200 OK\r\n" + wire
    upstream = Upstream()
    future = upstream.ask(no_body=no_body, budget=budget)
    upstream.feed(make.split(wire))
    upstream.lose(None)
    found = outcome(future)
    check_budget(budget, found)
    reference = by_h11(wire, no_body=no_body)
    if reference is None or isinstance(found, BatchwayError):
        return
    status, headers, body = reference
    response, got = found
    expect(response.status == status, (response.status, status))
    expect((got or b"") == body, (got, body))
    expect(
        [(name.lower(), value) for name, value in response.headers] == headers, (response.headers, headers)
    )


def by_h11(wire: bytes, *, no_body: bool) -> tuple[int, Pairs, bytes] | None:
    """The first answer in `wire` as h11 reads it, or None if it does not like it."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="HEAD" if no_body else "GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire)
    client.receive_data(b"")
    response, body = None, b""
    try:
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and response is not None:
                return response.status_code, end_to_end(list(response.headers)), bytes(body)
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


def one_input(raw: bytes) -> None:
    data = atheris.FuzzedDataProvider(raw)
    data.PickValueInList([well_behaved, cut_off, abandoned, garbage])(Builder(data))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
