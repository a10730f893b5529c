"""Errors as a JSON-RPC client is told them: a code, a message, and data if there is more to say.

Codes -32000 to -32099 are the server's own; those of batchway stand here. They keep clear of the codes that
EIP-1474 has given a meaning, but for -32005, which means the same there.
"""

from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from batchway.formats import jsonrpc
from batchway.formats.jsonrpc import Error


class RpcError(Exception):
    """What a procedure raises to have its client told; a subclass gives `code` and `message` a default.

    No BatchwayError: `code` is a number here, and what a service refuses is no failure of ours.
    """

    code: int = jsonrpc.INTERNAL_ERROR
    message: str = "Internal error"
    data: Any | UnsetType = UNSET
    status: ClassVar[int] = 200
    """The HTTP status of a response that is nothing but this error."""

    def __init__(
        self, code: int | None = None, message: str | None = None, data: Any | UnsetType = UNSET
    ) -> None:
        """Raises TypeError for a code that is no number and for a message that is no text."""
        cls = type(self)
        self.code = cls.code if code is None else code
        self.message = cls.message if message is None else message
        self.data = data
        if not isinstance(self.code, int) or not isinstance(self.message, str):
            problem = f"{cls.__name__}: expected a number as the code and a text as the message"
            raise TypeError(problem)
        super().__init__(self.code, self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"

    @property
    def error(self) -> Error:
        """The error object."""
        return Error(self.code, self.message, self.data)


class MethodNotFound(RpcError):
    """There is no such method, or none that may be called."""

    code = jsonrpc.METHOD_NOT_FOUND
    message = "Method not found"


class InvalidParams(RpcError):
    """The params do not fit the method. `data`: the fields that are wrong, each with what is wrong."""

    code = jsonrpc.INVALID_PARAMS
    message = "Invalid params"


class InternalError(RpcError):
    """The method failed. `data` has the `error_id` under which the log has more."""


class LimitExceeded(RpcError):
    """The method is called more often than its `rate` allows."""

    code = -32005
    message = "Limit exceeded"


class BatchTimedOut(RpcError):
    """The batch's time was up before this call had its answer."""

    code = -32050
    message = "Batch timed out"


class CallTimedOut(RpcError):
    """The call took longer than its `timeout`."""

    code = -32051
    message = "Call timed out"


class ResponseTooLarge(RpcError):
    """The result is larger than `max_reply_bytes`, or all of them than `max_response_bytes`."""

    code = -32052
    message = "Response too large"


class RequestTooLarge(RpcError):
    """The body is larger than `max_body_bytes`."""

    code = -32053
    message = "Request too large"
    status = 413


class TooHeavy(RpcError):
    """What the calls before this one weigh leaves no room for it under `max_weight`."""

    code = -32054
    message = "Batch too heavy"


class Busy(RpcError):
    """No thread, or no room for background work, is free, and too many wait for one."""

    code = -32055
    message = "Server busy"


class UnsupportedMediaType(RpcError):
    """The body's coding is unknown; or its type is not JSON, and `strict_content_type` wants that."""

    code = -32056
    message = "Unsupported media type"
    status = 415


class HttpMethodRefused(RpcError):
    """Calls come by POST; by GET, if at all, those of idempotent methods."""

    code = -32057
    message = "HTTP method not allowed"
    status = 405


class Unfit(Exception):
    """The params are no params, so that the call is no call: neither array nor object, or with `reason`."""

    def __init__(self, reason: str | UnsetType = UNSET) -> None:
        super().__init__(reason)
        self.reason = reason
