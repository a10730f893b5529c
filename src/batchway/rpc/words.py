"""Faults in words, for people: `{field: [sentences]}` is the `data` of an InvalidParams."""

from collections.abc import Callable, Iterable

from batchway.rpc.faults import Fault

Words = Callable[[Fault], str]

_LARAVEL = {
    "integer": "must be an integer.",
    "number": "must be a number.",
    "string": "must be a string.",
    "boolean": "must be true or false.",
    "array": "must be an array.",
    "object": "must be an array.",
}


def data(faults: Iterable[Fault], word: Words) -> dict[str, list[str]]:
    """All faults, under their fields."""
    found: dict[str, list[str]] = {}
    for fault in faults:
        found.setdefault(fault.field, []).append(word(fault))
    return found


def plain(fault: Fault) -> str:
    """As the standard profile has it."""
    match fault.kind:
        case "missing":
            return "required"
        case "unknown":
            return "not expected"
    if fault.sentence:
        return fault.sentence
    got = f", got {fault.got}" if fault.got else ""
    return f"expected {fault.expected}{got}"


def laravel(fault: Fault) -> str:
    """As Laravel's validator has it, in the sajya profile."""
    name = fault.field.replace("_", " ")
    match fault.kind:
        case "missing":
            return f"The {name} field is required."
        case "unknown":
            return f"The {name} field is not expected."
    if fault.sentence:
        return fault.sentence
    if fault.expected.startswith("one of "):
        return f"The selected {name} is invalid."
    return f"The {name} field {_LARAVEL.get(fault.expected, 'is invalid.')}"
