"""`${{VAR}}` and `${{VAR:=default}}` in a value. No I/O. Source: apisix/cli/file.lua of APISIX."""

import re
from collections.abc import Mapping

Typed = str | int | float | bool

# The default ends at the first `}}`, as in APISIX: it cannot hold one.
_VARIABLE = re.compile(r"\$\{\{\s*(\w+.*?)\s*\}\}", re.ASCII | re.DOTALL)
_DOLLAR = "${{BATCHWAY_DOLLAR:=$}}"
_INTEGER = re.compile(r"[+-]?[0-9]{1,32}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,8})?")


class UnsetVariable(LookupError):
    """The environment has no variable of that `name`, and the value has no default for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def has_variable(text: str) -> bool:
    """Whether `substitute` would replace anything in `text`."""
    return _VARIABLE.search(text) is not None


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables replaced; what they stand for is not looked into again.

    A variable that is set but empty is empty: the default is for one that is not set.
    Raises UnsetVariable.
    """

    def value(match: re.Match[str]) -> str:
        # APISIX looks up "VAR " for `${{VAR := x}}`, and so never finds it; here spaces are free.
        name, assign, default = (part.strip() for part in match[1].partition(":="))
        found = environ.get(name, default if assign else None)
        if found is None:
            raise UnsetVariable(name)
        return found

    return _VARIABLE.sub(value, text)


def literal(text: str) -> str:
    """What `substitute` makes `text` of, whatever variables it seems to have.

    There is no other way to write `${{`: the dollar is the default of a variable that nobody sets.
    """
    return _VARIABLE.sub(lambda found: _DOLLAR + found[0][1:], text)


def typed(text: str) -> Typed:
    """The number or boolean that a substituted `text` looks like, else `text` itself."""
    bare = text.strip()
    if _INTEGER.fullmatch(bare):
        return int(bare)
    if _FLOAT.fullmatch(bare):
        return float(bare)
    return {"true": True, "false": False}.get(text, text)
