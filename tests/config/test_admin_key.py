import os
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchway.config import AdminKey, Settings, ensure_admin_key, load
from batchway.config.insertion import candidates
from batchway.errors import ConfigError

ENTRY = 'name: admin, key: "KEY", role: admin'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


@pytest.fixture(autouse=True)
def _generated_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every generated key is KEY, so that a test can say what the file is then."""
    monkeypatch.setattr("batchway.config.admin_key.generate", lambda: "KEY")


def ensured(path: Path) -> Settings:
    """The settings after a first start with that file."""
    loaded = load(path, known_plugins=(), environ={}).settings
    found, generated = ensure_admin_key(path, loaded)
    assert generated
    return found


def first_key(path: Path) -> object:
    """What yq prints for the documented query."""
    return yaml.safe_load(path.read_bytes())["deployment"]["admin"]["admin_key"][0]["key"]


# --- what is generated


def test_generated_key_is_new_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # generate them
    keys = {ensured(tmp_path / str(n)).admin_keys[0].key for n in range(5)}
    assert len(keys) == 5
    assert all(len(key) == 32 and key.isascii() and key.isalnum() for key in keys)


def test_key_in_the_file_is_the_key_in_the_settings(path: Path) -> None:
    found = ensured(path)
    assert found.admin_keys == (AdminKey("admin", "KEY", "admin"),)
    assert first_key(path) == "KEY"
    assert load(path, known_plugins=(), environ={}).settings == found


def test_other_settings_stay(path: Path) -> None:
    path.write_text("batchway: {expose_batch: true}\n")
    assert ensured(path).expose_batch


def test_second_start_generates_nothing(path: Path) -> None:
    found = ensured(path)
    before = path.stat()
    assert ensure_admin_key(path, found) == (found, False)
    assert path.stat() == before


# --- where it is written

BLOCK = """\
deployment:
  admin:
    admin_key:
      - name: admin
        key: "KEY"
        role: admin
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", BLOCK),
        ("# nothing yet", f"# nothing yet\n{BLOCK}"),
        ("---\n", f"---\n{BLOCK}"),
        ("\ufeff", f"\ufeff{BLOCK}"),
        ("apisix:\n  node_listen: 9080 # hi", f"apisix:\n  node_listen: 9080 # hi\n{BLOCK}"),
        ("plugins:\n  - x\n  # - y\n# z\n", f"plugins:\n  - x\n  # - y\n{BLOCK}# z\n"),
        ("plugins:\n- x\n\n\n", f"plugins:\n- x\n{BLOCK}\n\n"),
        ("---\nplugins: []\n...\n", f"---\nplugins: []\n{BLOCK}...\n"),
        ("apisix:\r\n  node_listen: 80\r\n", f"apisix:\r\n  node_listen: 80\r\n{BLOCK}"),
        ("nginx_config:\n  user: |\n    x\n\n", f"nginx_config:\n  user: |\n    x\n\n{BLOCK}"),
        # no room after a block scalar that the file ends with
        ("nginx_config:\n  user: |\n    x", f"{BLOCK}nginx_config:\n  user: |\n    x"),
        # the last value is an alias: what it stands for is further up
        ("discovery: &d {}\nwasm: *d\n# x\n", f"discovery: &d {{}}\nwasm: *d\n{BLOCK}# x\n"),
        ("deployment:\n  # admin:\n", f"{BLOCK}  # admin:\n"),
        ("deployment:   # here\ngraphql: {}\n", BLOCK.replace("t:\n", "t:   # here\n", 1)
         + "graphql: {}\n"),
        ("deployment:\n  role: traditional\n", BLOCK.replace("t:\n", "t:\n  role: traditional\n", 1)),
        ("deployment:\n  admin:\n    # x\n", f"{BLOCK}    # x\n"),
        ("deployment:\n  admin:\n    admin_key:\n    # x\n", f"{BLOCK}    # x\n"),
        ("deployment:\n  admin:\n    https_admin: false\n\n  role: x\n",
         BLOCK.replace("n:\n", "n:\n    https_admin: false\n", 1) + "\n  role: x\n"),
        ("apisix:\n    id: x\ndeployment:\n    admin:\n",
         "apisix:\n    id: x\ndeployment:\n    admin:\n        admin_key:\n"
         '            - name: admin\n              key: "KEY"\n              role: admin\n'),
        ("  apisix:\n   id: x\n",
         "  apisix:\n   id: x\n  deployment:\n   admin:\n    admin_key:\n"
         '     - name: admin\n       key: "KEY"\n       role: admin\n'),
    ],
)  # fmt: skip
def test_key_joins_a_block(path: Path, before: str, after: str) -> None:
    crlf = "\r\n" in before
    path.write_bytes(before.encode())
    ensured(path)
    expected = after.replace("\r\n", "\n").replace("\n", "\r\n") if crlf else after
    assert path.read_bytes().decode() == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", f"{{deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}}}}}}"),
        ("{graphql: {}}",
         f"{{deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}}}}, graphql: {{}}}}"),
        ("deployment: {}", f"deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}}}}"),
        ("deployment: { admin: {} }", f"deployment: {{ admin: {{admin_key: [{{{ENTRY}}}]}} }}"),
        ("deployment: {role: x}", f"deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}}, role: x}}"),
        ("deployment: {admin: }", f"deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}} }}"),
        ("deployment: {admin}", f"deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}}}}"),
        ("deployment: ~ # x\n", f"deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}}}} # x\n"),
        ("deployment:\n  admin: null\n", f"deployment:\n  admin: {{admin_key: [{{{ENTRY}}}]}}\n"),
        ("deployment: {admin: {admin_key: []}}",
         f"deployment: {{admin: {{admin_key: [{{{ENTRY}}}]}}}}"),
        ("deployment:\n  admin:\n    admin_key: []  # x\n",
         f"deployment:\n  admin:\n    admin_key: [{{{ENTRY}}}]  # x\n"),
        ("deployment:\n  admin:\n    admin_key: [\n    ]\n",
         f"deployment:\n  admin:\n    admin_key: [{{{ENTRY}}}]\n"),
        ("deployment:\n  admin:\n    admin_key: ''\n",
         f"deployment:\n  admin:\n    admin_key: [{{{ENTRY}}}]\n"),
        ("deployment:\n  admin:\n    admin_key: [{role: viewer, key: ''}]\n",
         f"deployment:\n  admin:\n    admin_key: [{{{ENTRY}}}, {{role: viewer, key: ''}}]\n"),
        ("deployment:\n  admin:\n    admin_key: [{role: admin}]\n",
         'deployment:\n  admin:\n    admin_key: [{key: "KEY", role: admin}]\n'),
    ],
)  # fmt: skip
def test_key_joins_a_flow(path: Path, before: str, after: str) -> None:
    path.write_text(before)
    ensured(path)
    assert path.read_text() == after
    assert first_key(path) == "KEY"


