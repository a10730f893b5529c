"""Changes to headers, in the two ways that APISIX's configs write them."""

from typing import Any

import msgspec
from msgspec import Struct

from batchway.plugins.names import HeaderName, check_headers, check_value

Values = dict[HeaderName, str | int | float]


class HeaderChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """Names with values to add, to set in place of any of that name, and names to remove, in this order.

    A value may have variables in it, and one to set that turns out empty removes the header, as in nginx.
    `add` may also be a list of `Name: value`.
    """

    add: Values | tuple[str, ...] = {}
    set: Values = {}
    remove: tuple[HeaderName, ...] = ()

    def added(self) -> list[tuple[str, str]]:
        """`add` as pairs."""
        if isinstance(self.add, dict):
            return [(name, str(value)) for name, value in self.add.items()]
        return [
            (name.strip(), value.strip()) for name, _, value in (one.partition(":") for one in self.add)
        ]


def header_changes(document: dict[str, Any] | None) -> HeaderChanges:
    """The changes that a config's `headers` stand for: names and values alone are to be set.

    Raises ValueError.
    """
    if document is None:
        return HeaderChanges()
    is_plain = not any(isinstance(document.get(name), dict | list) for name in ("add", "set", "remove"))
    try:
        changes = msgspec.convert({"set": document} if is_plain else document, HeaderChanges)
        msgspec.convert(dict(changes.added()), Values)  # names in a list have not been looked at yet
    except msgspec.ValidationError as error:
        message = f'"headers": {error}'
        raise ValueError(message) from None
    if isinstance(changes.add, tuple) and not all(":" in one for one in changes.add):
        message = '"headers.add": expected "Name: value"'
        raise ValueError(message)
    for name, value in (*changes.added(), *changes.set.items()):
        check_value(str(value), f'"headers", {name}')
    check_headers([name for name, _ in changes.added()], '"headers.add"')
    check_headers(changes.set, '"headers.set"')
    check_headers(changes.remove, '"headers.remove"')
    return changes
