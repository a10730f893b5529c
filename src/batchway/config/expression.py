"""Conditions on a request's variables: the lists that stand in a route's `vars`.

Source: lua-resty-expr 1.3, `lib/resty/expr/v1.lua`. A condition is `[variable, operator, value]` or, turned
round, `[variable, "!", operator, value]`. Conditions are joined by a word at the head of a list (`AND`,
`OR`, `!AND` or `!OR`), by AND where there is none, and lists stand in lists.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import msgspec

from batchway.config.pattern import compile_pattern

Lookup = Callable[[str], str | None]
"""A variable's value by its name; None if it has none."""
Expression = Callable[[Lookup], bool]

_Test = Callable[[Any], bool]
"""Whether a variable's value fulfils a condition."""

MAX_DEPTH = 32
"""Lists within lists."""
MAX_SUBJECT = 8192
"""Characters of a value that a pattern is held against. A longer one fulfils no condition with a pattern,
turned round or not: Python's `re` cannot be stopped, and the time it takes grows faster than its text."""


def compile(expression: Sequence[Any], where: str = "vars") -> Expression:
    """`expression` as a function; of an empty one it is always true.

    Raises ValueError that begins with the place of what is wrong: `where` and the indices that lead there.
    """
    if not isinstance(expression, list | tuple):
        raise _error(where, "an array", expression)
    if not expression:
        return _always
    if not isinstance(expression[0], list | tuple) and _word(expression[0]) not in _JOINTS:
        raise _error(where, "an array of conditions, each an array itself", expression)
    return _compile(expression, where, 0)


def variables_of(expression: Sequence[Any]) -> frozenset[str]:
    """The names of the variables in an expression that `compile` takes."""
    if not expression:
        return frozenset()
    head = expression[0]
    if isinstance(head, list | tuple) or _word(head) in _JOINTS:
        inner = (variables_of(one) for one in expression if isinstance(one, list | tuple))
        return frozenset[str]().union(*inner)
    return frozenset((head,))


def _always(_lookup: Lookup) -> bool:
    return True


def _error(where: str, expected: str, got: object) -> ValueError:
    return ValueError(f"{where}: expected {expected}, got {_shown(got)}")


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else f"{text[:79]}…"


def _word(value: object) -> str:
    return value.upper() if isinstance(value, str) else ""


# --- lists


def _compile(expression: object, where: str, depth: int) -> Expression:
    if not isinstance(expression, list | tuple) or not expression:
        raise _error(where, "a condition or an array of them", expression)
    if depth > MAX_DEPTH:
        msg = f"{where}: expected at most {MAX_DEPTH} arrays within each other"
        raise ValueError(msg)
    head = expression[0]
    joint = _word(head)
    if isinstance(head, list | tuple):
        return _all(_parts(expression, where, 0, depth))
    if joint not in _JOINTS:
        return _condition(expression, where)
    if len(expression) < 3:
        msg = f"{where}: expected at least two conditions behind {_shown(head)}, got {len(expression) - 1}"
        raise ValueError(msg)
    return _JOINTS[joint](_parts(expression, where, 1, depth))


def _parts(expression: Sequence[Any], where: str, start: int, depth: int) -> tuple[Expression, ...]:
    return tuple(
        _compile(part, f"{where}[{index}]", depth + 1)
        for index, part in enumerate(expression[start:], start)
    )


def _all(parts: tuple[Expression, ...]) -> Expression:
    if len(parts) == 1:
        return parts[0]

    def fulfilled(lookup: Lookup) -> bool:
        for part in parts:
            if not part(lookup):
                return False
        return True

    return fulfilled


def _any(parts: tuple[Expression, ...]) -> Expression:
    def fulfilled(lookup: Lookup) -> bool:
        for part in parts:
            if part(lookup):
                return True
        return False

    return fulfilled


def _not(expression: Expression) -> Expression:
    return lambda lookup: not expression(lookup)


_JOINTS: dict[str, Callable[[tuple[Expression, ...]], Expression]] = {
    "AND": _all,
    "OR": _any,
    "!AND": lambda parts: _not(_all(parts)),
    "!OR": lambda parts: _not(_any(parts)),
}


# --- one condition


