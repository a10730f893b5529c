"""Batch files: what a person wrote in, the body of a batch request out. No I/O.

A file holds one JSON document, which is a whole batch `{"pipeline": [...]}`, an array of items or one
item; or it holds one item a line (JSON Lines). What is in it is sent as it stands.
"""

import re
from typing import Any, NoReturn

import msgspec
from msgspec import Raw, Struct

from batchway.cli.failures import BadFile

EXPECTED = 'expected a batch {"pipeline": [...]}, an array of items, or one item a line'
EXPECTED_ITEM = 'expected an item such as {"path": "/a"}'

_POSITION = re.compile(r"(?:JSON is malformed: )?(?P<problem>.*?)(?: \(byte (?P<byte>\d+)\))?", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class Batch(Struct, frozen=True):
    """A batch ready to be sent."""

    body: bytes
    labels: list[str]
    """Of each item its method and path, as the file has them."""
    timeout_ms: float | None
    """How long the batch itself may take, if it says so."""


def parse(content: bytes, source: str, timeout_ms: int | None = None) -> Batch:
    """The batch in a file that is called `source` in messages; `timeout_ms` replaces the one in it.

    Raises BadFile, in one line with the position, for anything else.
    """
    content = content.removeprefix(_BOM)
    _check_text(content, source)
    if not content.strip():
        raise BadFile(f"{source}: nothing in it: {EXPECTED}")
    lines = _json_lines(content)
    batch = _from_document(content, source) if lines is None else _from_lines(lines, source)
    if not batch.labels:
        raise BadFile(f"{source}: no items: {EXPECTED}")
    return batch if timeout_ms is None else _with_timeout(batch, timeout_ms)


def _check_text(content: bytes, source: str) -> None:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise BadFile(f"{_position(source, content, error.start)}: not UTF-8") from None


def _json_lines(content: bytes) -> dict[int, bytes] | None:
    """The lines by number without the blank ones, if they look like JSON Lines.

    They do if there are several and the first is an object by itself: in one document it is not.
    """
    lines = {number: line for number, line in enumerate(content.split(b"\n"), 1) if line.strip()}
    if len(lines) == 1:
        return None
    try:
        first = msgspec.json.decode(next(iter(lines.values())))
    except (msgspec.DecodeError, RecursionError):
        return None
    return lines if isinstance(first, dict) else None


def _from_lines(lines: dict[int, bytes], source: str) -> Batch:
    labels = []
    for number, line in lines.items():
        item = _decode(line, source, first_line=number)
        labels.append(_label(item, f"{source}:{number}"))
    return Batch(b'{"pipeline":[' + b",".join(lines.values()) + b"]}", labels, None)


def _from_document(content: bytes, source: str) -> Batch:
    document = _decode(content, source)
    match document:
        case {"pipeline": list(items)}:
            timeout = document.get("timeout")
            body = content
        case {"pipeline": other}:
            raise BadFile(f'{source}: "pipeline": expected an array of items, got {_kind(other)}')
        case list(items):
            timeout = None
            body = b'{"pipeline":' + content + b"}"
        case {"path": _}:
            items = [document]
            timeout = None
            body = b'{"pipeline":[' + content + b"]}"
        case _:
            raise BadFile(f"{source}: {EXPECTED}, got {_kind(document)}")
    labels = [_label(item, f"{source}: item {number}") for number, item in enumerate(items, 1)]
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    return Batch(body, labels, timeout if is_number else None)


def _with_timeout(batch: Batch, timeout_ms: int) -> Batch:
    document = msgspec.json.decode(batch.body, type=dict[str, Raw])
    document["timeout"] = Raw(str(timeout_ms))
    return Batch(msgspec.json.encode(document), batch.labels, timeout_ms)


def _label(item: Any, where: str) -> str:
    match item:
        case {"path": str(path)}:
            return f"{item.get('method', 'GET')} {path}"
        case {"path": other}:
            raise BadFile(f'{where}: "path": expected a string, got {_kind(other)}')
        case dict():
            raise BadFile(f'{where}: no "path": {EXPECTED_ITEM}')
        case _:
            raise BadFile(f"{where}: {EXPECTED_ITEM}, got {_kind(item)}")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


# --- where JSON is wrong


def _decode(text: bytes, source: str, first_line: int = 1) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise BadFile(f"{source}:{first_line}: nested too deep") from None
    except msgspec.DecodeError as error:
        _complain(str(error), text, source, first_line)


def _complain(message: str, text: bytes, source: str, first_line: int) -> NoReturn:
    found = _POSITION.fullmatch(message)
    problem = found["problem"] if found else message
    offset = int(found["byte"]) if found and found["byte"] else len(text.rstrip())
    if problem == "Input data was truncated":
        problem = "it ends too early"
    if problem == "trailing characters":
        offset -= 1  # here msgspec names the byte behind
    raise BadFile(f"{_position(source, text, offset, first_line)}: not JSON: {problem}")


def _position(source: str, text: bytes, offset: int, first_line: int = 1) -> str:
    """`source:line:column`; columns count characters."""
    before = text[:offset]
    line = first_line + before.count(b"\n")
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    return f"{source}:{line}:{column}"
