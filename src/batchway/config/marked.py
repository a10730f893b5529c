"""A YAML document whose values know their lines, with its variables replaced.

For apisix.yaml. Unlike in config.yaml, nobody knows here which type a value should have, so its
quotes decide: what an unquoted `${{VAR}}` stands for is a number or a boolean if it looks like one,
what a quoted one stands for is text. A key is always text: the header `no` is not `false`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from batchway.config import document
from batchway.config.document import Bounds
from batchway.config.place import Key
from batchway.config.substitution import Typed, UnsetVariable, has_variable, substitute, typed

BOUNDS = Bounds(max_nodes=4_000_000, max_chars=256_000_000)
"""Some 100 000 routes."""
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_FLOAT = _TAG + "float"
_ENDLESS = re.compile("inf|nan", re.IGNORECASE)
_WHOLE = re.compile(r"([+-]?[0-9]{1,15})\.0*")
_TYPES = {bool: "bool", int: "int", float: "float"}


class Unset(Struct, frozen=True):
    """A variable that is not set, and where it stands."""

    line: int
    name: str


class Marked(Struct, frozen=True, eq=False):
    """A document, and where its values stand."""

    value: object
    """As `document.parse` has it."""
    unset: tuple[Unset, ...] = ()
    root: Node | None = None

    def line(self, keys: Sequence[Key]) -> int | None:
        """The line of the value at `keys`, or of the last one on the way that is there."""
        node = self.root
        if node is None:
            return None
        line = node.start_mark.line
        for key in keys:
            found = _below(node, key)
            if found is None:
                break
            line, node = found
        return int(line) + 1

    def forget(self) -> None:
        """Free the nodes, item by item: all at once, no other thread would get a turn for long."""
        for section in self._sections():
            while section:
                section.pop()

    def _sections(self) -> Iterator[list[Node]]:
        if isinstance(self.root, MappingNode):
            for _, value in self.root.value:
                if isinstance(value, SequenceNode):
                    yield value.value


def parse(text: str, path: Path, environ: Mapping[str, str]) -> Marked:
    """The document in `text`. Raises ConfigError like `document.parse`."""
    unset: list[Unset] = []

    def prepare(root: Node) -> None:
        for node, is_key in _scalars(root):
            _replace(node, environ, unset, is_key=is_key)

    value, root = document.parse_nodes(text, path, bounds=BOUNDS, prepare=prepare)
    return Marked(value, tuple(unset), root)


def _below(node: Node, key: Key) -> tuple[int, Node] | None:
    """The line of an item or of a key, and the value."""
    if isinstance(node, SequenceNode) and isinstance(key, int) and key < len(node.value):
        item = node.value[key]
        return item.start_mark.line, item
    if isinstance(node, MappingNode):
        for name, value in reversed(node.value):  # what is merged in stands before what replaces it
            if name.value == str(key):
                return name.start_mark.line, value
    return None


def _scalars(root: Node) -> Iterator[tuple[ScalarNode, bool]]:
    """All keys and scalars, each once however many aliases lead to it, and whether it is a key."""
    seen: set[int] = set()
    pending = [(root, False)]
    while pending:
        node, is_key = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        match node:
            case ScalarNode():
                yield node, is_key
            case SequenceNode():
                pending += [(item, False) for item in node.value]
            case MappingNode():
                for key, value in node.value:
                    pending += [(key, True), (value, False)]


def _replace(node: ScalarNode, environ: Mapping[str, str], unset: list[Unset], *, is_key: bool) -> None:
    if (is_key and node.tag != _MERGE) or (node.tag == _FLOAT and _ENDLESS.search(node.value)):
        node.tag = _TAG + "str"  # JSON has no `.inf` and no `.nan`
    if "${{" in node.value and has_variable(node.value):
        _substitute(node, environ, unset, is_key=is_key)
    if node.tag == _FLOAT and (whole := _WHOLE.fullmatch(node.value)):
        node.tag, node.value = _TAG + "int", str(int(whole[1]))  # as in Lua, 5.0 is 5


def _substitute(node: ScalarNode, environ: Mapping[str, str], unset: list[Unset], *, is_key: bool) -> None:
    try:
        text = substitute(node.value, environ)
    except UnsetVariable as error:
        unset.append(Unset(node.start_mark.line + 1, error.name))
        return
    found = text if is_key or node.style else _finite(typed(text), text)
    node.tag = _TAG + _TYPES.get(type(found), "str")
    node.value = str(found).lower() if isinstance(found, bool) else _as_yaml(found)


def _finite(value: Typed, text: str) -> Typed:
    return text if isinstance(value, float) and math.isinf(value) else value


def _as_yaml(value: object) -> str:
    """`value` as YAML 1.1 writes it: its floats have a point."""
    text = str(value)
    return text.replace("e", ".0e") if isinstance(value, float) and "." not in text else text
