"""Conditions on a request's variables: the lists that stand in a route's `vars`.

Source: lua-resty-expr 1.3, `lib/resty/expr/v1.lua`. A condition is `[variable, operator, value]` or, turned
round, `[variable, "!", operator, value]`. Conditions are joined by a word at the head of a list (`AND`,
`OR`, `!AND` or `!OR`), by AND where there is none, and lists stand in lists.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from batchway.config.operators import OPERATORS, error, shown
from batchway.config.operators import networks as networks
from batchway.config.operators import within as within
from batchway.config.pattern import compile_pattern

Lookup = Callable[[str], str | None]
"""A variable's value by its name; None if it has none."""
Expression = Callable[[Lookup], bool]

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
        raise error(where, "an array", expression)
    if not expression:
        return _always
    if not isinstance(expression[0], list | tuple) and _word(expression[0]) not in _JOINTS:
        raise error(where, "an array of conditions, each an array itself", expression)
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


def _word(value: object) -> str:
    return value.upper() if isinstance(value, str) else ""


# --- lists


def _compile(expression: object, where: str, depth: int) -> Expression:
    if not isinstance(expression, list | tuple) or not expression:
        raise error(where, "a condition or an array of them", expression)
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
        msg = f"{where}: expected at least two conditions behind {shown(head)}, got {len(expression) - 1}"
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

_OF_BODIES = ("post_arg", "graphql_")
"""APISIX's variables that need the request's body."""
_NOT_HERE = tuple(
    """ssl_ geoip_ geoip2_ realip_ proxy_protocol_ tcpinfo_ sent_http_ sent_trailer_ upstream_http_
    upstream_trailer_ upstream_cookie_""".split()
)
"""How names begin that nginx has variables for, and batchway has none."""
_NONE_OF_OURS = frozenset(
    """binary_remote_addr connection connection_requests connection_time document_root http2 http3 https
    nginx_version pid proxy_add_x_forwarded_for proxy_host proxy_port realpath_root remote_user request
    request_body request_body_file request_completion request_filename request_length""".split()
)
"""Others of nginx's that nothing gives a value in a condition."""


def _condition(condition: Sequence[Any], where: str) -> Expression:
    name, is_turned, operator, value, at = _taken_apart(condition, where)
    if not isinstance(name, str) or not name:
        raise error(f"{where}[0]", "the name of a variable", name)
    if name.startswith(_OF_BODIES):
        # It would never have a value, and a condition that is turned round would hold for everybody.
        msg = f"{where}[0]: variables of the body are not supported by batchway, got {shown(name)}"
        raise ValueError(msg)
    if name in _NONE_OF_OURS or name.startswith(_NOT_HERE):  # likewise
        msg = f"{where}[0]: this variable is not supported by batchway, got {shown(name)}"
        raise ValueError(msg)
    if operator in _PATTERNS:
        return _matching(name, compile_pattern(value, f"{where}[{at}]", **_PATTERNS[operator]), is_turned)
    test = OPERATORS[operator](value, f"{where}[{at}]")
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
            raise error(f"{where}[1]", '"!"', other)
        case [name, operator, value]:
            return name, False, _operator(operator, f"{where}[1]"), value, 2
        case [name, str() as operator] if operator.lower() in _KNOWN:
            return name, False, operator.lower(), None, 2
        case [name, value]:
            return name, False, "==", value, 1
    raise error(where, "[variable, operator, value]", condition)


_PATTERNS: dict[str, dict[str, bool]] = {"~~": {"ignore_case": False}, "~*": {"ignore_case": True}}
_KNOWN = frozenset(OPERATORS) | frozenset(_PATTERNS)


def _operator(operator: object, where: str) -> str:
    if isinstance(operator, str) and operator.lower() in _KNOWN:
        return operator.lower()
    raise error(where, f"one of {', '.join(sorted(_KNOWN))}", operator)


def _matching(name: str, pattern: re.Pattern[str], is_turned: bool) -> Expression:
    search = pattern.search

    def fulfilled(lookup: Lookup) -> bool:
        value = lookup(name)
        if value is None:
            return is_turned
        return len(value) <= MAX_SUBJECT and (search(value) is None) is is_turned

    return fulfilled
