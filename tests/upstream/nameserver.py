"""A DNS server of a few lines, on UDP."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Literal, cast

from msgspec import Struct

A, AAAA = 1, 28
_CODES = {"servfail": 2, "nxdomain": 3}


class Record(Struct):
    """What is answered for a name."""

    addresses: tuple[str, ...] = ()
    ttl_s: int = 300
    fault: Literal["", "nxdomain", "servfail", "silent"] = ""


class Nameserver(asyncio.DatagramProtocol):
    """Answers from `records`; names that are not there do not exist."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.asked: list[tuple[str, int]] = []
        """Names and types, in the order of the questions."""
        self.waiting = asyncio.Event()
        """Answers are held back until this is set."""
        self.waiting.set()
        self.address = ""
        self._tasks: set[asyncio.Task[None]] = set()

    def times(self, name: str) -> int:
        """How often the IPv4 addresses of that name were asked for."""
        return self.asked.count((name, A))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)
        host, port = transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, at = [], 12
        while size := data[at]:
            labels.append(data[at + 1 : at + 1 + size].decode())
            at += 1 + size
        (kind,) = struct.unpack_from("!H", data, at + 1)
        self.asked.append((".".join(labels), kind))
        answer = self._answer(".".join(labels), kind, data[:2], data[12 : at + 5])
        if answer is not None:
            task = asyncio.get_running_loop().create_task(self._send(answer, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _answer(self, name: str, kind: int, number: bytes, question: bytes) -> bytes | None:
        record = self.records.get(name, Record(fault="nxdomain"))
        if record.fault == "silent":
            return None
        code = _CODES.get(record.fault, 0)
        addresses = [ip_address(text) for text in record.addresses]
        found = [one.packed for one in addresses if (one.version == 4) is (kind == A)]
        head = number + struct.pack("!HHHHH", 0x8180 | code, 1, len(found), 0, 0)
        return (
            head
            + question
            + b"".join(
                b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, record.ttl_s, len(packed)) + packed
                for packed in found
            )
        )

    async def _send(self, answer: bytes, addr: tuple[str, int]) -> None:
        await self.waiting.wait()
        self._transport.sendto(answer, addr)

    @classmethod
    @asynccontextmanager
    async def running(cls) -> "AsyncIterator[Nameserver]":
        """A server on a port of its own."""
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(cls, local_addr=("127.0.0.1", 0))
        try:
            yield server
        finally:
            server.waiting.set()
            await asyncio.gather(*server._tasks)
            transport.close()
