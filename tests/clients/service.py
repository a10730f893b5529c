"""What the clients call: an Ethereum node of one block for those that speak to nothing else, and sums.

uvicorn tests.clients.service:app
"""

from collections import defaultdict

from batchway.rpc import Procedure, RpcApp, RpcError, method

RICH = "0x" + "11" * 20
"""An account with a balance; the others have none."""


class Chain(Procedure):
    """The node. Quantities are hexadecimal, as its clients expect. Source: EIP-1474."""

    name = "eth"

    @method(name="chainId")
    async def chain_id(self) -> str:
        """Of a chain that nobody else has."""
        return hex(4242)

    @method(name="blockNumber")
    async def block_number(self) -> str:
        """The only one."""
        return hex(7)

    @method(name="gasPrice")
    async def gas_price(self) -> str:
        """In wei."""
        return hex(1_000_000_000)

    @method(name="getBalance")
    async def balance(self, address: str, block: str = "latest") -> str:
        """In wei. Raises if the block is not there yet."""
        if block not in ("latest", "pending", "earliest") and int(block, 16) > 7:
            raise RpcError(-32001, "Resource not found", {"block": block})
        return hex(10**18 if address.lower() == RICH else 0)

    @method(name="getTransactionCount")
    async def transaction_count(self, address: str, block: str = "latest") -> str:
        """How often an account has sent something."""
        return hex(5 if address.lower() == RICH else 0)


class Software(Procedure):
    """The node itself."""

    name = "web3"

    @method(name="clientVersion")
    async def client_version(self) -> str:
        """Its name and version."""
        return "batchway/test"


class Net(Procedure):
    """Its network."""

    name = "net"

    @method
    async def version(self) -> str:
        """Its number, decimal."""
        return "4242"


class Maths(Procedure):
    """For clients that speak to anything."""

    name = "maths"

    @method
    async def add(self, a: int, b: int) -> int:
        """The sum."""
        return a + b

    @method
    def divide(self, a: float, b: float) -> float:
        """The quotient. Raises if there is none."""
        if b == 0:
            raise RpcError(1001, "Division by zero", {"a": a})
        return a / b


class Journal(Procedure):
    """Where notifications leave a trace."""

    name = "journal"

    def __init__(self) -> None:
        self._notes: dict[str, list[str]] = defaultdict(list)

    @method
    async def note(self, topic: str, text: str) -> None:
        """Write down."""
        self._notes[topic].append(text)

    @method
    async def read(self, topic: str) -> list[str]:
        """What was written down."""
        return self._notes.get(topic, [])


PROCEDURES = (Chain, Software, Net, Maths, Journal)

app = RpcApp(PROCEDURES, delimiter="_")
never_204 = RpcApp(PROCEDURES, delimiter="_", empty_status=200)
"""For clients that take a notification for failed unless it is answered with 200."""
