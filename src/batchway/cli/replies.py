"""The answer to a batch: bytes in, what became of each item out. No I/O."""

from itertools import zip_longest
from typing import Any

import msgspec
from msgspec import Struct

from batchway.cli.failures import BatchNotRun, NoAnswer
from batchway.cli.post import Answer, Endpoint

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Outcome(Struct, frozen=True):
    """What became of one item."""

    label: str
    """Method and path."""
    status: int | None
    """None: the answer has no reply for the item, or none with a status."""
    reason: str
    duration_ms: float | None
    """None where the reply does not say."""
    body_bytes: int | None
    """None where there is no body."""

    @property
    def is_failure(self) -> bool:
        """Whether the item did not get what it asked for."""
        return self.status is None or self.status >= 400


def outcomes(answer: Answer, labels: list[str], endpoint: Endpoint) -> list[Outcome]:
    """What became of each item, in their order.

    Raises BatchNotRun, with the server's own words, if the status is not 200; NoAnswer for an answer
    that is no batch reply.
    """
    if answer.status != 200:
        raise BatchNotRun(f"{endpoint}: the batch was refused: {_refusal(answer)}")
    try:
        replies = msgspec.json.decode(answer.body)
    except _NOT_JSON:
        problem = "the answer is not JSON: is this a batch endpoint? Check --url"
        raise NoAnswer(f"{endpoint}: {problem}") from None
    if not isinstance(replies, list) or len(replies) > len(labels):
        problem = "the answer is no array of replies: is this a batch endpoint? Check --url"
        raise NoAnswer(f"{endpoint}: {problem}")
    return [_outcome(label, reply) for label, reply in zip_longest(labels, replies)]


def is_json(body: bytes) -> bool:
    """Whether `body` is JSON."""
    try:
        msgspec.json.decode(body)
    except _NOT_JSON:
        return False
    return True


def _refusal(answer: Answer) -> str:
    if answer.location is not None and 300 <= answer.status < 400:
        return f"{answer.status}, redirected to {answer.location}: give that as --url if you trust it"
    said = _error_msg(answer.body) or answer.reason
    if not said.startswith(str(answer.status)):
        said = f"{answer.status} {said}"
    if answer.status in (404, 405):
        said += ": is this a batch endpoint? Check --url"
    return said


def _error_msg(body: bytes) -> str | None:
    try:
        document = msgspec.json.decode(body)
    except _NOT_JSON:
        return None
    match document:
        case {"error_msg": str(message)} | {"message": str(message)}:
            return message
        case _:
            return None


def _outcome(label: str, reply: object) -> Outcome:
    fields: dict[str, Any] = reply if isinstance(reply, dict) else {}
    status, reason = fields.get("status"), fields.get("reason")
    duration = fields.get("duration_ms")
    return Outcome(
        label,
        status if type(status) is int else None,
        reason if isinstance(reason, str) else "",
        duration if type(duration) in (int, float) else None,
        _size(fields),
    )


def _size(reply: dict[str, Any]) -> int | None:
    """Bytes of the body as the upstream sent it, once decoded."""
    match reply:
        case {"body": str(body), "body_encoding": "base64"}:
            return len(body) * 3 // 4 - body[-2:].count("=")
        case {"body": str(body)}:
            return len(body.encode())
        case {"body": None}:
            return None
        case {"body": body}:
            return len(msgspec.json.encode(body))
        case _:
            return None
