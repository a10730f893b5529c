"""Changes to a query string. What is not changed keeps its spelling."""

from collections.abc import Iterator
from urllib.parse import quote_plus, unquote_plus


def without_argument(query: str, name: str) -> str:
    """The query without any argument of that name."""
    return "&".join(piece for piece in _pieces(query) if not _is_named(piece, name))


def with_argument(query: str, name: str, value: str) -> str:
    """The query with this argument in place of any of its name."""
    return with_added(without_argument(query, name), name, value)


def with_added(query: str, name: str, value: str) -> str:
    """The query with one more argument."""
    piece = f"{quote_plus(name)}={quote_plus(value)}"
    return f"{query}&{piece}" if query else piece


def _pieces(query: str) -> Iterator[str]:
    return (piece for piece in query.split("&") if piece)


def _is_named(piece: str, name: str) -> bool:
    return unquote_plus(piece.partition("=")[0]) == name
