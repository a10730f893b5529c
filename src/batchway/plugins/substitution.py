"""Substitutions as nginx's and APISIX's users write them: `$1` for a group of the pattern."""

import re
from collections.abc import Callable

from batchway.config.expression import MAX_SUBJECT
from batchway.errors import BadRequest

Encode = Callable[[str], str]
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
        lambda found: _filled(replacement, found, _as_it_is, dollar="$"), text, count=0 if everywhere else 1
    )
    return changed if matches else None


def replaced(
    found: re.Match[str], replacement: str, in_path: Encode = _as_it_is, in_query: Encode = _as_it_is
) -> str:
    """A path with its match replaced by a path that may have a query.

    What is of the text, and not of the replacement, is encoded for the place that it comes to.
    """
    path, mark, query = replacement.partition("?")
    made = in_path(found.string[: found.start()]) + _filled(path, found, in_path, dollar="$")
    rest = found.string[found.end() :]
    if not mark:
        return made + in_path(rest)
    return f"{made}?{_filled(query, found, in_query, dollar='$')}{in_query(rest)}"


def put_groups(template: str, found: re.Match[str]) -> str:
    """`template` with the groups of a match; whatever else has a dollar in it stays."""
    return _filled(template, found, _as_it_is, dollar="$$")


def check_groups(pattern: re.Pattern[str], replacement: str, where: str) -> None:
    """Raises ValueError if `replacement` names a group that the pattern does not have."""
    for group in _GROUP.finditer(replacement):
        number = _number(group)
        if number is not None and number > pattern.groups:
            message = f"{where}: the pattern has no group {number}"
            raise ValueError(message)


def _number(group: re.Match[str]) -> int | None:
    digits = group[1] or group[2]
    return None if digits is None else int(digits[:4])


def _filled(template: str, found: re.Match[str], encode: Encode, dollar: str) -> str:
    def value(group: re.Match[str]) -> str:
        number = _number(group)
        if number is None:
            return dollar
        return encode(found[number] or "") if number <= found.re.groups else ""

    return _GROUP.sub(value, template)
