"""Who changed what, and who tried to: one line of the log for each write."""

from collections.abc import Sequence

import structlog
from msgspec import Struct

from batchway.admin.resource import Answer
from batchway.errors import BatchwayError

log = structlog.get_logger(__name__)

_MAX_PATH = 200


class Attempt(Struct):
    """A write. Neither its document nor what an error says of it gets into the log."""

    method: str
    path: str
    """Below /apisix/admin."""
    client: str | None
    """The address that it came from."""
    who: str | None = None
    """The name of the admin key; None as long as there is no valid one."""


def attempt(method: str, segments: Sequence[str], client: str | None) -> Attempt:
    """A write that has begun."""
    return Attempt(method, "/".join(segments)[:_MAX_PATH], client)


def done(attempt: Attempt, answer: Answer) -> None:
    """It was carried out."""
    log.info(
        "admin write",
        **_common(attempt),
        status=answer.status,
        key=answer.key or None,
        revision=answer.revision,
    )


def refused(attempt: Attempt, status: int, code: str) -> None:
    """It was not, and nothing has changed."""
    log.warning("admin write refused", **_common(attempt), status=status, code=code)


def failed(attempt: Attempt, error: BatchwayError) -> None:
    """It was not, because of `error`."""
    refused(attempt, error.status, error.code)


def _common(attempt: Attempt) -> dict[str, object]:
    return {
        "who": attempt.who,
        "client": attempt.client,
        "method": attempt.method,
        "path": attempt.path,
    }
