"""What clients are told when something goes wrong, and what only the log is told."""

import secrets
import traceback
from collections.abc import Callable
from copy import copy
from typing import Any

import structlog
from msgspec import UNSET, Raw

from batchway.errors import BatchwayError, DeadlineExceeded
from batchway.formats.jsonrpc import NO_ID, Call, Dialect, Encode, Error, Malformed
from batchway.rpc.errors import BatchTimedOut, InternalError, ResponseTooLarge, RpcError, Unfit

log = structlog.get_logger(__name__)


class Teller:
    """Writes the responses of calls that failed."""

    def __init__(self, dialect: Dialect, encode: Encode, *, debug: bool, max_bytes: int) -> None:
        """`max_bytes`: of one response; an error with more data than that is told of without it."""
        self._max_bytes = max_bytes
        self._dialect = dialect
        self._encode = encode
        self._debug = debug
        self._told: Callable[[Call | Malformed, int], None] | None = None

    def watched(self, told: Callable[[Call | Malformed, int], None]) -> "Teller":
        """As this one, and `told` hears the code of each entry's error, a notification's too."""
        other = copy(self)
        other._told = told
        return other

    def failure(self, error: Error, id: Raw) -> Raw:
        """The response with that error, whatever its data is."""
        return self._write(error, id)[0]

    def _write(self, error: Error, id: Raw) -> tuple[Raw, int]:
        """The response, and its error's code: that of another error, if it cannot be this one."""
        try:
            failure = Raw(self._encode(self._dialect.failure(error, id)))
        except Exception as problem:  # noqa: BLE001 - data of the service's own; the log has it
            error = self.internal_error(problem, "").error
            return Raw(self._encode(self._dialect.failure(error, id))), error.code
        if len(failure) > self._max_bytes and error.data is not UNSET:
            return self._write(ResponseTooLarge().error, id)
        return failure, error.code

    def tell(self, entry: Call | Malformed, error: BaseException, method: str = "") -> Raw | None:
        """The response to a call that failed with `error`; None for a notification.

        Of an exception that is no RpcError a client learns but an id, under which the log has all of it.
        """
        if isinstance(error, Unfit) and not isinstance(entry, Malformed):
            failed: Call | Malformed = self._dialect.unfit(entry, error.reason)
        else:
            failed = entry
        if isinstance(failed, Malformed):
            found = failed.error
        elif isinstance(error, RpcError):
            found = error.error
        else:
            found = self.internal_error(error, method).error
        response, code = (None, found.code) if failed.id is NO_ID else self._write(found, failed.id)
        if self._told is not None:
            self._told(entry, code)
        return response

    def tell_unanswered(self, entry: Call | Malformed, error: BatchwayError) -> Raw | None:
        """The response to a call that the engine has no answer of; it has logged what is not to be told."""
        return self.tell(entry, BatchTimedOut() if isinstance(error, DeadlineExceeded) else InternalError())

    def internal_error(self, error: BaseException, method: str) -> InternalError:
        """What is told in place of an exception that nobody meant for a client."""
        error_id = secrets.token_hex(8)
        log.error("call failed", method=method, error_id=error_id, exc_info=error)
        data: dict[str, Any] = {"error_id": error_id}
        if self._debug:
            data["exception"] = f"{type(error).__name__}: {error}"
            data["trace"] = traceback.format_exception(error)
        return InternalError(data=data)
