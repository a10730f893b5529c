"""Resources as the control API shows them: to whoever reaches it, so without a secret. No I/O.

What the store encrypts is never shown. Secrets stand in other places, too, which the Admin API shows to
those who have a key: a header that is set for the upstream, a condition on one. Names tell them.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from batchway.admin import sealing
from batchway.admin.kinds import Document, Place
from batchway.config.resources import decode_upstream
from batchway.plugins import Plugin
from batchway.store.base import Entry
from batchway.upstream import is_address

MASK = "***"
_NAMES = (
    r"authorization|(?<![a-z])auth(?![a-z])|jwt|cookie|passw|pwd|secret|token|credential|signature"
    r"|(?:api|auth|access|private)[-_]?key"
)
_NAME = re.compile(_NAMES, re.IGNORECASE)
_LINE = re.compile(r"\s*([\w-]+)\s*:")
_USER_INFO = re.compile(r"(?<=://)[^/?#\s]+(?=@)")
_ARGUMENT = re.compile(rf"([?&][^=&#\s]*(?:{_NAMES})[^=&#\s]*=)[^&#\s]+", re.IGNORECASE)
_CONDITIONS = frozenset({"vars", "filter"})
"""Under these names stand expressions such as `[["http_x_token", "==", "abc"]]`."""


def resource(entry: Entry, place: Place, plugins: Mapping[str, type[Plugin]]) -> Document:
    """A route, service or upstream, with what APISIX tells of it."""
    document = msgspec.json.decode(entry.value)
    document, has_domain = _with_nodes(document, place.kind.upstream_at or ())
    document = sealing.replaced(document, place.kind, plugins, lambda _text, _place: MASK)
    return {
        "key": f"/apisix{entry.key}",
        "value": _masked(document),
        "createdIndex": entry.create_revision,
        "modifiedIndex": entry.mod_revision,
        "has_domain": has_domain,
        "clean_handlers": {},  # it is always empty in APISIX's answers, too, and clients may decode it
    }


def metadata(entry: Entry, name: str) -> Document:
    """The metadata of a plugin."""
    document: Document = _masked(msgspec.json.decode(entry.value))
    return document | {"id": name}


def _with_nodes(document: Document, path: tuple[str, ...]) -> tuple[Document, bool]:
    """The document with the list that its nodes are, and whether any of them is a name."""
    if path:
        inner = document.get(path[0])
        if not isinstance(inner, dict):
            return document, False
        changed, has_domain = _with_nodes(inner, path[1:])
        return document | {path[0]: changed}, has_domain
    said = {name: document[name] for name in ("nodes", "scheme") if name in document}
    nodes = decode_upstream(said).node_list()
    has_domain = not all(is_address(node.host) for node in nodes)
    if isinstance(document["nodes"], dict):
        listed = [{"host": node.host, "port": node.port, "weight": node.weight} for node in nodes]
        document = document | {"nodes": listed}
    return document, has_domain


# --- what is hidden


def _masked(value: Any, name: str = "") -> Any:
    """`value`, which stands under `name`, with a mask over each text that a name says is a secret."""
    if name in _CONDITIONS:
        return _masked_conditions(value)
    match value:
        case dict() if (
            name == "plugins"
        ):  # their names, such as a csrf-token's, say nothing of their configs
            return {plugin: _masked(config) for plugin, config in value.items()}
        case dict():
            return {
                key: _hidden(inner) if _NAME.search(key) else _masked(inner, key)
                for key, inner in value.items()
            }
        case list():
            return [_masked(item) for item in value]
        case str():
            return _masked_text(value)
    return value


def _masked_conditions(value: Any) -> Any:
    match value:
        case [str(variable), *operators, operand] if _NAME.search(variable):
            return [variable, *operators, _hidden(operand)]
        case list():
            return [_masked_conditions(item) for item in value]
    return _masked(value)


def _masked_text(text: str) -> str:
    line = _LINE.match(text)
    if line is not None and _NAME.search(line[1]):
        return f"{line[1]}: {MASK}"
    return _ARGUMENT.sub(rf"\1{MASK}", _USER_INFO.sub(MASK, text))


def _hidden(value: Any) -> Any:
    """A mask over every text and number in it; what is true or false is no secret."""
    match value:
        case dict():
            return {key: _hidden(inner) for key, inner in value.items()}
        case list():
            return [_hidden(item) for item in value]
        case bool() | None:
            return value
    return MASK
