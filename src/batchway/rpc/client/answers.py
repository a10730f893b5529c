"""Answers, each to its call: bytes in, results and errors out. No I/O.

Order says nothing: an answer belongs to the call that has its id. Source: JSON-RPC 2.0, sections 5 and 6.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import msgspec
import structlog
from msgspec import UNSET, Raw, Struct, UnsetType

from batchway.rpc.client.calls import PendingCall
from batchway.rpc.client.errors import BadAnswer, ClientError, HttpError
from batchway.rpc.errors import InternalError, InvalidParams, MethodNotFound, RpcError

log = structlog.get_logger(__name__)

_NONE = Raw(b"null")
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_KINDS: dict[int, type[RpcError]] = {
    kind.code: kind for kind in (MethodNotFound, InvalidParams, InternalError)
}


class Said(Struct):
    """What came back for a body. `refusal` is set if the status was no success."""

    body: bytes | None
    """None, or empty, if the server has nothing to say."""
    refusal: HttpError | None = None


class _Answer(Struct):
    id: Raw = _NONE
    result: Raw | UnsetType = UNSET
    error: Raw = _NONE


class _Error(Struct):
    code: int
    message: str = ""
    data: Any | UnsetType = UNSET


_decode_all = msgspec.json.Decoder(list[_Answer] | _Answer).decode
_decode_error = msgspec.json.Decoder(_Error).decode


def settle(calls: Sequence[PendingCall], said: Said) -> ClientError | None:
    """Give each of the calls its result or its error, whatever was said.

    What is returned concerns all of them: there is no answer to speak of.
    """
    try:
        answers = _answers(calls, said)
    except ClientError as error:
        fail_all(calls, error)
        return error
    _match(calls, answers)
    return None


def _answers(calls: Sequence[PendingCall], said: Said) -> list["_Answer"]:
    """The answers to the calls. Raises HttpError, BadAnswer if there are none to speak of."""
    try:
        answers = _read(said.body or b"")
    except BadAnswer as error:
        raise said.refusal or error from None
    if said.refusal is not None and not _answers_any(answers, calls):
        raise _refused(said.refusal, answers)
    return answers


def fail_all(calls: Sequence[PendingCall], error: ClientError) -> None:
    """All of the calls fail for one reason; each gets an exception of its own."""
    for call in calls:
        call.reply.fail(copy(error))


def key_of(id: Raw) -> str | None:
    """An id as it is compared: `1`, `1.0` and `"1"` are the same; None if there is none."""
    try:
        found = msgspec.json.decode(id)
    except _NOT_JSON:
        return bytes(id).decode(errors="replace")
    match found:
        case None:
            return None
        case str():
            return found
        case float() if found.is_integer():
            return str(int(found))
    return bytes(id).decode(errors="replace")


def error_of(answer_error: Raw) -> RpcError | BadAnswer:
    """What an error object says."""
    try:
        found = _decode_error(answer_error)
    except _NOT_JSON:
        return BadAnswer("the server answered with an error that is none of JSON-RPC's")
    return _KINDS.get(found.code, RpcError)(found.code, found.message, found.data)


def _read(body: bytes) -> list[_Answer]:
    """The answers in a body. Raises BadAnswer if it holds anything else."""
    if not body.strip():
        return []
    try:
        found = _decode_all(body)
    except msgspec.ValidationError:
        message = "the answer is JSON, but not JSON-RPC"
        raise BadAnswer(message) from None
    except _NOT_JSON:
        message = "the answer is not JSON"
        raise BadAnswer(message) from None
    answers = found if isinstance(found, list) else [found]
    # Sajya answers a notification with {}.
    return [one for one in answers if one.result is not UNSET or one.error != _NONE or one.id != _NONE]


def _answers_any(answers: Sequence[_Answer], calls: Sequence[PendingCall]) -> bool:
    """Whether one of the calls has its answer: some servers say with a status too that a call failed."""
    keys = {call.key for call in calls} - {None}
    return any(key_of(answer.id) in keys for answer in answers)


def _refused(refusal: HttpError, answers: Sequence[_Answer]) -> HttpError:
    found = error_of(answers[0].error) if len(answers) == 1 else None
    if isinstance(found, RpcError):
        refusal.error = found
        refusal.message += f": {found}"
        refusal.args = (refusal.message,)
    return refusal


class _Heard:
    """What was said to one batch, by whom it is for."""

    def __init__(self, calls: Sequence[PendingCall], answers: Sequence[_Answer]) -> None:
        self.of: dict[str, list[_Answer]] = {call.key: [] for call in calls if call.key is not None}
        self.nobodys: list[str] = []
        """Ids that no call has."""
        self.to_all: list[RpcError | BadAnswer] = []
        """What has no id: the server could not tell which call it is for."""
        for answer in answers:
            self._sort(answer)

    def _sort(self, answer: _Answer) -> None:
        key = key_of(answer.id)
        if key is None and answer.error == _NONE:
            self.to_all.append(BadAnswer("the server sent a result without an id"))
        elif key is None:
            self.to_all.append(error_of(answer.error))
        elif key in self.of:
            self.of[key].append(answer)
        else:
            self.nobodys.append(key)

    def why_missing(self, method: str) -> RpcError | ClientError:
        """Why a call has no answer."""
        if self.to_all and len({str(one) for one in self.to_all}) == 1:
            return copy(self.to_all[0])
        said = ""
        if self.to_all:
            said = f"; of calls that it does not name, the server says: {'; '.join(map(str, self.to_all))}"
        elif self.nobodys:
            said = f"; there is one with the id {self.nobodys[0][:40]}, which no call has"
        return BadAnswer(f"{method}: there is no answer to this call{said}")


def _match(calls: Sequence[PendingCall], answers: Sequence[_Answer]) -> None:
    heard = _Heard(calls, answers)
    is_known = False
    for call in calls:
        found = heard.of.get(call.key or "", [])
        if call.key is None:
            _settle_notification(call, heard, alone=not heard.of)
        elif len(found) == 1:
            _settle_call(call, found[0])
        elif found:
            call.reply.fail(BadAnswer(f"{call.method}: there are {len(found)} answers to this call"))
        else:
            is_known = True
            call.reply.fail(heard.why_missing(call.method))
    if (heard.nobodys or heard.to_all) and not is_known and heard.of:
        log.warning(
            "answers to no call", ids=heard.nobodys[:10], errors=[str(one) for one in heard.to_all[:10]]
        )


def _settle_notification(call: PendingCall, heard: _Heard, *, alone: bool) -> None:
    if alone and heard.to_all:
        call.reply.fail(copy(heard.to_all[0]))
    else:
        call.reply.settle(None)


def _settle_call(call: PendingCall, answer: _Answer) -> None:
    has_result = isinstance(answer.result, Raw)
    if answer.error != _NONE:
        # Members that are null are no members: JSON-RPC 1.0 had both in every answer.
        if has_result and answer.result != _NONE:
            call.reply.fail(BadAnswer(f"{call.method}: the answer has a result and an error"))
        else:
            call.reply.fail(error_of(answer.error))
    elif isinstance(answer.result, Raw):
        call.settle(answer.result)
    else:
        call.reply.fail(BadAnswer(f"{call.method}: the answer has neither a result nor an error"))
