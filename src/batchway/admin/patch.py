"""Changes to parts of JSON documents. Pure: a new document is returned, the old one is as it was."""

import re
from collections.abc import Sequence

from batchway.errors import InvalidResource

MAX_DEPTH = 64
"""Objects and arrays inside one another, in any document that the Admin API takes."""


def merge(target: object, patch: object) -> object:
    """`target` with `patch` merged in. Source: RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def replace_at(target: object, path: Sequence[str], value: object) -> object:
    """`target` with `value` where `path` leads; objects that are missing on the way are made.

    Source: apisix/core/table.lua, `patch`, except that a step into an array must be the index of an
    item that is there, counted from 0. Raises InvalidResource where the path leads nowhere.
    """
    if not path:
        return value
    step, *rest = path
    if isinstance(target, dict):
        return target | {step: replace_at(target.get(step, {}), rest, value)}
    if isinstance(target, list):
        if not re.fullmatch("[0-9]{1,6}", step) or int(step) >= len(target):
            msg = f"invalid sub-path: {step!r} is no index of an array of {len(target)} items"
            raise InvalidResource(msg)
        index = int(step)
        return [*target[:index], replace_at(target[index], rest, value), *target[index + 1 :]]
    msg = f"invalid sub-path: {step!r} stands below a value that is no object"
    raise InvalidResource(msg)


def check_depth(document: object) -> None:
    """Raises InvalidResource if `document` is nested deeper than MAX_DEPTH."""
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for value in level for inner in _contents(value)]
        if not level:
            return
    msg = f"nested deeper than {MAX_DEPTH} levels"
    raise InvalidResource(msg)


def _contents(value: object) -> Sequence[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()
