"""What clients are told when something goes wrong, and what only the log is told."""

import secrets
import traceback
from typing import Any

import structlog
from msgspec import Raw

from batchway.errors import BatchwayError, DeadlineExceeded
from batchway.formats.jsonrpc import NO_ID, Call, Dialect, Encode, Error, Malformed
from batchway.rpc.errors import BatchTimedOut, InternalError, RpcError, Unfit

log = structlog.get_logger(__name__)


class Teller:
    """Writes the responses of calls that failed."""

    def __init__(self, dialect: Dialect, encode: Encode, *, debug: bool) -> None:
        self._dialect = dialect
        self._encode = encode
        self._debug = debug

    def failure(self, error: Error, id: Raw) -> Raw:
        """The response with that error, whatever its data is."""
        try:
            return Raw(self._encode(self._dialect.failure(error, id)))
        except Exception as problem:  # noqa: BLE001 - data of the service's own; the log has it
            return Raw(self._encode(self._dialect.failure(self.internal_error(problem, "").error, id)))

    def tell(self, entry: Call | Malformed, error: BaseException, method: str = "") -> Raw | None:
        """The response to a call that failed with `error`; None for a notification.

        Of an exception that is no RpcError a client learns but an id, under which the log has all of it.
        """
        if isinstance(entry, Malformed):
            return self.failure(entry.error, entry.id)
        if isinstance(error, Unfit):
            malformed = self._dialect.unfit(entry, error.reason)
            return self.failure(malformed.error, malformed.id)
        if not isinstance(error, RpcError):
            error = self.internal_error(error, method)
        return None if entry.id is NO_ID else self.failure(error.error, entry.id)

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