def _condition(condition: Sequence[Any], where: str) -> Expression:
    name, is_turned, operator, value, at = _taken_apart(condition, where)
    if not isinstance(name, str) or not name:
        raise _error(f"{where}[0]", "the name of a variable", name)
    if operator in _PATTERNS:
        return _matching(name, compile_pattern(value, f"{where}[{at}]", **_PATTERNS[operator]), is_turned)
    test = _OPERATORS[operator](value, f"{where}[{at}]")
    if is_turned:
        return lambda lookup: not test(lookup(name))
    return lambda lookup: test(lookup(name))


def _taken_apart(condition: Sequence[Any], where: str) -> tuple[Any, bool, str, Any, int]:
    """Name, whether it is turned round, operator, value and the value's index.

    `[name, operator]` compares with null, `[name, value]` by `==`.
    """
    match list(condition):
        case [name, "!", operator, value]:
            return name, True, _operator(operator, f"{where}[2]"), value, 3
        case [_, other, _, _]:
            raise _error(f"{where}[1]", '"!"', other)
        case [name, operator, value]:
            return name, False, _operator(operator, f"{where}[1]"), value, 2
        case [name, str() as operator] if operator.lower() in _KNOWN:
            return name, False, operator.lower(), None, 2
        case [name, value]:
            return name, False, "==", value, 1
    raise _error(where, "[variable, operator, value]", condition)


def _operator(operator: object, where: str) -> str:
    if isinstance(operator, str) and operator.lower() in _KNOWN:
        return operator.lower()
    raise _error(where, f"one of {', '.join(sorted(_KNOWN))}", operator)


def _matching(name: str, pattern: re.Pattern[str], is_turned: bool) -> Expression:
    search = pattern.search

    def fulfilled(lookup: Lookup) -> bool:
        value = lookup(name)
        if value is None:
            return is_turned
        return len(value) <= MAX_SUBJECT and (search(value) is None) is is_turned

    return fulfilled


# --- operators. Each makes of the value in the condition a test of the variable's value.

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


def _equal(value: object, where: str) -> _Test:
    if isinstance(value, list | tuple | dict):
        raise _error(where, "a string, a number, a boolean or null", value)
    if isinstance(value, bool):
        return lambda _found: False  # no variable is a boolean
    if isinstance(value, int | float):
        return lambda found: number(found) == value
    return lambda found: bool(found == value)


def _unequal(value: object, where: str) -> _Test:
    equal = _equal(value, where)
    return lambda found: not equal(found)


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[object, str], _Test]:
    def make(value: object, where: str) -> _Test:
        limit = number(value)
        if limit is None:
            raise _error(where, "a number", value)

        def test(found: object) -> bool:
            known = number(found)
            return known is not None and compare(known, limit)

        return test

    return make


def _in(value: object, where: str) -> _Test:
    if not isinstance(value, list | tuple):
        raise _error(where, "an array", value)
    # As in APISIX, "1" is not in [1]: a variable is text, and nothing is converted here.
    texts = frozenset(one for one in value if isinstance(one, str))
    return lambda found: found in texts


def _has(value: object, where: str) -> _Test:
    if isinstance(value, list | tuple | dict):
        raise _error(where, "a string, a number, a boolean or null", value)
    return lambda found: isinstance(found, list | tuple) and value in found


def networks(value: object, where: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks that an address, a network in CIDR notation or an array of them names.

    Raises ValueError that begins with the place of the one that is none.
    """
    if isinstance(value, str):
        return (_network(value, where),)
    if not isinstance(value, list | tuple) or not value:
        raise _error(where, "an address, a network or an array of them", value)
    return tuple(_network(one, f"{where}[{index}]") for index, one in enumerate(value))


def _network(value: object, where: str) -> IPv4Network | IPv6Network:
    try:
        if isinstance(value, str):
            return ip_network(value, strict=False)
    except ValueError:
        pass
    raise _error(where, "an address or a network", value)


def within(found: Iterable[IPv4Network | IPv6Network]) -> _Test:
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
    return any(parsed in net for net in nets)


_OPERATORS: dict[str, Callable[[object, str], _Test]] = {
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
_PATTERNS: dict[str, dict[str, bool]] = {"~~": {"ignore_case": False}, "~*": {"ignore_case": True}}
_KNOWN = frozenset(_OPERATORS) | frozenset(_PATTERNS)
