"""YAML to plain values, or one line that says where it is wrong.

Only what config.yaml needs: mappings, lists and scalars. A duplicate key, which YAML forbids and
PyYAML overlooks, is an error, and so is a document that its aliases make endless or huge.
"""

import re
from collections.abc import Callable
from pathlib import Path

import yaml
from msgspec import Struct
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from batchway.config.place import Key, dotted
from batchway.errors import ConfigError

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML was built without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

MAX_DEPTH = 64


class Bounds(Struct, frozen=True):
    """How large a document may be once its aliases are expanded."""

    max_nodes: int = 100_000
    """APISIX's own example of a config.yaml has about 700."""
    max_chars: int = 100_000_000
    """Of all keys and scalars."""


CONFIG = Bounds()


# YAML 1.1, section 5.1. PyYAML finds these too, but libyaml tells where in bytes.
_NOT_YAML = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_KNOWN = frozenset(_TAG + name for name in ("map", "seq", "str", "int", "float", "bool", "null"))
#: Dates and `=` are of no use here: the text as it stands is.
_TEXT = frozenset({_TAG + "timestamp", _TAG + "value"})


def read(path: Path) -> str | None:
    """The text of the file, line ends and BOM as they are; None if there is no such file.

    Raises ConfigError if it cannot be read or is not UTF-8.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8") from None


def parse(text: str, path: Path) -> object:
    """The document as dict, list, str, int, float, bool and None; None if it is empty.

    `path` is for the messages. Raises ConfigError.
    """
    return parse_nodes(text, path)[0]


def parse_nodes(
    text: str,
    path: Path,
    *,
    bounds: Bounds = CONFIG,
    prepare: Callable[[Node], None] = lambda _: None,
) -> tuple[object, Node | None]:
    """Like `parse`, and the nodes that it is made of: they know their lines.

    `prepare` is given the root before values are made of it, and may change the nodes.
    """
    text = text.removeprefix("\ufeff")
    if wrong := _NOT_YAML.search(text):
        line = text.count("\n", 0, wrong.start()) + 1
        raise ConfigError(f"{path}:{line}: YAML: a character that is not allowed")
    loader = Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None, None
        _check(root, path, bounds)
        prepare(root)
        return loader.construct_document(root), root
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, path) from None
    except (ValueError, KeyError):  # `!!int x`, or an integer too long to convert
        raise ConfigError(f"{path}: a value is not of the type that it is tagged as") from None
    except RecursionError:
        raise _too_large(path) from None
    finally:
        loader.dispose()


def _syntax_error(error: yaml.MarkedYAMLError, path: Path) -> ConfigError:
    mark, problem = error.problem_mark, error.problem or "cannot be parsed"
    if isinstance(error, ComposerError):
        # The name of an unknown alias may be an admin key that lacks its quotes.
        problem = re.sub(r" '[^']*'", "", problem)
    position = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
    return ConfigError(f"{path}{position}: YAML: {problem}")


def _check(root: Node, path: Path, bounds: Bounds) -> None:
    """Refuse what must not be constructed. Raises ConfigError.

    An alias is followed each time, as whoever reads the values will: that bounds what they do.
    """
    pending: list[tuple[Node, tuple[Key, ...]]] = [(root, ())]
    nodes = chars = 0
    while pending:
        node, keys = pending.pop()
        nodes += 1
        chars += _chars(node)
        if len(keys) > MAX_DEPTH or nodes > bounds.max_nodes or chars > bounds.max_chars:
            raise _too_large(path)
        if node.tag in _TEXT:
            node.tag = _TAG + "str"
        if node.tag not in _KNOWN:
            raise ConfigError(f"{_position(node, path)}: a tag that is not supported")
        match node:
            case SequenceNode():
                pending += [(item, (*keys, index)) for index, item in enumerate(node.value)]
            case MappingNode():
                pending += _children(node, keys, path)


def _chars(node: Node) -> int:
    match node:
        case ScalarNode():
            return len(node.value)
        case MappingNode():
            return sum(len(key.value) for key, _ in node.value)
    return 0


def _children(node: MappingNode, keys: tuple[Key, ...], path: Path) -> list[tuple[Node, tuple[Key, ...]]]:
    """The values of a mapping. Raises ConfigError for a duplicate key, or one that is no scalar."""
    first: dict[tuple[str, str], Node] = {}
    values = []
    for key, value in node.value:
        if not isinstance(key, ScalarNode) or key.tag not in _KNOWN | _TEXT | {_MERGE}:
            raise ConfigError(f"{_position(key, path)}: a key that is not a plain name")
        here = (*keys, key.value)
        earlier = first.setdefault((key.tag, key.value), key)
        if earlier is not key:
            raise ConfigError(
                f"{_position(key, path)}: {dotted(here)}: duplicate key, "
                f"first on line {earlier.start_mark.line + 1}"
            )
        values.append((value, here))
    return values


def _position(node: Node, path: Path) -> str:
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _too_large(path: Path) -> ConfigError:
    return ConfigError(f"{path}: nested too deep, or too large once its aliases are expanded")
