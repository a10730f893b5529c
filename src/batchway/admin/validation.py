"""Documents checked, and nothing written. Source: apisix/admin/init.lua, config_validate.lua (3.x)."""

from collections.abc import Iterator

from batchway.admin import sealing
from batchway.admin.access import Access
from batchway.admin.kinds import KINDS, NOT_SUPPORTED, Document, Kind, check_id
from batchway.admin.patch import check_depth
from batchway.admin.references import check_rule
from batchway.errors import InvalidResource

Problem = dict[str, object]


def validate(kind: Kind, document: object, access: Access) -> None:
    """Raises InvalidResource for what could not be written as one of this kind, plugins included.

    It needs no id, and what it names by id need not be there.
    """
    if not isinstance(document, dict):
        msg = f"invalid {kind.singular}: expected object"
        raise InvalidResource(msg)
    check_depth(document)
    id_ = str(document.get("id", ""))
    if kind.is_plain:
        document = {name: value for name, value in document.items() if name != "id"}
        check_id(kind, id_ or None)
    document = sealing.unseal(document, kind, access.plugins.plugins, access.keyring)
    kind.check(id_, document, access.plugins)


def validate_all(document: object, access: Access) -> list[Problem]:
    """What is wrong with a whole configuration, such as `{"routes": [...], "upstreams": [...]}`.

    Raises InvalidResource if it is none.
    """
    if not isinstance(document, dict):
        msg = "invalid configuration: expected object"
        raise InvalidResource(msg)
    check_depth(document)
    return [problem for name, items in document.items() for problem in _problems(name, items, access)]


def _problems(name: str, items: object, access: Access) -> Iterator[Problem]:
    if name.endswith("_conf_version"):
        if type(items) not in (int, float):
            yield {"resource_type": name.removesuffix("_conf_version"), "error": f"{name} must be a number"}
        return
    kind = KINDS.get(name)
    if kind is None or not isinstance(items, list):
        yield {"resource_type": name, "error": _why_none(name, known=kind is not None)}
        return
    seen: set[str] = set()
    rules: dict[str, Document] = {}
    for index, item in enumerate(items):
        for error in _item_errors(kind, item, seen, rules, access):
            text = f"invalid {name} at index {index}, err: {error}"
            yield {"resource_type": name, "index": index, "error": text}


def _why_none(name: str, *, known: bool) -> str:
    if known:
        return "expected array"
    return "not supported by batchway" if name in NOT_SUPPORTED else "unsupported resource type"


def _item_errors(
    kind: Kind, item: object, seen: set[str], rules: dict[str, Document], access: Access
) -> Iterator[str]:
    kind, item = _credential(kind, item)
    try:
        validate(kind, item, access)
        if kind.name == "global_rules" and isinstance(item, dict):
            check_rule(str(item.get("id", "")), item, rules)
    except InvalidResource as error:
        yield error.message
    id_ = str(item.get(kind.id_name or "id", "")) if isinstance(item, dict) else ""
    if id_ and id_ in seen:
        yield f"found duplicate {kind.id_name or 'id'} {id_}"
    seen.add(id_)


def _credential(kind: Kind, item: object) -> tuple[Kind, object]:
    """Among consumers there may be their credentials, with an id such as `jack/credentials/1`."""
    if kind.name != "consumers" or not isinstance(item, dict):
        return kind, item
    match str(item.get("id", "")).split("/"):
        case [_, "credentials", id_]:
            credentials = KINDS["credentials"]
            return credentials, item | {"id": id_}
    return kind, item
