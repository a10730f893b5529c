"""JSON as those write it who have one type for all numbers: Lua, or Java's Gson, which says `1.0` for 1."""

import math

import msgspec

_EXACT = 2**53
"""From here on, not every integer is a float."""


def decode(text: bytes) -> object:
    """The value; a float that is an integer becomes one.

    Raises what msgspec and Python raise for what is no JSON.
    """
    value: object = _decoder.decode(text)
    return value


def whole(value: float) -> int | float:
    """`value` as an integer, if it is one."""
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _number(text: str) -> int | float:
    value = float(text)
    if math.isinf(value):
        message = "a number is out of range"
        raise ValueError(message)
    return whole(value)


_decoder = msgspec.json.Decoder(float_hook=_number)
