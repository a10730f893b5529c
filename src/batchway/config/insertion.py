"""Text edits that put an admin key into a config.yaml. No I/O.

Nodes of PyYAML know where in the text they stand, so all that is not inserted stays byte for byte:
comments, blank lines, line ends, quotes. `candidates` proposes; whether a proposal says what it
should, and nothing else, its caller finds out by parsing it.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

PATH = ("deployment", "admin", "admin_key")


def candidates(text: str, key: str) -> Iterator[str]:
    """Texts that may be `text` with `key` at `deployment.admin.admin_key[0].key`, best first."""
    # The Python loader, not libyaml's: its marks count characters, and BOM and CRLF as they stand.
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:  # libyaml took it; they differ in small things
        return
    if root is None or _is_null(root):
        yield _Editor(text, key, None).appended()
    elif isinstance(root, MappingNode):
        yield from _Editor(text, key, root).into(root, PATH)


class _Editor:
    """One text, the key to put into it, and the way that text is written."""

    def __init__(self, text: str, key: str, root: MappingNode | None) -> None:
        self.text = text
        self.key = key
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.step = _indent_step(root)

    def appended(self) -> str:
        """For a text with nothing in it but comments."""
        return self._with_lines(len(self.text), self._block(PATH, 0))

    def into(self, node: MappingNode, path: Sequence[str]) -> Iterator[str]:
        """`path` leads from `node` to the list of keys; some of it may be there."""
        found = next((pair for pair in node.value if pair[0].value == path[0]), None)
        if found is None:
            yield from self._new_pair(node, self._flow(path), lambda indent: self._block(path, indent))
            return
        match found[1]:
            case MappingNode() as inner if len(path) > 1:
                yield from self.into(inner, path[1:])
            case SequenceNode(value=[_, *_]) as entries if len(path) == 1:
                yield from self._first_entry(entries)
            case value:
                yield self._instead(node, value, path)

    def _instead(self, node: MappingNode, value: Node, path: Sequence[str]) -> str:
        """In place of the null, `[]` or `''` that the first key of `path` has."""
        start, end = value.start_mark.index, value.end_mark.index
        if start == end and not node.flow_style:
            # The lines below may be the usual content, commented out: stay open to it.
            lines = self._block(path, node.start_mark.column)[1:]
            return self._with_lines(self._next_line(start), lines)
        lead = ""
        if start == end:
            lead = " " if self.text[:start].endswith(":") else ": "
        return self._spliced(start, end, lead + self._flow(path).partition(": ")[2])

    def _first_entry(self, entries: SequenceNode) -> Iterator[str]:
        """Into the first entry if it is an admin's without a key; else a new one before it."""
        first = entries.value[0]
        pairs = first.value if isinstance(first, MappingNode) else []
        fields = {key.value: value for key, value in pairs}
        role, key = fields.get("role"), fields.get("key")
        if role is None or role.value != "admin":
            yield self._new_entry(entries)
        elif key is None:
            pair = f"key: {self._quoted()}"
            yield from self._new_pair(first, pair, lambda indent: [" " * indent + pair])
        else:
            start, end = key.start_mark.index, key.end_mark.index
            lead = " " if start == end else ""
            yield self._spliced(start, end, lead + self._quoted())

    def _new_entry(self, entries: SequenceNode) -> str:
        start = entries.start_mark.index
        if entries.flow_style:
            inside = self.text.find("[", start) + 1
            return self._spliced(inside, inside, f"{self._flow_entry()}, ")
        lines = self._block_entry(entries.start_mark.column)
        return self._with_lines(start - entries.start_mark.column, lines)

    def _new_pair(self, node: MappingNode, flow: str, block: Callable[[int], list[str]]) -> Iterator[str]:
        """One more pair in `node`: as `flow`, or as the lines that `block` makes for an indent."""
        if node.flow_style:
            inside = self.text.find("{", node.start_mark.index) + 1
            yield self._spliced(inside, inside, flow + (", " if node.value else ""))
            return
        column = node.start_mark.column
        lines = block(column)
        yield self._with_lines(self._end_of(node), lines)
        # After a last value that ends with the file, such as a block scalar, there may be no room.
        yield self._with_lines(node.start_mark.index - column, lines)

    def _end_of(self, node: Node) -> int:
        """Where the line begins that follows the last one of a block mapping."""
        column, end = node.start_mark.column, node.end_mark
        while isinstance(node, (MappingNode, SequenceNode)) and node.value and not node.flow_style:
            before = None
            if isinstance(node, MappingNode):
                before, node = node.value[-1]
            else:
                node = node.value[-1]
            end = node.end_mark
            if before is not None and end.index < before.end_mark.index:
                end = before.end_mark  # an alias: its node stands elsewhere, above
                break
        index = end.index if end.column == 0 else self._next_line(end.index)
        # Comments that are indented deeper belong to what stands above them.
        comments = re.compile(rf"(?:(?:[ ]*\r?\n)*[ ]{{{column + 1},}}#[^\n]*(?:\n|\Z))*")
        found = comments.match(self.text, index)
        return found.end() if found else index

    def _next_line(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def _with_lines(self, index: int, lines: list[str]) -> str:
        """The text with `lines` at `index`, which begins a line or is the end."""
        inserted = "".join(line + self.newline for line in lines)
        if index and self.text[index - 1] not in "\n\ufeff":
            inserted = self.newline + inserted
        return self._spliced(index, index, inserted)

    def _spliced(self, start: int, end: int, inserted: str) -> str:
        return self.text[:start] + inserted + self.text[end:]

    # --- what is inserted

    def _block(self, path: Sequence[str], indent: int) -> list[str]:
        lines = [" " * (indent + level * self.step) + f"{name}:" for level, name in enumerate(path)]
        return lines + self._block_entry(indent + len(path) * self.step)

    def _block_entry(self, indent: int) -> list[str]:
        pad = " " * indent
        return [f"{pad}- name: admin", f"{pad}  key: {self._quoted()}", f"{pad}  role: admin"]

    def _flow(self, path: Sequence[str]) -> str:
        opened = ": {".join(path)
        return f"{opened}: [{self._flow_entry()}]" + "}" * (len(path) - 1)

    def _flow_entry(self) -> str:
        return f"{{name: admin, key: {self._quoted()}, role: admin}}"

    def _quoted(self) -> str:
        return f'"{self.key}"'


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _indent_step(root: MappingNode | None) -> int:
    """By how many columns the text indents; 2 if that cannot be told."""
    for _, value in root.value if root else []:
        if isinstance(value, MappingNode) and value.value and not value.flow_style and root:
            return max(1, value.start_mark.column - root.start_mark.column)
    return 2
