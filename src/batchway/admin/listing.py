"""Which resources a list shows. Source: apisix/admin/v3_adapter.lua, `filter` and `pagination`."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from msgspec import Struct

from batchway.admin.kinds import Document, Kind
from batchway.config.pattern import compile_pattern
from batchway.errors import BatchwayError

PAGE_SIZES = range(10, 501)
ARGUMENTS = frozenset({"page", "page_size", "name", "label", "uri", "filter"})
"""Query arguments of a list."""


class BadArgument(BatchwayError):
    """A query argument that is not taken here, or a wrong value of one."""

    status = 400
    code = "bad_argument"


class Selection(Struct, frozen=True):
    """A page of those resources that have all that is asked for."""

    page: int = 1
    page_size: int | None = None
    """None: all on one page."""
    name: re.Pattern[str] | None = None
    """Matches somewhere in the name; in a consumer's username."""
    label: str | None = None
    """A label's name, or `name:value`."""
    uri: re.Pattern[str] | None = None
    """Matches somewhere in a route's `uri`, or in one of its `uris`."""
    references: dict[str, str] = {}
    """Values of properties that name other resources, such as `service_id`."""

    @property
    def takes_all(self) -> bool:
        """Whether every resource has what is asked for, so that none needs to be looked into."""
        return self.name is None and self.label is None and self.uri is None and not self.references

    def takes(self, document: Document) -> bool:
        """Whether the resource has all that is asked for."""
        return (
            (self.name is None or self.name.search(_name(document)) is not None)
            and (self.label is None or _has_label(document.get("labels"), self.label))
            and (self.uri is None or any(map(self.uri.search, _uris(document))))
            and all(str(document.get(name)) == id_ for name, id_ in self.references.items())
        )


def selection(args: Mapping[str, str], kind: Kind) -> Selection:
    """What the query arguments of a list ask for. Raises BadArgument."""
    references = dict(parse_qsl(args.get("filter", ""), keep_blank_values=True))
    for name in references:
        if name not in kind.references:
            expected = ", ".join(kind.references) or "nothing here"
            msg = f'query argument "filter": expected {expected}, got "{name}"'
            raise BadArgument(msg)
    page, page_size = _page(args)
    return Selection(
        page,
        page_size,
        _pattern(args, "name"),
        args.get("label"),
        _pattern(args, "uri"),
        references,
    )


def _pattern(args: Mapping[str, str], name: str) -> re.Pattern[str] | None:
    if name not in args:
        return None
    try:
        return compile_pattern(args[name], f'query argument "{name}"')
    except ValueError as error:
        raise BadArgument(str(error)) from None


def _page(args: Mapping[str, str]) -> tuple[int, int | None]:
    """Number and size of the page. As in APISIX, one below 1 is the first, one without a size has all."""
    size = _number(args["page_size"]) if "page_size" in args else None
    if "page_size" in args and size not in PAGE_SIZES:
        raise BadArgument("page_size must be between 10 and 500")
    page = _number(args.get("page", "1"))
    if page is None:
        raise BadArgument("page must be a whole number")
    return max(page, 1), size


def _number(text: str) -> int | None:
    return int(text[:10]) if re.fullmatch("-?[0-9]+", text, re.ASCII) else None


def _name(document: Document) -> str:
    return _text(document.get("name", document.get("username")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _has_label(labels: object, wanted: str) -> bool:
    if not isinstance(labels, dict):
        return False
    name, _, value = wanted.partition(":")
    return wanted in labels or (name in labels and labels[name] == value)


def _uris(document: Document) -> list[str]:
    many = document.get("uris")
    return [_text(uri) for uri in (document.get("uri"), *(many if isinstance(many, list) else ()))]
