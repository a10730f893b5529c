"""What must come back for a body, worked out another way: by Python's own json, member by member.

Says how many responses there are, which ids they have, and which of them have to be errors.
"""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

MISSING: Any = object()


class Number(str):
    """A number, as it was written."""


class Members(list[tuple[str, Any]]):
    """An object, with all that it has."""


class NoJson(Exception):
    """A body that is none."""


class TooDeep(Exception):
    """Nobody can say."""


def parse(body: bytes) -> Any:
    """A JSON document. Raises NoJson, TooDeep."""
    try:
        document = json.loads(
            body.decode(),
            object_pairs_hook=Members,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse,
        )
        for text in _strings(document):
            text.encode()  # no lone surrogates
    except RecursionError:
        raise TooDeep from None
    except ValueError as error:
        raise NoJson from error
    return document


def _refuse(_: str) -> Any:
    raise NoJson


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _strings(part)


def is_object(value: Any) -> bool:
    return isinstance(value, Members)


def is_array(value: Any) -> bool:
    return isinstance(value, list) and not is_object(value)


def is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def depth(value: Any) -> int:
    if not isinstance(value, list):
        return 0
    parts = [part for _, part in value] if is_object(value) else value
    return 1 + max(map(depth, parts), default=0)


def is_in_range(value: Any) -> bool:
    """Whether a float can hold each number with a fraction or an exponent."""
    if isinstance(value, Number):
        return value.removeprefix("-").isdigit() or math.isfinite(float(value))
    parts = value if isinstance(value, list | tuple) else ()
    return all(map(is_in_range, parts))


def is_id(value: Any) -> bool:
    return value is None or (isinstance(value, str) and is_in_range(value))


def is_call(entry: Any, profile: str, max_depth: int) -> bool:
    if not is_object(entry) or len(dict(entry)) != len(entry):
        return False
    members = dict(entry)
    method, version = members.get("method", ()), members.get("jsonrpc")
    params = members.get("params", [])
    return (
        is_text(version)
        and version == "2.0"
        and is_text(method)
        and bool(profile == "standard" or method.strip(" \t\n\r\0\x0b"))
        and isinstance(params, list)
        and depth(params) <= max_depth
        and is_id(members.get("id"))
    )


class Possible(NamedTuple):
    """What the response to an entry may be; MISSING among the ids: there may be none."""

    ids: list[Any]
    must_fail: bool


def possible(entry: Any, profile: str, max_depth: int) -> Possible:
    members = dict(entry) if is_object(entry) else {}
    given = members.get("id", MISSING)
    if is_call(entry, profile, max_depth):
        if given is not MISSING:
            return Possible([as_sent_back(given, profile)], must_fail=False)
        return Possible(
            [MISSING] if is_in_range(members.get("params")) else [MISSING, None], must_fail=True
        )
    ids = [value for name, value in entry if name == "id"] if is_object(entry) else []
    found = [as_sent_back(value, profile) for value in ids if is_id(value)]
    if not (profile == "standard" and len(ids) == len(found) == 1):
        found.append(None)
    return Possible(found, must_fail=True)


def as_sent_back(id: Any, profile: str) -> Any:
    return str(id) if profile == "sajya" and isinstance(id, Number) else id


def check(profile: str, body: bytes, said: bytes | None, *, max_items: int, max_depth: int) -> None:
    """Raises AssertionError if `said` is no answer to `body`."""
    answer = None if said is None else parse(said)
    if answer is not None and answer != []:
        for response in answer if is_array(answer) else [answer]:
            check_response(response, profile)
    try:
        document = parse(body)
    except NoJson:
        assert code(answer) == "-32700"
        return
    except TooDeep:
        return
    if is_array(document) and not document:
        assert code(answer) == "-32600"
    elif is_array(document) and len(document) > max_items:
        assert code(answer) == "-32000"
    elif code(answer) == "-32700":  # msgspec gives up sooner
        assert depth(document) > max_depth
    else:
        entries = document if is_array(document) else [document]
        check_responses(answer, [possible(entry, profile, max_depth) for entry in entries], profile)
        assert answer is None or answer == [] or is_array(answer) == is_array(document)


def check_response(response: Any, profile: str) -> None:
    if profile == "sajya" and response == []:  # {}: nothing, in answer to a notification
        return
    assert is_object(response)
    members = dict(response)
    outcome = "error" if "error" in members else "result"
    order = ["id", outcome, "jsonrpc"] if profile == "sajya" else ["jsonrpc", outcome, "id"]
    assert [name for name, _ in response] == order
    assert members["jsonrpc"] == "2.0"
    if outcome == "error":
        error = dict(members["error"])
        assert list(error) in (["code", "message"], ["code", "message", "data"])
        assert "data" in error or profile == "standard"
        assert isinstance(error["code"], Number)
        assert is_text(error["message"])


def code(answer: Any) -> str | None:
    """The code of an answer that is one error."""
    if not is_object(answer):
        return None
    return str(dict(dict(answer).get("error", ())).get("code"))


def check_responses(answer: Any, expected: Sequence[Possible], profile: str) -> None:
    nothing = answer is None or answer == []
    assert not (answer is None and profile == "sajya")
    responses = [] if nothing else answer if is_array(answer) else [answer]
    assert is_match([dict(response) for response in responses], expected), (answer, expected)


def is_match(responses: Sequence[dict[str, Any]], expected: Sequence[Possible]) -> bool:
    """Whether each entry may have been answered by the next response, or by none."""
    reached = {0}
    for possible in expected:
        answered = {at + 1 for at in reached if at < len(responses) and is_one(responses[at], possible)}
        reached = answered | reached if MISSING in possible.ids else answered
    return len(responses) in reached


def is_one(response: dict[str, Any], possible: Possible) -> bool:
    if possible.must_fail and "error" not in response:
        return False
    id = response["id"]
    return any(type(id) is type(one) and id == one for one in possible.ids)
