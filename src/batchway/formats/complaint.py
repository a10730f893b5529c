"""msgspec's validation errors in the words of APISIX's JSON Schema library.

Clients and tests of APISIX know sentences such as `property "timeout" validation failed: wrong type:
expected integer, got string`; they are also the clearer ones.
"""

import re

_TYPES = {
    "int": "integer",
    "int | float": "integer",
    "str": "string",
    "bool": "boolean",
    "float": "number",
    "float | str": "number or string",
}
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
_REPHRASED = [
    (re.compile(r"Expected `(.+)`, got `(.+)`"), r"wrong type: expected \1, got \2"),
    (re.compile(r"Expected `str` of length >= 1"), "string too short, expected at least 1, got 0"),
    (re.compile(r"Expected `array` of length >= 1"), "expect array to have at least 1 items"),
    (re.compile(r"Expected `int` >= 1"), "expected a number of at least 1"),
    (re.compile(r"Invalid enum value .*"), "matches none of the enum values"),
    (
        re.compile(r"Object contains unknown field `(.+)`"),
        r"additional properties forbidden, found \1",
    ),
    (re.compile(r"Object missing required field `(.+)`"), r'property "\1" is required'),
]


def rephrase(message: str) -> str:
    """One sentence that names the property, outermost first."""
    complaint, _, path = message.partition(" - at `$")
    for pattern, words in _REPHRASED:
        match = pattern.fullmatch(complaint)
        if match:
            complaint = match.expand(words)
            break
    complaint = re.sub(
        r"(?<=expected )(.+), got (\w+)",
        lambda m: f"{_type(m[1])}, got {_type(m[2])}",
        complaint,
    )
    for step in reversed(list(_STEP.finditer(path.rstrip("`")))):
        if step["name"]:
            complaint = f'property "{step["name"]}" validation failed: {complaint}'
        elif step["index"]:
            complaint = f"failed to validate item {int(step['index']) + 1}: {complaint}"
    return complaint


def _type(name: str) -> str:
    return _TYPES.get(name, name)
