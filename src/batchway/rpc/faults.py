"""What is wrong with params: each field of them that is, where msgspec stops at the first."""

import collections.abc
import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.inspect import TypedDictType, type_info

DecodeHook = Callable[[type, Any], Any]

OUT_OF_RANGE = frozenset({"Number out of range", "Integer value out of range"})
"""Sentences of msgspec's about JSON that is none: no value could be made of it, whatever the type."""
MAX_FAULTS = 100
"""More are not told of."""
_MAX_PARTS = 1000  # looked at one by one, for all params of a call; each takes about 2 µs

_EXPECTED = re.compile(r"Expected `(?P<expected>.+?)`(?P<bound>.*?)(?:, got `?(?P<got>\w+)`?)?")
_PLACE = re.compile(r"(.*?) - at (`key` in )?`\$(.*)`", re.DOTALL)
_MEMBER = re.compile(r"Object (?:(?P<missing>missing required)|contains unknown) field `(?P<name>.*)`")
_INVALID_VALUES = ("Invalid value ", "Invalid enum value ")  # the others are of formats: "Invalid UUID"
_JSON_NAMES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}
_UNIONS = (typing.Union, types.UnionType)
_ARRAYS = (
    *(list, set, frozenset),
    *(collections.abc.Collection, collections.abc.Sequence, collections.abc.MutableSequence),
    *(collections.abc.Set, collections.abc.MutableSet),
)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_ALIAS: Any = getattr(typing, "TypeAliasType", ())  # since Python 3.12

_split = msgspec.json.Decoder(list[Raw] | dict[str, Raw]).decode


class Fault(Struct, frozen=True):
    """One field that is wrong: missing, unknown, or not what was `expected`, and perhaps what it is."""

    field: str
    kind: Literal["missing", "unknown", "wrong"]
    expected: str = ""
    got: str = ""
    sentence: str = ""
    """What the type itself has to say, in place of `expected`."""


class _Member(Struct, frozen=True):
    type: Any
    required: bool


class Search:
    """Looks for faults in the params of one call. `found` never has more than MAX_FAULTS."""

    def __init__(self, dec_hook: DecodeHook | None = None) -> None:
        self.found: list[Fault] = []
        self._dec_hook = dec_hook
        self._parts_left = _MAX_PARTS

    def decode(self, raw: Raw, kind: Any, field: str) -> Any:
        """The value, None if something is found to be wrong with it."""
        try:
            return msgspec.json.decode(raw, type=kind, dec_hook=self._dec_hook)
        except msgspec.ValidationError as error:
            count = len(self.found)
            self._look_inside(raw, kind, field)
            if len(self.found) == count:
                self.add(_read(str(error), kind, field))
            return None

    def add(self, fault: Fault) -> None:
        """Note a fault."""
        if len(self.found) < MAX_FAULTS:
            self.found.append(fault)

    def _look_inside(self, raw: Raw, kind: Any, field: str) -> None:
        try:
            parts = _split(raw)
        except msgspec.ValidationError:
            return
        kinds = _alternatives(kind)
        if isinstance(parts, list):
            items = next(filter(None, (_item_types(one, len(parts)) for one in kinds)), ())
            for index, (part, item) in enumerate(zip(parts, items, strict=False)):
                self._part(part, item, f"{field}[{index}]")
        else:
            self._look_at_members(parts, next((one for one in kinds if _is_meant(one, parts)), None), field)

    def _look_at_members(self, parts: dict[str, Raw], kind: Any, field: str) -> None:
        if typing.get_origin(kind) in _OBJECTS:
            for name, part in parts.items():
                self._part(part, typing.get_args(kind)[1], f"{field}.{name}")
            return
        members = _members(kind)
        if members is None:
            return
        for name, member in members.items():
            if name in parts:
                self._part(parts[name], member.type, f"{field}.{name}")
            elif member.required:
                self.add(Fault(f"{field}.{name}", "missing"))
        if _is_closed(kind):
            tag = _struct(kind).__struct_config__.tag_field
            for name in parts.keys() - members.keys() - {tag}:
                self.add(Fault(f"{field}.{name}", "unknown"))

    def _part(self, raw: Raw, kind: Any, field: str) -> None:
        self._parts_left -= 1
        if self._parts_left >= 0 and len(self.found) < MAX_FAULTS:
            self.decode(raw, kind, field)


def _bare(kind: Any) -> Any:
    """The type without what is annotated, without names of its own, and without `| None`."""
    while True:
        if typing.get_origin(kind) is typing.Annotated:
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif isinstance(kind, _ALIAS):
            kind = kind.__value__
        else:
            break
    if typing.get_origin(kind) in _UNIONS:
        others = [one for one in typing.get_args(kind) if one is not types.NoneType]
        if len(others) == 1:
            return _bare(others[0])
    return kind


def _alternatives(kind: Any) -> list[Any]:
    """The types of a union; one that is none has itself alone."""
    kind = _bare(kind)
    if typing.get_origin(kind) in _UNIONS:
        return [other for one in typing.get_args(kind) for other in _alternatives(one)]
    return [kind]