HEAD = "deployment:\n  admin:\n    admin_key:\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # as APISIX ships it
        ("      -\n        name: admin  # x\n        key: ''   # y\n        role: admin\n      # -\n",
         '      -\n        name: admin  # x\n        key: "KEY"   # y\n        role: admin\n'
         "      # -\n"),
        ('    - key: ""\n      role: admin\n', '    - key: "KEY"\n      role: admin\n'),
        ("    - key:\n      role: admin\n", '    - key: "KEY"\n      role: admin\n'),
        ("    - key: ~\n      role: admin\n", '    - key: "KEY"\n      role: admin\n'),
        ("    - role: admin\n", '    - role: admin\n      key: "KEY"\n'),
        ("    - {name: a, key: '', role: admin}\n", "    - {name: a, key: \"KEY\", role: admin}\n"),
        ("    - role: viewer\n      key: ''\n    - role: admin\n",
         '    - name: admin\n      key: "KEY"\n      role: admin\n'
         "    - role: viewer\n      key: ''\n    - role: admin\n"),
        ("        - role: viewer\n",
         '        - name: admin\n          key: "KEY"\n          role: admin\n'
         "        - role: viewer\n"),
        ("    - {role: admin}\n    - {role: admin, key: ''}\n",
         "    - {key: \"KEY\", role: admin}\n    - {role: admin, key: ''}\n"),
    ],
)  # fmt: skip
def test_key_joins_an_entry_without_one(path: Path, before: str, after: str) -> None:
    path.write_text(HEAD + before)
    ensured(path)
    assert path.read_text() == HEAD + after


def test_name_of_the_entry_is_kept(path: Path) -> None:
    path.write_text(f"{HEAD}    - {{name: ops, key: '', role: admin}}\n")
    assert ensured(path).admin_keys[0].name == "ops"


def test_variables_in_the_file_are_kept(path: Path) -> None:
    text = "apisix:\n  node_listen: ${{PORT:=9080}}\n"
    path.write_text(text)
    ensured(path)
    assert path.read_text() == text + BLOCK


# --- when it cannot be written


@pytest.mark.parametrize(
    "text",
    [
        "discovery: &d {admin: {}}\ndeployment: *d\n",
        "deployment: &d\ngraphql: *d\n",
        "discovery: &d {role: x}\ndeployment:\n  <<: *d\n  admin: &a {}\ngraphql: *a\n",
        "discovery: &d {admin: {https_admin: false}}\ndeployment: {<<: *d}\n",
    ],
)
def test_file_that_would_change_otherwise_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        ensured(path)
    assert "add by hand deployment: {admin: {admin_key: " in caught.value.message
    assert len(caught.value.message.splitlines()) == 1
    assert "KEY" not in caught.value.message
    assert path.read_text() == text
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    "text",
    [
        "deployment: {admin: {admin_key: [{key: here, role: admin}]}}\n",
        "[]\n",
        "deployment: x\n",
        "deployment: {admin: x}\n",
        "deployment: {admin: {admin_key: x}}\n",
        "deployment: {admin: {admin_key: [x]}}\n",
    ],
)
def test_file_that_has_changed_meanwhile_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ConfigError, match="changed"):
        ensure_admin_key(path, Settings())
    assert path.read_text() == text


