"""Resources written down, and read again: nothing is lost on the way."""

import os
import string
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.admin import declaration, json_text, resource_file
from batchway.admin.declaration import Placeholder, Secrets
from batchway.admin.kinds import KINDS, Document, Place, locate, with_defaults
from batchway.cli import yaml_text
from batchway.config.data_encryption import Keyring
from batchway.config.substitution import literal, substitute
from batchway.plugins import Registry

NODES = {"127.0.0.1:1": 1}
YAML, JSON = Path("a.yaml"), Path("a.json")


def placed(documents: dict[str, Document]) -> list[tuple[Place, Document]]:
    return [(place, document) for key, document in documents.items() if (place := locate(key))]


def written(documents: dict[str, Document], *, as_json: bool = False) -> bytes:
    essential = [(place, declaration.essential(place.kind, one)) for place, one in placed(documents)]
    tree = declaration.literally(declaration.declare(essential))
    return msgspec.json.encode(tree) if as_json else yaml_text.dump(tree).encode()


def read(content: bytes, path: Path = YAML) -> dict[str, Document]:
    found = resource_file.read(content, path, os.environ)
    assert found.faults == []
    return {key: one.document for key, one in found.resources.items()}


# --- any resources

name = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
id_ = name | st.sampled_from(["1", "007", "1.5", "no", "null", "1e5", "0x1F", "-", "..", "a.b"])
# what JSON can hold: no lone surrogates, numbers as they come back from it
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "",
        " ",
        "no",
        "~",
        "1",
        "1.0",
        "#END",
        "\n#END\n",
        "${{A}}",
        "${{A:=b}}",
        "$${{ A }}}",
        "${{",
        "a: b",
        "- a",
        "'",
        '"',
        "\\",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
        "a\r\nb",
        "  a\n b  ",
        "\t",
        "=",
        "<<",
        "*a",
        "2026-11-22",
        "|",
        ">",
        "@",
        "`",
        "%",
        "!x",
        "&x",
        "1_000",
        "0o17",
        "017",
        ".inf",
        "\U0001f600",
    ]
)
scalar = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | text
    | st.floats(allow_nan=False, allow_infinity=False).map(json_text.whole)
)
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)
)
plugins = st.dictionaries(name, st.dictionaries(text, value, max_size=3), max_size=3)
common = {"desc": text, "labels": st.dictionaries(text, text, max_size=2), "create_time": st.just(1)}
upstream = st.fixed_dictionaries(
    {"nodes": st.dictionaries(text, st.integers(0, 9), max_size=2)},
    optional={
        "type": st.sampled_from(["roundrobin", "chash"]),
        "checks": st.just({"active": {}}),
        "pass_host": st.sampled_from(["pass", "node"]),
    },
)


def documents_of(kind: str) -> st.SearchStrategy[Document]:
    more: dict[str, Any] = {"plugins": plugins}
    if kind == "upstreams":
        return st.builds(
            lambda one, other: one | other, upstream, st.fixed_dictionaries({}, optional=common)
        )
    if kind == "plugin_metadata":
        return st.dictionaries(text.filter(lambda key: key != "id"), value, max_size=3)
    if kind == "routes":
        more |= {
            "uri": text,
            "priority": st.integers(),
            "status": st.sampled_from([0, 1, True]),
            "upstream": upstream,
            "vars": st.lists(value, max_size=2),
        }
    return st.fixed_dictionaries({}, optional=common | more)


@st.composite
def resource_sets(draw: st.DrawFn) -> dict[str, Document]:
    """As the store has them, secrets in the clear."""
    found: dict[str, Document] = {}
    for kind in KINDS.values():
        parents = (
            [key.rpartition("/")[2] for key in found if key.startswith("/consumers/")]
            if kind.parent
            else [""]
        )
        ids = draw(st.sets(name if kind.name == "consumers" else id_, max_size=3)) if parents else set()
        for one in ids:
            place = Place(kind, one, draw(st.sampled_from(parents)))
            said = draw(documents_of(kind.name))
            stamps = {} if kind.is_plain else {kind.id_name: one}
            found[place.key] = with_defaults(said | stamps, kind.defaults)
    return found


def exactly(documents: dict[str, Document]) -> bytes:
    """What they say; unlike `==`, it tells 1 from 1.0 and from true."""
    complete = {place.key: declaration.complete(place.kind, one) for place, one in placed(documents)}
    return msgspec.json.encode(complete, order="deterministic")


@settings(max_examples=60)
@given(documents=resource_sets())
def test_any_resources_survive(documents: dict[str, Document]) -> None:
    if not documents:
        return
    for path in (YAML, JSON):
        content = written(documents, as_json=path is JSON)
        again = read(content, path)
        assert exactly(again) == exactly(documents)
        stored = {place.key: with_defaults(one, place.kind.defaults) for place, one in placed(again)}
        assert written(stored, as_json=path is JSON) == content


@given(text=text | st.text("${}AB:=_ \n", max_size=30))
def test_any_text_can_be_written_literally(text: str) -> None:
    assert substitute(literal(text), {"A": "x", "B": "y", "AB": "z"}) == text


# --- what it looks like


