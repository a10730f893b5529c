"""What passes between an app and what carries its bytes."""

from msgspec import Struct

from batchway.rpc.background import Job


class Answered(Struct):
    """What a batch is answered with. `jobs` are for `RpcApp.release`, once the body is sent."""

    body: bytes | None
    """None if there is nothing to say."""
    status: int = 200
    """Where the transport is HTTP, and there is a body."""
    jobs: list[Job] = []
