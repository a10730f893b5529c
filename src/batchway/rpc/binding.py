"""From params to the arguments of a function: checked and converted by its type hints.

The quick way decodes all params at once, into a tuple of arguments. Where that fails, or does not suit the
signature, they are taken one by one; that way also finds all that is wrong with them.
"""

import types
from collections import namedtuple
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec import NODEFAULT, Raw, Struct
from msgspec.inspect import CustomType, type_info

from batchway.errors import ConfigError
from batchway.rpc.errors import InvalidParams, Unfit
from batchway.rpc.faults import MAX_FAULTS, OUT_OF_RANGE, DecodeHook, Fault, Search
from batchway.rpc.signature import KEYWORD, MORE, POSITIONAL, REST, Parameter
from batchway.rpc.words import Words, data

_split = msgspec.json.Decoder(list[Raw] | dict[str, Raw]).decode
_IMMUTABLE = (types.NoneType, bool, int, float, str, bytes)


class Values(Struct):
    """What was sent: for parameters by name, for `*args`, and for `**kwargs`."""

    named: dict[str, Any]
    rest: Sequence[Any] = ()
    more: dict[str, Any] = {}


class Binder:
    """Reads the params of one function. `parameters` are its own; `sent` what there may be in params."""

    def __init__(
        self,
        parameters: Sequence[Parameter],
        sent: Sequence[Parameter],
        word: Words,
        dec_hook: DecodeHook | None = None,
        *,
        filled: Collection[str] = (),
    ) -> None:
        """`filled`: as in Signature. Raises ConfigError naming a parameter whose type JSON cannot make."""
        self.parameters = parameters
        self.sent = sent
        self._single = [one for one in sent if one.kind not in (REST, MORE)]
        self._positional = [one for one in self._single if one.kind in POSITIONAL]
        self._rest = next((one for one in sent if one.kind is REST), None)
        self._more = next((one for one in sent if one.kind is MORE), None)
        self._taken = {one.name for one in parameters if one.kind not in (REST, MORE)}.union(filled)
        self._word = word
        self._dec_hook = dec_hook
        for one in sent:
            _check_type(one, dec_hook)
        self.named = _struct_of(self._single)
        """What `decode` makes of params by name. Of those by position it makes a tuple."""
        self.decode: Callable[[Raw], Any] = msgspec.json.Decoder(
            _tuple_of(self._positional) | self.named, dec_hook=dec_hook
        ).decode
        self._is_closed = self._rest is None and self._more is None
        self.is_plain = self._is_closed and list(parameters) == self._positional
        """Whether the tuple, or the struct as one, is all that the function is called with."""

    def values(self, params: Raw) -> Values:
        """The values of all parameters that something was sent for, or that have a default.

        Raises InvalidParams naming all that is wrong, Unfit if they are no params at all.
        """
        if self._is_closed:
            try:
                found = self.decode(params)
            except (msgspec.DecodeError, RecursionError):
                return self.take_apart(params)
            if isinstance(found, self.named):
                return Values(msgspec.structs.asdict(found))
            if len(self._single) == len(self._positional):
                return Values(dict(zip((one.name for one in self._single), found, strict=True)))
        return self.take_apart(params)

    def take_apart(self, params: Raw) -> Values:
        """As `values`, one by one."""
        try:
            parts = _split(params)
        except msgspec.ValidationError:
            raise Unfit from None
        search = Search(self._dec_hook)
        read = self._by_position if isinstance(parts, list) else self._by_name
        values = read(parts, search)
        for one in self._single:
            if one.name not in values.named:
                if one.required:
                    search.add(Fault(one.name, "missing"))
                values.named[one.name] = one.default
        if any(fault.sentence in OUT_OF_RANGE for fault in search.found):
            reason = "a number is out of range"
            raise Unfit(reason)
        if search.found:
            raise InvalidParams(data=data(search.found, self._word))
        return values

    def _by_position(self, parts: list[Raw], search: Search) -> Values:
        count = len(self._positional)
        named = {
            one.name: search.decode(raw, one.type, one.name)
            for one, raw in zip(self._positional, parts, strict=False)
        }
        rest = parts[count:]
        if self._rest is None:
            for index in range(count, min(len(parts), count + MAX_FAULTS)):
                search.add(Fault(f"[{index}]", "unknown"))
            return Values(named)
        kind, name = self._rest.type, self._rest.name
        return Values(
            named, [search.decode(raw, kind, f"{name}[{index}]") for index, raw in enumerate(rest)]
        )

    def _by_name(self, parts: dict[str, Raw], search: Search) -> Values:
        named = {
            one.name: search.decode(parts.pop(one.name), one.type, one.name)
            for one in self._single
            if one.name in parts
        }
        unknown = [name for name in parts if self._more is None or name in self._taken]
        for name in islice(unknown, MAX_FAULTS):
            search.add(Fault(name, "unknown"))
        if self._more is None or unknown:
            return Values(named)
        kind = self._more.type
        return Values(named, more={name: search.decode(raw, kind, name) for name, raw in parts.items()})

    def arrange(self, values: Values) -> tuple[list[Any], dict[str, Any]]:
        """What to call the function with, once all values are there."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for one in self.parameters:
            if one.kind in POSITIONAL:
                args.append(values.named[one.name])
            elif one.kind is REST:
                args.extend(values.rest)
            elif one.kind is KEYWORD:
                kwargs[one.name] = values.named[one.name]
            else:
                kwargs.update(values.more)
        return args, kwargs


def _struct_of(parameters: Sequence[Parameter]) -> type[Struct]:
    fields: list[Any] = []
    for one in parameters:
        if one.default is NODEFAULT:
            fields.append((one.name, one.type))
        elif isinstance(one.default, _IMMUTABLE):
            fields.append((one.name, one.type, one.default))
        else:
            fields.append((one.name, one.type, msgspec.field(default_factory=_always(one.default))))
    return msgspec.defstruct("Params", fields, forbid_unknown_fields=True, kw_only=True)


def _always(value: Any) -> Callable[[], Any]:
    return lambda: value


def _tuple_of(parameters: Sequence[Parameter]) -> Any:
    if all(one.default is NODEFAULT for one in parameters):
        return types.GenericAlias(tuple, tuple(one.type for one in parameters))
    # A plain tuple has no defaults, and a Struct may not stand beside another in a union.
    names = [f"p{index}" for index, _ in enumerate(parameters)]
    defaults = [one.default for one in parameters if one.default is not NODEFAULT]
    kind: Any = namedtuple("Params", names, defaults=defaults)  # type: ignore[misc] # made at run time
    kind.__annotations__ = {name: one.type for name, one in zip(names, parameters, strict=True)}
    return kind


def _check_type(parameter: Parameter, dec_hook: DecodeHook | None) -> None:
    try:
        info = type_info(parameter.type)
        msgspec.json.Decoder(parameter.type)
    except TypeError as error:
        message = f"parameter {parameter.name}: {error}"
        raise ConfigError(message) from None
    if dec_hook is None and isinstance(info, CustomType):
        message = f"parameter {parameter.name}: nothing sent can become a {info.cls.__name__}; see Bind"
        raise ConfigError(message)
