"""A radix tree: from strings to values, asked for all keys that a text begins with."""

from typing import Generic, TypeVar

V = TypeVar("V")


class _Node(Generic[V]):
    """A node of the tree: the characters that lead to it, and what is kept there."""

    __slots__ = ("children", "label", "value")

    def __init__(self, label: str) -> None:
        self.label = label
        self.children: dict[str, _Node[V]] = {}
        self.value: V | None = None


class PrefixTree(Generic[V]):
    """A map from strings to values that knows which of its keys a text begins with."""

    def __init__(self) -> None:
        self._root: _Node[V] = _Node("")

    def __bool__(self) -> bool:
        return bool(self._root.children) or self._root.value is not None

    def get(self, key: str) -> V | None:
        """The value kept under exactly that key."""
        node, rest = self._root, key
        while rest:
            child = node.children.get(rest[0])
            if child is None or not rest.startswith(child.label):
                return None
            node, rest = child, rest[len(child.label) :]
        return node.value

    def set(self, key: str, value: V) -> None:
        """Keep `value` under `key`."""
        node, rest = self._root, key
        while rest:
            child = node.children.get(rest[0])
            if child is None:
                child = node.children[rest[0]] = _Node(rest)
            elif not rest.startswith(child.label):
                child = self._split(node, child, rest)
            node, rest = child, rest[len(child.label) :]
        node.value = value

    def remove(self, key: str) -> None:
        """Forget `key`, and the nodes that only led to it."""
        path = [self._root]
        rest = key
        while rest:
            child = path[-1].children.get(rest[0])
            if child is None or not rest.startswith(child.label):
                return
            path.append(child)
            rest = rest[len(child.label) :]
        path[-1].value = None
        while len(path) > 1 and path[-1].value is None and not path[-1].children:
            node = path.pop()
            del path[-1].children[node.label[0]]

    @staticmethod
    def _split(parent: _Node[V], child: _Node[V], key: str) -> _Node[V]:
        """Put a node between the two where `key` parts from the child's label."""
        label = child.label
        common = next(
            (i for i, (a, b) in enumerate(zip(label, key, strict=False)) if a != b),
            min(len(label), len(key)),
        )
        between: _Node[V] = _Node(label[:common])
        parent.children[label[0]] = between
        child.label = label[common:]
        between.children[child.label[0]] = child
        return between

    def prefixes(self, text: str, position: int = 0) -> list[V]:
        """The values of all keys that `text` has at `position`, the longest key first."""
        node, found = self._root, []
        while True:
            if node.value is not None:
                found.append(node.value)
            if position == len(text):
                break
            child = node.children.get(text[position])
            if child is None or not text.startswith(child.label, position):
                break
            node, position = child, position + len(child.label)
        found.reverse()
        return found
