"""Regular expressions as APISIX's users write them, in PCRE, held against text by Python's `re`.

What the two spell alike but mean differently is rewritten, what `re` does not know is refused. So is what
takes time without end: `re` goes back over every choice it has made, and nothing can stop it.
"""

import re
import warnings
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined] # private, but as old as re itself
from typing import Any

MAX_PATTERN = 1024
"""Characters."""

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}
_ESCAPES = {r"\z": r"\Z", r"\Z": r"(?=\n?\Z)"}
_DIFFERENT = re.compile(r"\\.|\(\?<(?![=!])|\[:(\w+):\]", re.DOTALL)


def compile_pattern(text: object, where: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """The pattern that `text` spells in PCRE; as in nginx, only ASCII has classes and cases.

    Raises ValueError that begins with `where`.
    """
    if not isinstance(text, str):
        msg = f"{where}: expected a regular expression, got {text!r}"
        raise ValueError(msg)
    if len(text) > MAX_PATTERN:
        msg = f"{where}: expected a regular expression of at most {MAX_PATTERN} characters, got {len(text)}"
        raise ValueError(msg)
    try:
        flags = re.ASCII | (re.IGNORECASE if ignore_case else re.NOFLAG)
        spelled = _DIFFERENT.sub(_as_python, text)
        with warnings.catch_warnings(action="ignore"):  # of what may mean something else some day
            parsed = _parser.parse(spelled, flags)
            pattern = re.compile(spelled, flags)
    except (re.error, OverflowError, RecursionError) as error:
        msg = f"{where}: not a regular expression that batchway knows: {error}"
        raise ValueError(msg) from None
    if _explodes(parsed):
        msg = (
            f"{where}: a repetition within a repetition, as in (a+)*, may take time without end;"
            f" make the inner one possessive, as in (a++)*"
        )
        raise ValueError(msg)
    return pattern


def _as_python(found: re.Match[str]) -> str:
    spelled = found[0]
    if found[1]:
        if found[1] not in _CLASSES:
            msg = f"unknown class {spelled}"
            raise re.error(msg)
        return _CLASSES[found[1]]
    if spelled == "(?<":
        return "(?P<"
    return _ESCAPES.get(spelled, spelled)


# --- repetitions that can share out the same text between them in more ways than can be tried

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


def _explodes(items: Iterable[Any]) -> bool:
    """Whether a repetition has a body that one inner repetition can make up alone, or an empty choice."""
    return any(
        (operator in _REPEATS and _is_long(argument) and _is_ambiguous(argument[2]))
        or any(_explodes(inner) for inner in _inner(operator, argument))
        for operator, argument in items
    )


def _is_long(argument: tuple[int, Any, Any]) -> bool:
    return argument[1] is _constants.MAXREPEAT or argument[1] > 16


def _is_ambiguous(body: Any) -> bool:
    """Whether one repetition in it can take what all the rest of it takes."""
    items = list(body)
    for index, (operator, argument) in enumerate(items):
        rest = items[:index] + items[index + 1 :]
        if operator in _REPEATS and _is_long(argument):
            taken = _characters(argument[2][0]) if len(argument[2]) == 1 else frozenset[int]()
            if all(_fits(item, taken) for item in rest):
                return True
        elif not any(_width(item) for item in rest) and any(map(_is_ambiguous, _inner(operator, argument))):
            return True
    return any(map(_is_empty_choice, items))


def _fits(item: Any, characters: frozenset[int]) -> bool:
    """Whether it can be nothing, or a text of these characters."""
    operator, argument = item
    if operator in (*_REPEATS, _constants.SUBPATTERN):
        return not _width(item) or all(_fits(one, characters) for one in _inner(operator, argument)[0])
    return not _width(item) or bool(_characters(item) & characters)


_ALL = frozenset(range(129))
"""ASCII, and one more that stands for everything else."""
_CATEGORIES = {
    _constants.CATEGORY_DIGIT: r"\d",
    _constants.CATEGORY_NOT_DIGIT: r"\D",
    _constants.CATEGORY_SPACE: r"\s",
    _constants.CATEGORY_NOT_SPACE: r"\S",
    _constants.CATEGORY_WORD: r"\w",
    _constants.CATEGORY_NOT_WORD: r"\W",
}


def _characters(item: Any) -> frozenset[int]:
    """The characters that an item for one character takes; none for other items."""
    operator, argument = item
    match operator:
        case _constants.ANY:
            return _ALL
        case _constants.LITERAL:
            return frozenset((min(argument, 128),))
        case _constants.NOT_LITERAL:
            return _ALL - {argument}
        case _constants.RANGE:
            return frozenset(range(min(argument[0], 128), min(argument[1], 128) + 1))
        case _constants.CATEGORY:
            category = re.compile(_CATEGORIES[argument], re.ASCII)
            return frozenset(code for code in _ALL if category.match(chr(code)))
        case _constants.IN:
            inside = frozenset[int]().union(*map(_characters, argument))
            return _ALL - inside if argument[0][0] is _constants.NEGATE else inside
    return frozenset()


def _is_empty_choice(item: Any) -> bool:
    """Whether it is a choice between two branches that may both be empty, as in (a|a)."""
    operator, argument = item
    if operator is _constants.SUBPATTERN:
        return any(_is_empty_choice(inner) for inner in argument[3])
    if operator is not _constants.BRANCH:
        return False
    return len([branch for branch in argument[1] if branch.getwidth()[0] == 0]) > 1


def _width(item: Any) -> int:
    """The least number of characters that it takes."""
    pattern = _parser.SubPattern(_parser.State(), [item])
    least: int = pattern.getwidth()[0]
    return least


def _inner(operator: Any, argument: Any) -> list[Any]:
    """The items within an item. A group that is never gone back into has none that matter."""
    if operator in (*_REPEATS, _constants.POSSESSIVE_REPEAT):
        return [argument[2]]
    if operator is _constants.SUBPATTERN:
        return [argument[3]]
    if operator is _constants.BRANCH:
        return list(argument[1])
    if operator in (_constants.ASSERT, _constants.ASSERT_NOT):
        return [argument[1]]
    if operator is _constants.GROUPREF_EXISTS:
        return [one for one in argument[1:] if one is not None]
    return []
