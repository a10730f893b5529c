"""The operators of conditions: each makes of the value in a condition a test of a variable's value.

Source: lua-resty-expr 1.3, `lib/resty/expr/v1.lua`; lua-resty-ipmatcher.
"""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import msgspec

Test = Callable[[Any], bool]
"""Whether a variable's value fulfils a condition."""


def error(where: str, expected: str, got: object) -> ValueError:
    """That at `where` there is not what is expected."""
    return ValueError(f"{where}: expected {expected}, got {shown(got)}")


def shown(value: object) -> str:
    """A value as JSON, cut short."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:79]}…"


_NUMBER = re.compile(
    r"\s*[+-]?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*", re.ASCII
)


def number(value: object) -> int | float | None:
    """What Lua's `tonumber` makes of it. None for what is no number, also for `inf` and `nan`."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or len(value) > 400 or not _NUMBER.fullmatch(value):
        return None
    digits = value.strip()
    return int(digits, 16) if "x" in digits.lower() else float(digits)


def _equal(value: object, where: str) -> Test:
    if isinstance(value, list | tuple | dict):
        raise error(where, "a string, a number, a boolean or null", value)
    if isinstance(value, bool):
        return lambda _found: False  # no variable is a boolean
    if isinstance(value, int | float):
        return lambda found: number(found) == value
    return lambda found: bool(found == value)


def _unequal(value: object, where: str) -> Test:
    equal = _equal(value, where)
    return lambda found: not equal(found)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[object, str], Test]:
    def make(value: object, where: str) -> Test:
        limit = number(value)
        if limit is None:
            raise error(where, "a number", value)

        def test(found: object) -> bool:
            known = number(found)
            return known is not None and compare(known, limit)

        return test

    return make


def _in(value: object, where: str) -> Test:
    if not isinstance(value, list | tuple):
        raise error(where, "an array", value)
    # As in APISIX, "1" is not in [1]: a variable is text, and nothing is converted here.
    texts = frozenset(one for one in value if isinstance(one, str))
    return lambda found: found in texts


def _has(value: object, where: str) -> Test:
    if isinstance(value, list | tuple | dict):
        raise error(where, "a string, a number, a boolean or null", value)
    return lambda found: isinstance(found, list | tuple) and value in found


def networks(value: object, where: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks that an address, a network in CIDR notation or an array of them names.

    Raises ValueError that begins with the place of the one that is none.
    """
    if isinstance(value, str):
        return (_network(value, where),)
    if not isinstance(value, list | tuple) or not value:
        raise error(where, "an address, a network or an array of them", value)
    return tuple(_network(one, f"{where}[{index}]") for index, one in enumerate(value))


def _network(value: object, where: str) -> IPv4Network | IPv6Network:
    try:
        if isinstance(value, str):
            return _plain(ip_network(value, strict=False))
    except ValueError:
        pass
    raise error(where, "an address or a network", value)


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """IPv4 addresses that are written as IPv6 ones, `::ffff:10.0.0.0/104`, as themselves."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))


_MAPPED_BITS = 96
"""RFC 4291, section 2.5.5.2."""


def within(found: Iterable[IPv4Network | IPv6Network]) -> Test:
    """A test whether an address is in one of these networks. It remembers some of its answers."""
    known: dict[str, bool] = {}
    nets = tuple(found)

    def test(address: str | None) -> bool:
        if address is None:
            return False
        answer = known.get(address)
        if answer is None:
            if len(known) >= _MAX_KNOWN:
                known.clear()
            answer = _is_within(address, nets)
            if len(address) <= _MAX_ADDRESS:
                known[address] = answer
        return answer

    return test


_MAX_KNOWN = 1024
_MAX_ADDRESS = 45  # of the longest that there is, an IPv6 address with an IPv4 one in it


def _is_within(address: str, nets: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    plain = (parsed.version == 6 and parsed.ipv4_mapped) or parsed
    return any(plain in net for net in nets)


OPERATORS: dict[str, Callable[[object, str], Test]] = {
    "==": _equal,
    "~=": _unequal,
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    "in": _in,
    "has": _has,
    "ipmatch": lambda value, where: within(networks(value, where)),
}
"""By their names, in lower case. Each raises ValueError that begins with the place it is told."""
