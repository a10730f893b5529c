"""A DNS server that answers what it is told. Source: RFC 1035, section 4."""

import socket
import struct
import threading
from typing import Self

from .wire import Address

_A, _AAAA = 1, 28


class Dns:
    """Answers A questions over UDP; names that it does not know do not exist."""

    def __init__(self, ttl_s: int = 1) -> None:
        self.names: dict[str, list[str]] = {}
        self.ttl_s = ttl_s
        self.ttls_s: dict[str, int] = {}
        """Of names whose answers hold for another time than `ttl_s`."""
        self.silent = False
        """Take questions and say nothing."""
        self.questions: list[tuple[str, int]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: Address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()

    @property
    def server(self) -> str:
        """As `dns_resolver` has it."""
        return f"{self.address[0]}:{self.address[1]}"

    def asked(self, name: str) -> int:
        """How often the address of that name was asked for."""
        return self.questions.count((name, _A))

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            answer = self._answer(data)
            if not self.silent:
                self._socket.sendto(answer, client)

    def _answer(self, data: bytes) -> bytes:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode().lower())
            at += 1 + data[at]
        question = data[12 : at + 5]
        (kind,) = struct.unpack("!H", data[at + 1 : at + 3])
        name = ".".join(labels)
        self.questions.append((name, kind))
        found = self.names.get(name)
        addresses = found if found and kind == _A else []
        flags = 0x8180 if found is not None else 0x8183  # NXDOMAIN
        records = b"".join(
            struct.pack("!HHHIH", 0xC00C, _A, 1, self.ttls_s.get(name, self.ttl_s), 4)
            + socket.inet_aton(address)
            for address in addresses
        )
        return data[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0) + question + records