def test_order_depends_on_the_keys_alone() -> None:
    documents: dict[str, Document] = {
        "/routes/2": {"plugins": {"b": {}, "a": {}}, "uri": "/2", "id": "2"},
        "/routes/1": {"id": "1", "uri": "/1", "upstream_id": "u"},
        "/consumers/b": {"username": "b"},
        "/consumers/a/credentials/z": {"plugins": {}, "id": "z"},
        "/consumers/a": {"username": "a"},
        "/upstreams/u": {"nodes": NODES, "id": "u"},
    }
    tree = declaration.declare(
        [(place, declaration.essential(place.kind, one)) for place, one in placed(documents)]
    )
    assert msgspec.json.encode(tree) == msgspec.json.encode(
        {
            "upstreams": [{"id": "u", "nodes": NODES}],
            "consumers": [{"username": "a"}, {"id": "a/credentials/z", "plugins": {}}, {"username": "b"}],
            "routes": [
                {"id": "1", "uri": "/1", "upstream_id": "u"},
                {"id": "2", "uri": "/2", "plugins": {"a": {}, "b": {}}},
            ],
        }
    )
    assert written(documents) == written(dict(reversed(documents.items())))


def test_no_times_and_no_defaults() -> None:
    kind = KINDS["routes"]
    said = {"id": "1", "uri": "/", "upstream": {"nodes": NODES, "checks": {"active": {}}}}
    stored = with_defaults(said, kind.defaults) | {"create_time": 1, "update_time": 2}
    assert stored["upstream"]["checks"]["active"]
    assert declaration.essential(kind, stored) == said
    assert declaration.essential(kind, stored, with_times=True) == said | {
        "create_time": 1,
        "update_time": 2,
    }


def test_what_is_only_like_a_default_stays() -> None:
    kind = KINDS["routes"]
    assert declaration.essential(kind, {"status": True, "priority": False}) == {
        "status": True,
        "priority": False,
    }


def test_lines_are_lines() -> None:
    content = written({"/routes/1": {"id": "1", "uri": "/", "desc": "one\ntwo\n"}}).decode()
    assert "  desc: |\n    one\n    two\n" in content
    assert content.endswith("\n#END\n")


# --- secrets


def hidden(documents: dict[str, Document]) -> tuple[dict[str, Document], dict[str, str]]:
    secrets, registry = Secrets(), Registry()
    found = {place.key: secrets.hide(place, one, registry.plugins) for place, one in placed(documents)}
    return found, secrets.hidden


def test_each_secret_becomes_a_variable_of_its_own() -> None:
    found, names = hidden(
        {
            "/consumers/a-b": {"username": "a-b", "plugins": {"key-auth": {"key": "k1"}}},
            "/consumers/a_b": {"username": "a_b", "plugins": {"key-auth": {"key": "k2"}}},
            "/upstreams/u": {"nodes": NODES, "tls": {"client_cert": "c", "client_key": "k3"}},
        }
    )
    assert names == {
        "CONSUMERS_A_B_KEY_AUTH_KEY": "consumers/a-b: plugins.key-auth.key",
        "CONSUMERS_A_B_KEY_AUTH_KEY_2": "consumers/a_b: plugins.key-auth.key",
        "UPSTREAMS_U_TLS_CLIENT_KEY": "upstreams/u: tls.client_key",
    }
    assert found["/upstreams/u"]["tls"] == {
        "client_cert": "c",
        "client_key": "${{UPSTREAMS_U_TLS_CLIENT_KEY}}",
    }


@pytest.mark.parametrize("secret", ["007", "true", "1e5", "a b", "${{X}}"])
def test_a_placeholder_is_replaced_by_text(secret: str) -> None:
    documents = {"/consumers/jack": {"username": "jack", "plugins": {"key-auth": {"key": "k"}}}}
    found, names = hidden(documents)
    content = written(found)
    assert b"key: k\n" not in content
    environ = dict.fromkeys(names, secret)
    again = resource_file.read(content, YAML, environ).resources["/consumers/jack"].document
    assert again["plugins"] == {"key-auth": {"key": secret}}


def test_a_placeholder_is_not_taken_literally() -> None:
    assert declaration.literally({"a": [Placeholder("${{A}}"), "${{A}}"]}) == {
        "a": ["${{A}}", "${{BATCHWAY_DOLLAR:=$}}{{A}}"]
    }


# --- differences


def test_differences() -> None:
    old = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": 1, "same": {"x": [1], "y": 2}}
    new = {"a": True, "b": {"c": [1], "d": "x"}, "f": None, "same": {"x": [1], "y": 2.0}}
    assert list(declaration.differences(old, new)) == [
        (("a",), 1, True),
        (("b", "c"), [1, 2], [1]),
        (("e",), 1, msgspec.UNSET),
        (("f",), msgspec.UNSET, None),
    ]


@pytest.mark.parametrize(
    ("old", "new"), [([1], [True]), ([[0]], [[False]]), ([{"a": 1}], [{"a": True}]), ([1], [1, 1])]
)
def test_a_number_is_no_boolean_inside_of_lists_either(old: object, new: object) -> None:
    assert list(declaration.differences({"a": old}, {"a": new})) == [(("a",), old, new)]


def test_keyring_is_not_asked() -> None:
    """Sealing is the store's affair: a file never holds what only one machine can read."""
    sealed = Keyring(["0123456789abcdef"]).seal("x", "plugins.key-auth.key")
    documents = {"/consumers/jack": {"username": "jack", "plugins": {"key-auth": {"key": sealed}}}}
    assert sealed not in str(hidden(documents)[0])
