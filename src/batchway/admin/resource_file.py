"""apisix.yaml, or apisix.json: the resources in it, or all that is wrong with it, with its lines."""

import gc
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from batchway.admin import json_text, whole
from batchway.admin.access import PluginSchemas
from batchway.admin.whole import Fault, Keys, Resource, Whole, dotted
from batchway.config import marked
from batchway.config.data_encryption import Keyring
from batchway.config.marked import Marked
from batchway.config.substitution import UnsetVariable, has_variable, substitute, typed
from batchway.errors import ConfigError
from batchway.store.yaml_file import FaultyFile

_END = re.compile(rb"^#END[ \t]*\r?$", re.MULTILINE)
_PLUGIN = re.compile(r"config of plugin ([\w.-]+)|unknown plugin \[([^\]]+)\]")
_PROPERTY = re.compile(r'(?:property "|^invalid [a-z ]+: (?=(?!property)\w+ "))([^" ]+)')
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_BYTE = re.compile(r"\(byte (\d+)\)")
_MAX_TEXT = 400


class Reader(Struct, frozen=True):
    """Reads such a file. What it knows of the gateway is replaced as one when the configuration is."""

    path: Path
    environ: Mapping[str, str]
    plugins: PluginSchemas
    keyring: Keyring

    def values(self, content: bytes) -> dict[str, bytes]:
        """The resources as a store has them: JSON by key. Raises FaultyFile.

        In a thread of its own, it holds up the others by some milliseconds at most.
        """
        with _no_collections():
            found = read(content, self.path, self.environ)
            faults = [*found.faults, *whole.check(found.resources, self.plugins, self.keyring)]
            if faults:
                raise found.refusal(faults)
            found.marked.forget()
            return dict(_encoded(found.resources))


def _encoded(resources: dict[str, Resource]) -> Iterator[tuple[str, bytes]]:
    """Each as JSON; `resources` is empty in the end, as to free all of it at once takes too long."""
    for key in list(resources):
        yield key, msgspec.json.encode(resources.pop(key).document)


@contextmanager
def _no_collections() -> Iterator[None]:
    """A collection would walk the millions of nodes that a large file has, while all other threads wait.

    Nothing in there is a cycle.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Found(Struct, frozen=True, eq=False):
    """What a file says."""

    path: Path
    resources: dict[str, Resource]
    faults: list[Fault]
    marked: Marked

    def refusal(self, faults: list[Fault]) -> FaultyFile:
        """The error that tells all of these, in the order of the lines."""
        lines = [(self._line(fault), fault) for fault in faults]
        lines.sort(key=lambda found: found[0] or 0)
        return FaultyFile(self.path, [self._told(*found) for found in lines])

    def _line(self, fault: Fault) -> int | None:
        return self.marked.line(_towards(fault))

    def _told(self, line: int | None, fault: Fault) -> str:
        at = f":{line}" if line else ""
        where = f"{dotted(fault.keys)}: " if fault.keys else ""
        text = fault.text if len(fault.text) <= _MAX_TEXT else fault.text[:_MAX_TEXT] + "…"
        return f"{self.path}{at}: {where}{text}"


def read(
    content: bytes,
    path: Path,
    environ: Mapping[str, str],
    convert: Callable[[object], object] = lambda tree: tree,
) -> Found:
    """The resources in the file's content. Raises FaultyFile for what is no document at all.

    `convert` makes the document of what the file has.
    """
    try:
        tree = (_parse_json if path.suffix == ".json" else _parse_yaml)(content, path, environ)
    except ConfigError as error:
        raise error if isinstance(error, FaultyFile) else FaultyFile(path, [error.message]) from None
    if tree.unset:
        unset = sorted(tree.unset, key=lambda one: one.line)
        faults = [f"{path}:{one.line}: environment variable {one.name} is not set" for one in unset]
        raise FaultyFile(path, faults)
    if tree.value is None:
        text = f"{path}: nothing in it: write `routes: []` if there are to be no resources"
        raise FaultyFile(path, [text])
    converted = convert(tree.value)
    found: Whole = whole.read(converted)
    lines = tree if converted is tree.value else Marked(converted)  # what stands elsewhere has no line
    return Found(path, found.resources, found.faults, lines)


def _parse_yaml(content: bytes, path: Path, environ: Mapping[str, str]) -> Marked:
    if end := _END.search(content):
        content = content[: end.start()]
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8") from None
    return marked.parse(text, path, environ)


# --- JSON, whose values do not know their lines


def _parse_json(content: bytes, path: Path, environ: Mapping[str, str]) -> Marked:
    if not content.strip():
        return Marked(None)
    try:
        tree = json_text.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        byte = _BYTE.search(str(error))
        line = content.count(b"\n", 0, int(byte[1])) + 1 if byte else 1
        raise ConfigError(f"{path}:{line}: not JSON") from None
    faults: list[Fault] = []
    value = _replaced(tree, environ, (), faults) if b"${{" in content else tree
    if faults:
        raise FaultyFile(path, [f"{path}: {dotted(fault.keys)}: {fault.text}" for fault in faults])
    return Marked(value)


def _replaced(value: object, environ: Mapping[str, str], keys: Keys, faults: list[Fault]) -> object:
    match value:
        case dict():
            return {
                str(_text(name, environ, keys, faults)): _replaced(inner, environ, (*keys, name), faults)
                for name, inner in value.items()
            }
        case list():
            return [_replaced(one, environ, (*keys, index), faults) for index, one in enumerate(value)]
        case str() if has_variable(value):
            return typed(_text(value, environ, keys, faults))
    return value


def _text(text: str, environ: Mapping[str, str], keys: Keys, faults: list[Fault]) -> str:
    try:
        return substitute(text, environ)
    except UnsetVariable as error:
        faults.append(Fault(keys, f"environment variable {error.name} is not set"))
        return text


# --- the line of a fault


def _towards(fault: Fault) -> Keys:
    """The keys of the property that the fault is about, as far as its text says."""
    keys: list[str | int] = list(fault.keys)
    if plugin := _PLUGIN.search(fault.text):
        keys += ["plugins", plugin[1] or plugin[2]]
    is_resource = fault.keys and isinstance(fault.keys[-1], int)
    if is_resource and (found := _PROPERTY.search(fault.text)):
        keys += [int(index) if index else name for index, name in _STEP.findall(found[1])]
    return tuple(keys)
