"""Substitutions as nginx's and APISIX's users write them: `$1` for a group of the pattern."""

import re
from collections.abc import Callable

from batchway.config.expression import MAX_SUBJECT
from batchway.errors import BadRequest
from batchway.plugins.variables import Lookup

Encode = Callable[[str], str]
_MAX_DIGITS = 4
_LEADING_DIGITS = re.compile("[0-9]+")
_GROUP = re.compile(r"\$\{(\d+)\}|\$(\d+)|\$\$")


def _as_it_is(text: str) -> str:
    return text


def search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The first match in a text that a client has sent.

    Raises BadRequest for one that is too long: `re` cannot be stopped, and to go on as if nothing had
    matched could lead past what the pattern is there for.
    """
    if len(text) > MAX_SUBJECT:
        message = f"the path is longer than the {MAX_SUBJECT} characters that can be matched"
        raise BadRequest(message)
    return pattern.search(text)


def substitute(
    pattern: re.Pattern[str], replacement: str, text: str, *, everywhere: bool = False
) -> str | None:
    """`text` with the first match, or every one, replaced; None if there is none."""
    changed, matches = pattern.subn(
        lambda found: _filled(replacement, found, _as_it_is), text, count=0 if everywhere else 1
    )
    return changed if matches else None


def replaced(
    found: re.Match[str], replacement: str, in_path: Encode = _as_it_is, in_query: Encode = _as_it_is
) -> str:
    """A path with its match replaced by a path that may have a query.

    What is of the text, and not of the replacement, is encoded for the place that it comes to.
    """
    path, mark, query = replacement.partition("?")
    made = in_path(found.string[: found.start()]) + _filled(path, found, in_path)
    rest = found.string[found.end() :]
    if not mark:
        return made + in_path(rest)
    return f"{made}?{_filled(query, found, in_query)}{in_query(rest)}"


def with_groups(found: re.Match[str], lookup: Lookup) -> Lookup:
    """A lookup of variables that knows the groups of a match, too. The name `1x` is group 1 and an x."""

    def look(name: str) -> str | None:
        group = _LEADING_DIGITS.match(name)
        if group is None:
            return lookup(name)
        number = int(group[0][:_MAX_DIGITS])
        value = (found[number] or "") if number <= found.re.groups else ""
        return value + name[group.end() :]

    return look


def check_groups(pattern: re.Pattern[str], replacement: str, where: str) -> None:
    """Raises ValueError if `replacement` names a group that the pattern does not have."""
    for group in _GROUP.finditer(replacement):
        number = _number(group)
        if number is not None and number > pattern.groups:
            message = f"{where}: the pattern has no group {number}"
            raise ValueError(message)


def _number(group: re.Match[str]) -> int | None:
    digits = group[1] or group[2]
    return None if digits is None else int(digits[:_MAX_DIGITS])


def _filled(template: str, found: re.Match[str], encode: Encode) -> str:
    def value(group: re.Match[str]) -> str:
        number = _number(group)
        if number is None:
            return "$"
        return encode(found[number] or "") if number <= found.re.groups else ""

    return _GROUP.sub(value, template)
