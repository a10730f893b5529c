"""What an upstream resource says, as far as sending requests goes. Structural: no import of the schema."""

from collections.abc import Sequence
from typing import Literal, Protocol


class Node(Protocol):
    """One server."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def weight(self) -> int: ...


class Timeout(Protocol):
    """Seconds that each step may take."""

    @property
    def connect(self) -> float: ...
    @property
    def send(self) -> float: ...
    @property
    def read(self) -> float: ...


class KeepalivePool(Protocol):
    """Idle connections to one node: how many, how many seconds, for how many requests."""

    @property
    def size(self) -> int: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def requests(self) -> int: ...


class Tls(Protocol):
    """TLS towards the nodes."""

    @property
    def verify(self) -> bool: ...


class Upstream(Protocol):
    """Servers, and how to talk to them."""

    def node_list(self) -> Sequence[Node]: ...
    @property
    def scheme(self) -> Literal["http", "https"]: ...
    @property
    def pass_host(self) -> Literal["pass", "node", "rewrite"]: ...
    @property
    def upstream_host(self) -> str | None: ...
    @property
    def timeout(self) -> Timeout: ...
    @property
    def retries(self) -> int | None: ...
    @property
    def keepalive_pool(self) -> KeepalivePool | None: ...
    @property
    def max_connections(self) -> int | None: ...
    @property
    def tls(self) -> Tls: ...
