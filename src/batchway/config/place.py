"""Where a value stands in config.yaml, and what is said about it."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from msgspec import Struct, field

from batchway.config.substitution import UnsetVariable, has_variable, substitute, typed
from batchway.errors import ConfigError

Key = str | int
MAX_SHOWN = 60  # characters of a wrong value

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Reading(Struct):
    """One reading of one file: what it is given, and what it notes for the warnings."""

    path: Path
    known_plugins: Collection[str]
    environ: Mapping[str, str]
    homes: Mapping[str, str] = field(default_factory=dict)
    """The key path where a key belongs, by its name: for who puts it somewhere else."""
    unused: list[str] = field(default_factory=list)
    """Key paths that APISIX has and batchway has no use for."""
    missing_plugins: list[str] = field(default_factory=list)
    """Names in `plugins` that batchway does not have."""
    remarks: list[str] = field(default_factory=list)


class Place(Struct, frozen=True):
    """One value's place. What a `secret` one holds is never shown."""

    reading: Reading
    keys: tuple[Key, ...] = ()
    secret: bool = False

    def __str__(self) -> str:
        return dotted(self.keys)

    def key(self, name: object) -> "Place":
        """The place of the value under `name` in this mapping."""
        return Place(self.reading, (*self.keys, str(name)), self.secret)

    def item(self, index: int) -> "Place":
        """The place of an entry of this list."""
        return Place(self.reading, (*self.keys, index), self.secret)

    def hidden(self) -> "Place":
        """This place, with all that it holds a secret."""
        return Place(self.reading, self.keys, secret=True)

    def text(self, value: str) -> str:
        """`value` with its variables replaced. Raises ConfigError if one is not set."""
        try:
            return substitute(value, self.reading.environ)
        except UnsetVariable as error:
            name = dotted((error.name,))
            raise self.error(f"environment variable {name} is not set") from None

    def plain(self, value: object) -> object:
        """`value` with its variables replaced; then a number or boolean if it looks like one."""
        if isinstance(value, str) and has_variable(value):
            return typed(self.text(value))
        return value

    def error(self, problem: str) -> ConfigError:
        """The error that says `problem` of this place, in one line."""
        where = f"{self.reading.path}: {self}" if self.keys else f"{self.reading.path}"
        return ConfigError(f"{where}: {problem}")

    def expected(self, expectation: str, value: object) -> ConfigError:
        """The error that says what is expected here, and what was found instead."""
        return self.error(f"expected {expectation}, got {self._shown(value)}")

    def _shown(self, value: object) -> str:
        """How a wrong value reads in a message: no credential, no line break, not too long."""
        match value:
            case dict():
                return "a mapping"
            case list():
                return "a list"
            case str() if self.secret:
                return "a string"
            case bool() | int() | float() if self.secret:
                return "a value without quotes"
            case str() if has_variable(value):
                return f"what {_quoted(value)} stands for"
            case str():
                return _quoted(value)
            case int() if value.bit_length() > 64:
                return "a huge number"
            case _:
                return json.dumps(value)


def dotted(keys: tuple[Key, ...]) -> str:
    """The key path as people write it: `apisix.node_listen[0].port`; an odd name in quotes."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            path += "." * bool(path) + (key if _NAME.fullmatch(key) else _quoted(key))
    return path


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "...")
