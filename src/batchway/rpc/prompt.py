"""Calls that have their result on the spot: a method that never suspends, and needs but its params.

All of it could be done as for every other call. It is done here for speed: no coroutine, no context, and
names that are looked up once a batch. A call costs about 0.4 µs here, most of which is msgspec's.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from batchway.formats.jsonrpc import NO_ID, Call, Encode

FAILURES = (Exception, asyncio.CancelledError, SystemExit)
"""What a call fails with. One that calls `sys.exit`, in a library perhaps, is not to end the server."""

SMALL = 4096
"""Bytes; larger results are counted as they are made."""

Response = Struct | Raw | None
"""What is encoded once all of a batch are there; None for a notification."""
Started = Response | Coroutine[Any, Any, Response]
"""The response to a call, or what has yet to run for it."""

_TINY = frozenset({int, float, bool, types.NoneType})
# Results of other types are encoded at once: who has returned them may change them later.

_MISFITS = (msgspec.DecodeError, RecursionError)

_astuple = msgspec.structs.astuple


Prompt = tuple[Callable[[Raw], Any], type[Struct], Callable[..., Any], bool]
"""Of a method: the decoder of its params, what that makes of params by name, the function, and whether that
is async. No NamedTuple: those are slow to unpack."""


def target(
    prompts: Mapping[str, Prompt],
    encode: Encode,
    answer: Callable[[Any, Raw], Struct],
    *,
    otherwise: Callable[[Call], Started],
    failed: Callable[[Call, BaseException | None], Response],
    large: Callable[[Call, Raw], Response],
    small: int = SMALL,
) -> Callable[[Call], Started]:
    """What answers the calls of one batch, for the engine.

    `otherwise` takes calls of no such method, `failed` those that raise, with None if their params do not
    fit, and `large` has the last word on a result of more than `small` bytes.
    """
    find = prompts.get
    drive = _driver()

    def start(call: Call) -> Started:
        nonlocal drive
        prompt = find(call.method)
        if prompt is None:
            return otherwise(call)
        decode, named, function, is_async = prompt
        try:
            args = decode(call.params)
        except Exception as error:  # noqa: BLE001 - a hook of the service's may raise anything
            return failed(call, None if isinstance(error, _MISFITS) else error)
        try:
            if args.__class__ is named:
                args = _astuple(args)
            result = drive(function(*args)) if is_async else function(*args)
            id = call.id
            if id is NO_ID:
                return None
            if result.__class__ not in _TINY:
                result = Raw(encode(result))
                if len(result) > small:
                    return large(call, result)
            return answer(result, id)
        except FAILURES as error:  # nobody else can have cancelled
            drive = _driver()  # the failure has ended it
            return failed(call, error)

    return start


@types.coroutine
def _drive() -> Generator[Any, Any, None]:
    """Run each coroutine that is sent here to its end, and yield its result.

    For those that never suspend. `send` of a coroutine itself would cost an exception for each result.
    """
    result = None
    while True:
        result = yield from (yield result)


def _driver() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    drive: Any = _drive()
    drive.send(None)
    return drive.send  # type: ignore[no-any-return] # a generator's
