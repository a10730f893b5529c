"""`batchway export`."""

import json
import os
from pathlib import Path

import pytest
import yaml

from batchway.config import ensure_admin_key, load

from .conftest import Run
from .stores import KEY, ROUTES, admin_api, stored

EXPORTED = """\
# Resources, as `batchway import` and the declarative mode of batchway take them, and APISIX.
upstreams:
- id: u
  nodes:
    127.0.0.1:1: 1
consumers:
- username: jack
  plugins:
    key-auth:
      key: "${{CONSUMERS_JACK_KEY_AUTH_KEY}}"
- id: jack/credentials/c
  plugins:
    basic-auth:
      username: jack
      password: "${{CONSUMERS_JACK_CREDENTIALS_C_BASIC_AUTH_PASSWORD}}"
routes:
- id: a
  uri: /a
  upstream_id: u
- id: b
  uri: /b
  upstream_id: u
  plugins:
    key-auth: {}
#END
"""


@pytest.fixture(autouse=True)
def _resources(run: Run, tmp_path: Path) -> None:
    """In the store at the default path."""
    assert run("import", "--yes", "-", stdin=ROUTES).exit_code == 0
    assert "jacks-secret" not in str(stored(tmp_path))


def test_all_resources_without_their_secrets(run: Run) -> None:
    result = run("export")
    assert (result.exit_code, result.stdout) == (0, EXPORTED)
    assert result.stderr.splitlines() == [
        "secret: consumers/jack: plugins.key-auth.key: ${{CONSUMERS_JACK_KEY_AUTH_KEY}}",
        "secret: consumers/jack/credentials/c: plugins.basic-auth.password: "
        "${{CONSUMERS_JACK_CREDENTIALS_C_BASIC_AUTH_PASSWORD}}",
        "5 resources from data/batchway.db, 2 secrets left out",
    ]


def test_with_secrets(run: Run) -> None:
    result = run("export", "--with-secrets")
    assert "key: jacks-secret\n" in result.stdout
    assert "password: passes\n" in result.stdout
    assert result.stderr == "5 resources from data/batchway.db\n"


def test_with_times(run: Run) -> None:
    routes = yaml.safe_load(run("export", "--with-times").stdout)["routes"]
    assert all(route["create_time"] <= route["update_time"] for route in routes)


def test_as_json(run: Run, tmp_path: Path) -> None:
    tree = json.loads(run("export", "--format", "json").stdout)
    assert tree == yaml.safe_load(EXPORTED)
    run("export", "-o", "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == tree
    run("export", "-o", "out.json", "--format", "yaml")
    assert (tmp_path / "out.json").read_text() == EXPORTED


def test_file_is_for_its_owner_alone_and_replaced_whole(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.yaml"
    assert run("export", "--with-secrets", "-o", out).stdout == ""
    assert out.stat().st_mode & 0o777 == 0o600
    out.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(out)
    run("export", "-o", link)
    assert out.read_text() == EXPORTED
    assert out.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "link.yaml", "out.yaml"]


def test_directory_that_is_not_there(run: Run) -> None:
    result = run("export", "-o", "no/such.yaml")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "batchway: no/such.yaml: cannot be written: No such file or directory"
    )


def test_writes_nothing_to_the_store(run: Run, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    run("export")
    assert {path: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before


def test_no_store_yet(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    result = run("export")
    assert (result.exit_code, result.stderr) == (0, "0 resources from data/batchway.db\n")
    assert yaml.safe_load(result.stdout) == {}
    assert list((tmp_path / "empty").iterdir()) == []


def test_lost_key_of_the_secrets(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data" / "batchway.key").unlink()
    result = run("export", "--with-secrets")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "it is encrypted, but not with a key of" in result.stderr


def test_literal_variables_stay_literal(run: Run) -> None:
    body = "costs ${{PRICE}} or ${{X:=1}}"
    route = {"id": "v", "uri": "/v", "plugins": {"mocking": {"response_example": body}}}
    run(
        "import",
        "--yes",
        "-",
        stdin=json.dumps({"routes": [route]}).replace("${{", "${{BATCHWAY_DOLLAR:=$}}{{"),
    )
    exported = run("export", "--with-secrets").stdout
    assert run("import", "--dry-run", "-", stdin=exported).stdout.startswith("nothing to do: ")
    assert "${{BATCHWAY_DOLLAR:=$}}{{PRICE}}" in exported


def test_from_a_file_of_resources(run: Run, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("deployment: {config_provider: yaml}\n")
    (tmp_path / "conf" / "apisix.yaml").write_text(ROUTES)
    result = run("export")
    assert result.stdout == EXPORTED
    assert "5 resources from conf/apisix.yaml" in result.stderr


# --- from a gateway


def test_from_a_gateway(run: Run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with admin_api(tmp_path / "other") as url:
        assert run("import", "-y", "--admin", url, "--key", KEY, "-", stdin=ROUTES).exit_code == 0
        for admin in (url, url + "/", url + "/apisix/admin", url + "/apisix/admin/"):
            result = run("export", "--admin", admin, "--key", "viewers")
            assert (result.exit_code, result.stdout) == (0, EXPORTED)
        assert f"5 resources from {url}/apisix/admin, 2 secrets left out" in result.stderr


def test_key_from_the_environment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with admin_api(tmp_path / "other") as url:
        monkeypatch.setenv("BATCHWAY_ADMIN_KEY", KEY)
        assert run("export", "--admin", url).exit_code == 0


@pytest.mark.parametrize(
    ("url", "says", "code"),
    [
        ("http://127.0.0.1:1", "Connection refused: check --admin", 1),
        ("ftp://x", "--admin: expected a URL such as http://127.0.0.1:9180", 2),
        ("http://no-such-host.invalid", "check --admin", 1),
    ],
)
def test_gateway_that_does_not_answer(run: Run, url: str, says: str, code: int) -> None:
    result = run("export", "--admin", url, "--key", "x")
    assert result.exit_code == code
    assert says in result.stderr


def test_wrong_key(run: Run, tmp_path: Path) -> None:
    with admin_api(tmp_path / "other") as url:
        result = run("export", "--admin", url, "--key", "wrong")
    assert result.exit_code == 1
    assert "401: failed to check token: wrong apikey: check --key" in result.stderr
    assert result.stdout == ""


def test_no_key(run: Run) -> None:
    result = run("export", "--admin", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "--admin needs --key" in result.stderr


def test_exported_file_does_for_the_declarative_mode(run: Run, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    conf.mkdir()
    run("export", "--with-secrets", "-o", conf / "apisix.yaml")
    (conf / "config.yaml").write_text("deployment: {config_provider: yaml}\n")
    assert run("check").stdout == "no problems in 5 resources (conf/apisix.yaml)\n"
    loaded = load(conf / "config.yaml", known_plugins=(), environ=os.environ)
    assert not ensure_admin_key(conf / "config.yaml", loaded.settings)[1]
