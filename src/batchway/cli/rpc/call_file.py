"""Files of calls: what a person wrote in, the body of a batch out. No I/O.

A file holds one JSON or YAML document, which is an array of calls or one call. `jsonrpc` may be left out.
As on the wire, a call without `id` is a notification.
"""

import re

import msgspec
import yaml
from msgspec import Raw, Struct

from batchway.cli.failures import BadFile
from batchway.rpc.client.answers import key_of

EXPECTED = 'expected an array of calls such as [{"method": "tennis@ping", "id": 1}]'

_BYTE = re.compile(r"(?:JSON is malformed: )?(.*?) \(byte (\d+)\)", re.DOTALL)
_BOM = b"\xef\xbb\xbf"


class FileCall(Struct, frozen=True):
    """One call of a file."""

    method: str
    id: Raw | None
    """As it was written; None for a notification."""


class CallFile(Struct, frozen=True):
    """A batch ready to be sent."""

    body: bytes
    calls: list[FileCall]


def parse(content: bytes, source: str) -> CallFile:
    """The calls in a file that is called `source` in messages.

    YAML if its name says so, or if it does not begin as JSON does. Raises BadFile, in one line.
    """
    content = content.removeprefix(_BOM)
    is_yaml = source.endswith((".yaml", ".yml")) or content.lstrip()[:1] not in (b"[", b"{")
    document = _from_yaml(content, source) if is_yaml else content
    try:
        entries = msgspec.json.decode(document, type=list[dict[str, Raw]] | dict[str, Raw])
    except msgspec.ValidationError:
        raise BadFile(f"{source}: {EXPECTED}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadFile(f"{source}{_where(error, content)}") from None
    found = entries if isinstance(entries, list) else [entries]
    if not found:
        raise BadFile(f"{source}: no calls: {EXPECTED}")
    calls = [_call(entry, f"{source}: call {number}") for number, entry in enumerate(found, 1)]
    _check_ids(calls, source)
    whole = [{"jsonrpc": Raw(b'"2.0"'), **entry} for entry in found]
    return CallFile(msgspec.json.encode(whole), calls)


def _from_yaml(content: bytes, source: str) -> bytes:
    if not content.strip():
        raise BadFile(f"{source}: nothing in it: {EXPECTED}")
    try:
        return msgspec.json.encode(yaml.load(content, yaml.CSafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise BadFile(f"{source}{where}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeError):
        raise BadFile(f"{source}: not YAML") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise BadFile(f"{source}: this YAML cannot be sent as JSON: {error}") from None


def _where(error: Exception, content: bytes) -> str:
    found = _BYTE.fullmatch(str(error))
    if found is None:
        truncated = "truncated" in str(error)
        return ": not JSON: it ends too early" if truncated else ": not JSON"
    before = content[: int(found[2])]
    column = len(before) - before.rfind(b"\n")
    line = before.count(b"\n") + 1
    return f":{line}:{column}: not JSON: {found[1]}"


def _call(entry: dict[str, Raw], where: str) -> FileCall:
    try:
        method = msgspec.json.decode(entry.get("method", Raw(b"null")), type=str)
    except msgspec.ValidationError:
        raise BadFile(f'{where}: "method": expected a string') from None
    id = entry.get("id")
    if id is not None and bytes(id)[:1] in (b"{", b"[", b"t", b"f", b"n"):
        # With null, an answer could not be told from what the server says of a body as a whole.
        raise BadFile(f'{where}: "id": expected a string or a number; without one it is a notification')
    return FileCall(method, id)


def _check_ids(calls: list[FileCall], source: str) -> None:
    """Ids tell answers apart."""
    seen: set[str] = set()
    for call in calls:
        if call.id is None:
            continue
        key = str(key_of(call.id))
        if key in seen:
            raise BadFile(f"{source}: two calls have the id {key[:40]}")
        seen.add(key)
