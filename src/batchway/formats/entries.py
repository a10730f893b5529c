"""A closer look at JSON that is not decoded yet: nesting, members that come twice, ids. No I/O.

Takes only what has been found to be JSON, unless it says otherwise. Slow beside decoding: for entries that
are suspect.
"""

import json
import math
import re
import sys
from collections import Counter
from itertools import accumulate

import msgspec
from msgspec import Raw, Struct

MAX_DEPTH = 1000
"""How deep decoders follow, if nobody has changed what Python starts with."""
_SAFE_LIMIT = 10 * MAX_DEPTH

# Possessive, and to the end of the text if it has no end of its own: else each quote in it would be tried.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = [(byte in b"[{") - (byte in b"]}") for byte in range(256)]
_MISSING = Raw()


class _WithId(Struct):
    id: Raw = _MISSING


_decode_raw = msgspec.json.Decoder(Raw).decode
_decode_raws = msgspec.json.Decoder(list[Raw]).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_id = msgspec.json.Decoder(_WithId).decode


def split(body: bytes, *, single: bool) -> list[Raw]:
    """The entries of an array, or the one that the body is. Raises DecodeError if it is no JSON."""
    return [_decode_raw(body)] if single else _decode_raws(body)


def check_depth(body: bytes) -> None:
    """Raises RecursionError where a decoder might not. `body` may be no JSON.

    The bound of decoders is the recursion limit. Some libraries (py_ecc, which web3 brings along) raise it
    so far that Python 3.11 comes to its end for want of stack before that.
    """
    if sys.getrecursionlimit() > _SAFE_LIMIT and is_deeper(body, MAX_DEPTH):
        raise RecursionError


def is_scalar(value: Raw) -> bool:
    """Whether it is a string, null, a whole number, or one with a fraction that a float can hold."""
    text = bytes(value)
    if text[0] in b'"n':
        return True
    if text[0] not in b"-0123456789":
        return False
    return text.removeprefix(b"-").isdigit() or math.isfinite(float(text))


def id_of(entry: Raw) -> Raw | None:
    """The `id` of an entry, whatever it is; None if it has none, or is no object."""
    try:
        found = _decode_id(entry).id
    except msgspec.ValidationError:
        return None
    return None if found is _MISSING else found


def is_deeper(value: Raw | bytes, depth: int) -> bool:
    """Whether it has arrays and objects nested deeper than `depth`. May be asked of what is no JSON."""
    if len(value) <= 2 * depth:
        return False
    text = bytes(value)
    if text.count(b"[") + text.count(b"{") <= depth:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _ALL_BUT_BRACKETS)
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > depth


def repeated_members(entry: Raw) -> set[str]:
    """The names that come more than once in an object; not in what is nested in it."""
    if _has_all_colons(bytes(entry)):
        return set()
    # Numbers stay text: nothing is computed with them, and a long one would be refused.
    pairs = json.loads(bytes(entry), object_pairs_hook=list, parse_int=str, parse_float=str)
    return {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}


def _has_all_colons(entry: bytes) -> bool:
    """Whether the members that are left once each name is there once have all colons of an object.

    Three times quicker than to look at each. False if it cannot be said: a colon may be written otherwise.
    """
    if b"\\" in entry:
        return False
    members = _decode_members(entry)
    within = b"".join(members.values()).count(b":") + "".join(members).count(":")
    return entry.count(b":") == len(members) + within
