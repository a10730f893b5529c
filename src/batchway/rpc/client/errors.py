"""What keeps a client from an answer. What a server itself says of a call is an RpcError."""

from batchway.rpc.errors import RpcError


class ClientError(Exception):
    """There is no answer to a call, or none that could be understood.

    No BatchwayError: the status in those is one to answer with, here it is what was answered.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class Unreachable(ClientError):
    """No connection could be made: nothing was sent, so that no call has run."""


class ConnectionBroken(ClientError):
    """The connection ended before the answer was whole. Whether the calls have run is not known."""


class AnswerTimedOut(ClientError, TimeoutError):
    """The time was up before the answer was there. Whether the calls have run is not known."""


class BadAnswer(ClientError):
    """What came back is no answer to the call: not JSON-RPC, of another type, missing, or there twice."""


class ClientClosed(ClientError):
    """The client is closed, or was closed while the call ran."""


class HttpError(ClientError):
    """The server, or what stands before it, has answered with a status that is no success."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        body: bytes = b"",
        error: RpcError | None = None,
    ) -> None:
        """`error`: what the body says, if it is an error of JSON-RPC."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body = body
        self.error = error


class Redirected(HttpError):
    """The server wants to be asked elsewhere. `location` says where; it is not followed."""

    location: str = ""
