"""apisix.yaml and apisix.json: what is in them, and where they are wrong."""

import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.admin import resource_file
from batchway.admin.kinds import KINDS
from batchway.admin.resource_file import Reader
from batchway.cli.foreign import as_sections
from batchway.config.data_encryption import Keyring
from batchway.plugins import Registry
from batchway.store.yaml_file import FaultyFile

YAML = Path("conf/apisix.yaml")
JSON = Path("conf/apisix.json")
ENVIRON = {"KEY": "007", "PORT": "80"}


def values(text: str | bytes, path: Path = YAML, keyring: Keyring | None = None) -> dict[str, object]:
    reader = Reader(path, ENVIRON, Registry(), keyring or Keyring())
    content = text.encode() if isinstance(text, str) else text
    return {key: msgspec.json.decode(value) for key, value in reader.values(content).items()}


def faults(text: str, path: Path = YAML) -> list[str]:
    with pytest.raises(FaultyFile) as caught:
        values(text, path)
    return list(caught.value.faults)


def test_yaml() -> None:
    text = 'consumers:\n- username: jack\n  plugins: {key-auth: {key: "${{KEY}}"}}\n'
    assert values(text) == {
        "/consumers/jack": {"username": "jack", "plugins": {"key-auth": {"key": "007"}}}
    }


def test_json() -> None:
    tree = {
        "upstreams": [{"id": 1, "nodes": {"${{HOST:=127.0.0.1}}:80": "${{PORT}}"}}],
        "routes": [{"id": 2, "uri": "/x", "upstream_id": 1}],
    }
    assert values("\ufeff" + json.dumps(tree), JSON) == {
        "/upstreams/1": {"id": "1", "nodes": {"127.0.0.1:80": 80}},
        "/routes/2": {"id": "2", "uri": "/x", "upstream_id": 1},
    }


def test_what_stands_behind_the_end_counts_for_nothing() -> None:
    text = "routes: []\n#END\nroutes: [\n"
    assert values(text) == values("routes: []\n#END  \r\n\t]]\n") == {}
    assert values(b"routes: []\n#END\n\xff") == {}
    assert faults("routes: []\n# END\nroutes: []\n") == [
        "conf/apisix.yaml:3:1: routes: duplicate key, first on line 1"
    ]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "#END\n", "\ufeff"])
def test_an_empty_file_is_not_taken_for_one_without_resources(text: str) -> None:
    says = "conf/apisix.yaml: nothing in it: write `routes: []` if there are to be no resources"
    assert faults(text) == [says]


def test_sealed_secrets_are_read_by_the_keyring_and_stay_as_they_are() -> None:
    keyring = Keyring(["a key of 16 chars or more"])
    sealed = keyring.seal("secret", "plugins.key-auth.key")
    text = f"consumers: [{{username: jack, plugins: {{key-auth: {{key: '{sealed}'}}}}}}]\n"
    assert sealed in str(values(text, keyring=keyring))
    assert "it is encrypted, but not with a key of" in faults(text)[0]


FAULTS = """\
routes:
  - uri: /a
    methods: [GET, SET]
    plugins: {}
  - uri: b
    upstream_id: nobody
    plugins:
      cors: {}
      redirect:
        ret_code: many
        uri: /c
upstreams:
  - id: u
    nodes:
      - host: a
        port: 99999
        weight: 1
rutes: []
"""


def test_faults_have_their_lines() -> None:
    assert [fault.split(": ")[:2] for fault in faults(FAULTS)] == [
        ["conf/apisix.yaml:3", "routes[0]"],
        ["conf/apisix.yaml:5", "routes[1]"],
        ["conf/apisix.yaml:6", "routes[1]"],
        ["conf/apisix.yaml:16", "upstreams[0]"],
        ["conf/apisix.yaml:18", "rutes"],
    ]


def test_fault_of_a_plugin_has_its_line() -> None:
    (fault,) = faults(
        FAULTS.replace("uri: b\n", "uri: /b\n")
        .partition("upstreams:")[0]
        .replace("SET", "PUT")
        .replace("    upstream_id: nobody\n", "")
    )
    assert fault.startswith("conf/apisix.yaml:9: routes[1]: invalid config of plugin redirect: ")


def test_faults_of_json_have_their_place() -> None:
    text = json.dumps({"routes": [{"uri": "/a"}, {"uri": 1, "plugins": {}}]})
    assert [fault.split(": ")[:2] for fault in faults(text, JSON)] == [
        ["conf/apisix.json", "routes[0]"],
        ["conf/apisix.json", "routes[1]"],
    ]
    assert faults('{"routes": [\n{"uri": "${{NO}}"}]}', JSON) == [
        "conf/apisix.json: routes[0].uri: environment variable NO is not set"
    ]
    assert faults('{"routes": [\n{]}', JSON) == ["conf/apisix.json:2: not JSON"]


@pytest.mark.parametrize("content", [b"routes: [\xff]", b"a: 1\n\xc3\x28"])
def test_not_utf_8(content: bytes) -> None:
    with pytest.raises(FaultyFile, match=r"conf/apisix.yaml:\d: not UTF-8"):
        resource_file.read(content, YAML, {})


def test_long_values_are_cut() -> None:
    (fault,) = faults(f"routes: [{{uri: {'x' * 10_000}, plugins: {{}}}}]")
    assert len(fault) < 500


def test_a_value_is_no_path_to_a_line() -> None:
    """Whatever a message quotes."""
    (fault,) = faults("routes:\n  - uri: /a\n    plugins: {}\n    status: ']['\n")
    assert fault.startswith("conf/apisix.yaml:4: routes[0]: ")


WORDS = st.sampled_from(
    [
        *KINDS,
        "id",
        "username",
        "plugins",
        "uri",
        "upstream",
        "upstream_id",
        "nodes",
        "key-auth",
        "key",
        "a/credentials/b",
    ]
)
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 5)
    | st.floats(allow_nan=False)
    | WORDS
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
ITEMS = st.dictionaries(WORDS, TREES, max_size=5)


@settings(max_examples=200)
@given(tree=TREES | st.dictionaries(st.sampled_from(list(KINDS)), st.lists(ITEMS | TREES, max_size=3)))
def test_whatever_stands_in_it_it_is_taken_or_refused(tree: object) -> None:
    text = yaml.safe_dump(tree)
    with suppress(FaultyFile):
        values(text)
    with suppress(FaultyFile):
        values(json.dumps(tree), JSON)
    with suppress(FaultyFile):
        resource_file.read(text.encode(), YAML, {}, convert=as_sections)