def _item_types(kind: Any, count: int) -> Iterable[Any] | None:
    """The types of the items of an array; None if they cannot be told, as where it has too few of them."""
    args = typing.get_args(kind)
    match typing.get_origin(kind):
        case origin if origin in _ARRAYS and args:
            return repeat(args[0])
        case origin if origin is tuple and len(args) == 2 and args[1] is ...:
            return repeat(args[0])
        case origin if origin is tuple:
            return args if len(args) == count else None
    items = _fixed_items(kind)
    return [one.type for one in items] if sum(one.required for one in items) <= count else None


def _fixed_items(kind: Any) -> list[_Member]:
    """What an array of that type has, one by one: of a Struct that is written as one, or a NamedTuple."""
    if _is_struct(kind):
        config = _struct(kind).__struct_config__
        fields = msgspec.structs.fields(kind) if config.array_like and config.tag is None else ()
        return [_Member(f.type, f.required) for f in fields]
    if isinstance(kind, type) and issubclass(kind, tuple) and kind is not tuple:
        hints = typing.get_type_hints(kind, include_extras=True)
        defaults = getattr(kind, "_field_defaults", {})
        return [_Member(hint, name not in defaults) for name, hint in hints.items()]
    return []


def _is_struct(kind: Any) -> bool:
    kind = _struct(kind)
    return isinstance(kind, type) and issubclass(kind, Struct)


def _struct(kind: Any) -> Any:
    """The class of a type: `Page` of `Page[User]`."""
    return typing.get_origin(kind) or kind


def _is_meant(kind: Any, parts: dict[str, Raw]) -> bool:
    """Whether an object is to be of that type: of several Structs each has a tag that says so."""
    if not _is_struct(kind):
        return typing.get_origin(kind) in _OBJECTS or _members(kind) is not None
    config = _struct(kind).__struct_config__
    if config.array_like or config.tag is None:
        return not config.array_like
    tag = parts.get(config.tag_field)
    return tag is not None and bytes(tag) == msgspec.json.encode(config.tag)


def _members(kind: Any) -> dict[str, _Member] | None:
    """What an object of that type should have; None if that cannot be told."""
    if _is_struct(kind):
        return {f.encode_name: _Member(f.type, f.required) for f in msgspec.structs.fields(kind)}
    if not isinstance(kind, type):
        return None
    if typing.is_typeddict(kind):
        # What `__required_keys__` has is wrong where annotations are strings.
        info = typing.cast(TypedDictType, type_info(kind))
        required = {one.name for one in info.fields if one.required}
        hints = typing.get_type_hints(kind, include_extras=True)
        return {name: _Member(_unmarked(hint), name in required) for name, hint in hints.items()}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {f.name: _Member(hints[f.name], _is_required(f)) for f in dataclasses.fields(kind)}
    return None


def _unmarked(hint: Any) -> Any:
    """The type of a key, without the word on whether it has to be there."""
    while typing.get_origin(hint) in (typing.Required, typing.NotRequired):
        hint = typing.get_args(hint)[0]
    return hint


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_closed(kind: Any) -> bool:
    return _is_struct(kind) and bool(_struct(kind).__struct_config__.forbid_unknown_fields)


def _read(message: str, kind: Any, field: str) -> Fault:
    """What msgspec's sentence says."""
    place = _PLACE.fullmatch(message)
    complaint, key, path = place.groups() if place else (message, None, "")
    field += path
    choices = _listed(_choices(kind, complaint) if place is None else _tags(kind, path))
    if choices:
        return Fault(field, "wrong", choices)
    member = _MEMBER.fullmatch(complaint)
    if member is not None:
        return Fault(f"{field}.{member['name']}", "missing" if member["missing"] else "unknown")
    match = _EXPECTED.fullmatch(complaint)
    if match is None and complaint.startswith("Invalid ") and not complaint.startswith(_INVALID_VALUES):
        return Fault(field, "wrong", complaint.removeprefix("Invalid ").replace("`", ""))
    if match is None:
        return Fault(field, "wrong", sentence=complaint)
    expected = " or ".join(_JSON_NAMES.get(name, name) for name in match["expected"].split(" | "))
    expected += match["bound"].replace("`", "") + (" as each key" if key else "")
    got = match["got"] or ""
    return Fault(field, "wrong", expected, _JSON_NAMES.get(got, got))


def _choices(kind: Any, complaint: str) -> list[Any]:
    """The values of an enum or a Literal; of one in a union if it is what the value was taken for."""
    kinds = _alternatives(kind)
    if len(kinds) > 1 and not complaint.startswith(_INVALID_VALUES):
        return []
    found: list[Any] = []
    for one in kinds:
        if isinstance(one, type) and issubclass(one, enum.Enum):
            found += [member.value for member in one]
        elif typing.get_origin(one) is Literal:
            found += typing.get_args(one)
    return found


def _tags(kind: Any, path: str) -> list[Any]:
    """The tags of a union's Structs, if that is what stands at `path`."""
    configs = [_struct(one).__struct_config__ for one in _alternatives(kind) if _is_struct(one)]
    tagged = [one for one in configs if one.tag is not None]
    return [one.tag for one in tagged if path == ("[0]" if one.array_like else f".{one.tag_field}")]


def _listed(values: Sequence[Any]) -> str:
    listed = [msgspec.json.encode(value).decode() for value in values]
    return f"one of {', '.join(listed)}" if listed else ""
