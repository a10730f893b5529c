"""JSON Schemas of resources and plugins, made from the Structs that validate them.

What a schema refuses is refused. What it takes may be refused all the same: for what several
properties say together, a schema has few words.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from batchway.admin.kinds import KINDS, Kind
from batchway.plugins.meta import Meta

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_INTEGER_ID: Schema = {"type": "integer", "minimum": 1}
_IDS = frozenset({"id"}.union(*(kind.references for kind in KINDS.values())))
_LISTS_OF_DIFFERENT = frozenset({"uris", "hosts", "methods", "remote_addrs"})


def _not_both(one: str, other: str) -> Schema:
    return {"not": {"required": [one, other]}}


_TOGETHER: Mapping[str, list[Schema]] = {
    "routes": [
        {"oneOf": [{"required": ["uri"]}, {"required": ["uris"]}]},
        *(_not_both(*pair) for pair in (("host", "hosts"), ("remote_addr", "remote_addrs"))),
        {"anyOf": [{"required": [name]} for name in ("plugins", "service_id", "upstream", "upstream_id")]},
    ],
    "credentials": [{"required": ["plugins"], "properties": {"plugins": {"minProperties": 1}}}],
}
"""What a Struct checks in its `__post_init__`, as far as it concerns properties that exclude each other."""


def find_kind(name: str) -> Kind | None:
    """The kind by its name in paths, `routes`, or as APISIX calls its schemas, `route`."""
    plural = KINDS.get(name)
    return plural or next(
        (kind for kind in KINDS.values() if kind.singular.replace(" ", "_") == name), None
    )


@cache
def kind_schema(name: str) -> Schema:
    """The schema of the documents of a kind: `routes`. Those of plugin metadata are each plugin's own."""
    kind = KINDS[name]
    if kind.struct is None:
        return {"$schema": DIALECT, "type": "object"}
    schema = struct_schema(kind.struct)
    schema["properties"] = _with_integer_ids(schema["properties"])
    if name in ("routes", "services"):  # it may be said that they are switched off
        schema["properties"]["enable_websocket"] = {"const": False}
    if name in _TOGETHER:
        schema["allOf"] = _TOGETHER[name]
    return schema


def _with_integer_ids(properties: Schema) -> Schema:
    changed = {
        name: {"anyOf": [schema, _INTEGER_ID]} for name, schema in properties.items() if name in _IDS
    }
    for name in _LISTS_OF_DIFFERENT & properties.keys():
        changed[name] = properties[name] | {"uniqueItems": True}
    if "upstream" in properties:
        upstream = properties["upstream"]
        changed["upstream"] = upstream | {"properties": _with_integer_ids(upstream["properties"])}
    return properties | changed


def plugin_schema(struct: type[Struct]) -> Schema:
    """The schema of a plugin's config, which beside its own properties may have `_meta`."""
    schema = struct_schema(struct)
    if "properties" not in schema:
        return schema
    meta = {name: value for name, value in struct_schema(Meta).items() if name != "$schema"}
    return schema | {"properties": schema["properties"] | {"_meta": meta}}


def struct_schema(struct: type[Struct]) -> Schema:
    """The schema of what a Struct takes, without references to other places."""
    try:
        (schema,), definitions = msgspec.json.schema_components([struct], ref_template="{name}")
    except TypeError:  # a stranger's plugin may have types that JSON Schema has no word for
        return {"$schema": DIALECT, "type": "object"}
    return {"$schema": DIALECT} | _whole(schema, definitions)


def _whole(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """`schema` with what it refers to put in its place, in JSON Schema's own terms."""
    if "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return _whole(definitions[schema["$ref"]] | rest, definitions)
    whole = {name: _whole_value(name, value, definitions) for name, value in schema.items()}
    default = whole.get("default", ...)
    if default is None or (default == 0 and whole.get("minimum", 0) > 0):  # it stands for "none"
        del whole["default"]
    return _without_null(whole)


def _whole_value(name: str, value: Any, definitions: Mapping[str, Schema]) -> Any:
    match name, value:
        case "properties", dict():
            return {key: _whole(inner, definitions) for key, inner in value.items()}
        case "pattern", str():
            return value.replace(r"\Z", "$")  # ECMA-262 has no \Z; and its $ is the end, no line's
        case "default", dict():
            return {key: inner for key, inner in value.items() if inner is not None}
        case (("default" | "enum" | "required"), _):
            return value
        case _, dict():
            return _whole(value, definitions)
        case _, list():
            return [_whole(item, definitions) if isinstance(item, dict) else item for item in value]
    return value


def _without_null(schema: Schema) -> Schema:
    """Null is refused everywhere: in a Struct it stands for a property that is not there."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == len(schema.get("anyOf", ())):
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {**rest, "anyOf": choices}
