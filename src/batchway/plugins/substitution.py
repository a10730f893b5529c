"""Substitutions as nginx's and APISIX's users write them: `$1` for a group of the pattern."""

import re

_GROUP = re.compile(r"\$\{(\d+)\}|\$(\d+)|\$\$")


def substitute(pattern: re.Pattern[str], replacement: str, text: str, *, count: int = 1) -> str | None:
    """`text` with the first match (`count` 0: every match) replaced; None if there is none."""

    def put_in(found: re.Match[str]) -> str:
        return _GROUP.sub(lambda group: _value(group, found, dollar="$"), replacement)

    changed, matches = pattern.subn(put_in, text, count=count)
    return changed if matches else None


def put_groups(template: str, found: re.Match[str]) -> str:
    """`template` with the groups of a match; whatever else has a dollar in it stays."""
    return _GROUP.sub(lambda group: _value(group, found, dollar="$$"), template)


def check_groups(pattern: re.Pattern[str], replacement: str, where: str) -> None:
    """Raises ValueError if `replacement` names a group that the pattern does not have."""
    for group in _GROUP.finditer(replacement):
        number = group[1] or group[2]
        if number is not None and int(number) > pattern.groups:
            message = f"{where}: the pattern has no group {number}"
            raise ValueError(message)


def _value(group: re.Match[str], found: re.Match[str], dollar: str) -> str:
    number = group[1] or group[2]
    if number is None:
        return dollar
    return (found[int(number)] or "") if int(number) <= found.re.groups else ""