def test_write_protected_file_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ConfigError) as caught:
        ensured(path)
    assert caught.value.message.startswith(f"{path}: no admin key is configured, and none can be ")
    assert "Permission denied" in caught.value.message


def test_failed_write_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path.write_text("# x\n")
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ConfigError, match="No space left on device"):
        ensured(path)
    assert path.read_text() == "# x\n"
    assert os.listdir(path.parent) == [path.name]


def test_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "conf" / "config.yaml"
    with pytest.raises(ConfigError) as caught:
        ensure_admin_key(path, Settings())
    assert str(path) in caught.value.message


@pytest.mark.parametrize("text", ["a: [", "- a\n", "a\n"])
def test_nothing_is_proposed_for_what_is_no_mapping(text: str) -> None:
    assert list(candidates(text, "KEY")) == []


# --- how it is written


def test_new_file_is_for_its_owner_only_and_directories_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config.yaml"
    ensured(path)
    assert path.read_text() == BLOCK
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600])
def test_mode_is_kept(path: Path, mode: int) -> None:
    path.write_text("")
    path.chmod(mode)
    ensured(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    target = tmp_path / "etc" / "config.yaml"
    target.write_text("# x\n")
    path = tmp_path / "config.yaml"
    path.symlink_to(target)
    ensured(path)
    assert path.is_symlink()
    assert target.read_text() == f"# x\n{BLOCK}"


# --- whatever the file looks like

NAMES = st.sampled_from(["discovery", "graphql", "wasm", "etcd", "ext-plugin"])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(st.characters(codec="utf-8"), max_size=20)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries(
    {"role": st.sampled_from(["admin", "viewer"])},
    optional={"name": st.just("x"), "key": st.sampled_from(["", None])},
)
ADMINS = st.fixed_dictionaries(
    {},
    optional={
        "admin_key": st.one_of(st.none(), st.just(""), st.lists(ENTRIES, max_size=3)),
        "admin_api_mtls": TREES,
        "https_admin": SCALARS,
    },
)
DEPLOYMENTS = st.fixed_dictionaries(
    {}, optional={"role": SCALARS, "admin": st.none() | ADMINS, "etcd": TREES}
)
FILES = st.builds(
    lambda before, deployment, after: {**before, **deployment, **after},
    st.dictionaries(NAMES, TREES, max_size=2),
    st.fixed_dictionaries({}, optional={"deployment": st.none() | DEPLOYMENTS}),
    st.dictionaries(NAMES, TREES, max_size=2),
)


def without_key(tree: Any) -> Any:
    """The tree without what `ensure_admin_key` may add, so that two can be compared."""
    tree = dict(tree or {})
    deployment = dict(tree.pop("deployment", None) or {})
    admin = dict(deployment.pop("admin", None) or {})
    entries = [dict(entry) for entry in admin.pop("admin_key", None) or []]
    if entries and entries[0] == {"name": "admin", "key": "KEY", "role": "admin"}:
        del entries[0]
    return tree, deployment, admin, [{k: v for k, v in e.items() if k != "key"} for e in entries]


# Every example waits for the disk: how long says nothing.
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=150,
)
@given(
    tree=FILES,
    flow=st.sampled_from([None, True, False]),
    indent=st.sampled_from([2, 3, 4, 7]),
    newline=st.sampled_from(["\n", "\r\n"]),
    comments=st.booleans(),
    ending=st.sampled_from(["", "\n", "\n\n# end\n"]),
)
def test_all_else_is_kept(
    path: Path,
    tree: dict[str, Any],
    flow: bool | None,
    indent: int,
    newline: str,
    comments: bool,
    ending: str,
) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, indent=indent, width=200).rstrip("\n")
    if comments:
        text = "# top\n" + "\n".join(f"{line}  # c" if line.endswith(":") else line
                                     for line in text.split("\n"))  # fmt: skip
    before = (text + ending).replace("\n", newline)
    original = yaml.safe_load(before)
    path.write_bytes(before.encode())
    ensure_admin_key(path, Settings())
    after = path.read_bytes().decode()
    found = yaml.safe_load(after)
    first = found["deployment"]["admin"]["admin_key"][0]
    assert first["key"] == "KEY"
    assert first["role"] == "admin"
    assert after.count("#") == before.count("#")
    assert without_key(found) == without_key(original)


def test_no_key_is_made_where_there_is_no_admin_api(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    assert ensure_admin_key(path, Settings(enable_admin=False)) == (Settings(enable_admin=False), False)
    assert not path.exists()
