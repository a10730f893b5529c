from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest

from batchway.config import (
    Address,
    AdminKey,
    Loaded,
    LogSettings,
    ServerLimits,
    Settings,
    StoreSettings,
    load,
)
from batchway.errors import ConfigError

DEFAULTS = Settings()
PLUGINS = frozenset({"batch-requests", "public-api", "key-auth"})


def loaded(directory: Path, text: str | bytes, *, environ: Mapping[str, str] | None = None) -> Loaded:
    """What `load` makes of a file with that text."""
    path = directory / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path, known_plugins=PLUGINS, environ=environ or {})


def refusal(directory: Path, text: str | bytes, *, environ: Mapping[str, str] | None = None) -> str:
    """Why `load` refuses a file with that text: one line, here without the directory."""
    with pytest.raises(ConfigError) as caught:
        loaded(directory, text, environ=environ)
    assert len(caught.value.message.splitlines()) == 1
    return caught.value.message.removeprefix(f"{directory}/")


def setting(directory: Path, text: str, **environ: str) -> Settings:
    found = loaded(directory, text, environ=environ)
    assert found.warnings == []
    return found.settings


# --- the file as a whole


def test_missing_file_gives_defaults(tmp_path: Path) -> None:
    found = load(tmp_path / "conf" / "config.yaml", known_plugins=(), environ={})
    assert found.settings == DEFAULTS
    assert found.warnings == []


@pytest.mark.parametrize(
    "text",
    ["", "\n", "# nothing\n", "---\n", "{}\n", "apisix:\ndeployment:\n  admin:\nplugins:\n"],
)
def test_file_without_values_gives_defaults(tmp_path: Path, text: str) -> None:
    assert setting(tmp_path, text) == DEFAULTS


def test_defaults_are_as_documented() -> None:
    assert DEFAULTS.node_listen == (Address("127.0.0.1", 9080),)
    assert DEFAULTS.admin_listen == Address("127.0.0.1", 9180)
    assert DEFAULTS.allow_admin == (ip_network("127.0.0.0/24"),)
    assert DEFAULTS.plugins is None
    assert DEFAULTS.real_ip_header == "x-real-ip"
    assert DEFAULTS.real_ip_from == ()
    assert DEFAULTS.resolver_timeout == 5
    assert DEFAULTS.workers == 1
    assert DEFAULTS.limits.max_header_bytes == 65536


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- apisix\n", "config.yaml: expected a mapping, got a list"),
        ("apisix\n", 'config.yaml: expected a mapping, got "apisix"'),
        ("apisix: 9080\n", "config.yaml: apisix: expected a mapping, got 9080"),
        (b"a: \xff\n", "config.yaml:1: not UTF-8"),
    ],
)
def test_file_of_another_shape_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refusal(tmp_path, text) == message


def test_syntax_error_is_one_line_with_its_position(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a: b: c\n").startswith("config.yaml:1:5: YAML: ")


def test_path_stands_in_messages_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    with pytest.raises(ConfigError) as caught:
        loaded(Path("conf"), "apisix: {node_listn: 9080}\n")
    assert caught.value.message == (
        "conf/config.yaml: apisix.node_listn: unknown key; did you mean node_listen?"
    )


# --- unknown and unused keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apisix: {node_listn: 1}", "apisix.node_listn: unknown key; did you mean node_listen?"),
        ("apisx: {}", "apisx: unknown key; did you mean apisix?"),
        ("qqq: 1", "qqq: unknown key"),
        ("9080: x", "9080: unknown key"),
        ("'a b\\n': x", '"a b\\\\n": unknown key'),
        ("apisix.ssl: {}", '"apisix.ssl": unknown key; did you mean apisix?'),
        ("node_listen: 1", "node_listen: unknown key; did you mean apisix.node_listen?"),
        (
            "apisix: {admin_key: s3cret}",
            "apisix.admin_key: unknown key; did you mean deployment.admin.admin_key?",
        ),
        (
            "nginx_config: {real_ip_from: []}",
            "nginx_config.real_ip_from: unknown key; did you mean nginx_config.http.real_ip_from?",
        ),
        (
            "apisix: {node_listen: [{ip: 127.0.0.1, prot: 1}]}",
            "apisix.node_listen[0].prot: unknown key; did you mean port?",
        ),
        ("batchway: {worker: 1}", "batchway.worker: unknown key; did you mean workers?"),
        (
            "batchway: {limits: {max_header_byte: 1}}",
            "batchway.limits.max_header_byte: unknown key; did you mean max_header_bytes?",
        ),
        ("batchway: {store: {file: x}}", "batchway.store.file: unknown key"),
        ("batchway: {log: {Level: info}}", "batchway.log.Level: unknown key; did you mean level?"),
    ],
)
def test_unknown_key_is_refused_with_a_hint(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == f"config.yaml: {message}"


def test_unused_keys_of_apisix_are_one_warning(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        """
apisix:
  node_listen:
    - {port: 9080, enable_http2: true}
  enable_ipv6: true
  proxy_cache: {zones: [{name: x}]}
  ssl: {listen: [{port: 9443}], ssl_trusted_certificate: system}
nginx_config:
  stream: {access_log: x}
  http: {client_max_body_size: 0, real_ip_header: X-Real-IP}
discovery: {dns: {servers: []}}
deployment:
  role: traditional
  role_data_plane: {config_provider: yaml}
  config_provider: etcd
  admin: {enable_admin_ui: true}
  etcd: {host: [x]}
plugin_attr:
  prometheus: {export_uri: /x}
  batch-requests: {uri: /b}
""",
    )
    assert found.warnings == [
        f"{tmp_path}/config.yaml: batchway has no use for: "
        "apisix.node_listen[0].enable_http2, apisix.enable_ipv6, apisix.proxy_cache, "
        "apisix.ssl.listen, nginx_config.stream, nginx_config.http.client_max_body_size, "
        "discovery, deployment.role, deployment.config_provider, "
        "deployment.admin.enable_admin_ui, deployment.etcd, plugin_attr.prometheus, "
        "deployment.role_data_plane"
    ]
    assert found.settings.plugin_attr == {"batch-requests": {"uri": "/b"}}


# Every key of APISIX 3.14 to 3.18, and of its Helm chart.
APISIX = """
apisix: {node_listen: [9080, {port: 9081, enable_http3: true, proxy_protocol: true}], id: x,
  enable_admin: true, enable_admin_cors: true, enable_debug: false, enable_heartbeat: true,
  enable_dev_mode: false, enable_reuseport: true, enable_ipv6: true, enable_http2: true,
  show_upstream_status_in_response_header: false, proxy_protocol: {enable_tcp_pp: true},
  enable_server_tokens: true, extra_lua_path: "", extra_lua_cpath: "", lua_module_hook: a.b,
  proxy_cache: {}, delete_uri_tail_slash: false, normalize_uri_like_servlet: false,
  match_uri_encoded_slash: true, max_post_args_readable_size: 0, router: {}, proxy_mode: http,
  stream_proxy: {}, dns_resolver: [1.1.1.1], dns_resolver_valid: 30, resolver_timeout: 5,
  enable_resolv_search_opt: true, enable_control: true, control: {}, lru: {}, tracing: false,
  ssl: {enable: true, listen: [], ssl_trusted_certificate: system, ssl_protocols: x,
    ssl_trusted_combined_path: /x, ssl_ciphers: x, ssl_session_tickets: false, fallback_sni: x,
    key_encrypt_salt: x},
  disable_sync_configuration_during_start: false, worker_startup_time_threshold: 60,
  data_encryption: {}, events: {}, status: {}, disable_upstream_healthcheck: false,
  trusted_addresses: [127.0.0.1]}
nginx_config: {user: root, error_log: x, error_log_level: warn, worker_processes: auto,
  enable_cpu_affinity: false, worker_rlimit_nofile: 1, worker_shutdown_timeout: 240s,
  max_pending_timers: 1, max_running_timers: 1, event: {}, envs: [], meta: {}, stream: {},
  main_configuration_snippet: "", http_configuration_snippet: "",
  http_server_configuration_snippet: "", http_server_location_configuration_snippet: "",
  http_admin_configuration_snippet: "", http_end_configuration_snippet: "",
  stream_configuration_snippet: "",
  http: {enable_access_log: true, access_log: x, access_log_buffer: 1, access_log_format: x,
    access_log_format_escape: default, keepalive_timeout: 60s, client_header_timeout: 60s,
    client_body_timeout: 60s, client_max_body_size: 0, send_timeout: 10s,
    underscores_in_headers: "on", real_ip_header: X-Real-IP, real_ip_recursive: "off",
    real_ip_from: [127.0.0.1, "unix:"], custom_lua_shared_dict: {}, proxy_ssl_server_name: true,
    upstream: {}, charset: utf-8, variables_hash_max_size: 1, lua_shared_dict: {}}}
discovery: {}
graphql: {}
ext-plugin: {}
plugins: [batch-requests]
stream_plugins: []
wasm: {}
xrpc: {}
vault: {}
etcd: {}
plugin_attr: {}
deployment: {role: traditional, role_traditional: {}, role_data_plane: {}, role_control_plane: {},
  config_provider: etcd, certs: {}, etcd: {},
  admin: {admin_key_required: true, admin_key: [{name: admin, key: "", role: admin}],
    enable_admin_cors: true, enable_admin_ui: true, allow_admin: [127.0.0.0/24],
    admin_listen: {ip: 0.0.0.0, port: 9180}, https_admin: false, admin_api_mtls: {},
    admin_api_version: v3}}
"""


def test_every_key_of_apisix_is_known(tmp_path: Path) -> None:
    found = loaded(tmp_path, APISIX)
    assert len(found.warnings) == 1
    assert found.settings.node_listen == (Address("0.0.0.0", 9080), Address("0.0.0.0", 9081))
    assert found.settings.admin_keys == ()


def test_admin_api_can_be_switched_off(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "apisix: {enable_admin: false}\n").settings.enable_admin


def test_https_for_the_admin_api_is_refused_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"deployment\.admin\.https_admin: expected false"):
        loaded(tmp_path, "deployment: {admin: {https_admin: true}}\n")


def test_unset_variable_does_no_harm_where_it_is_not_used(tmp_path: Path) -> None:
    found = loaded(tmp_path, "deployment: {etcd: {password: '${{ETCD_PASSWORD}}'}}\n")
    assert found.settings == DEFAULTS


# --- listeners


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("9080", [("0.0.0.0", 9080)]),
        ("{port: 81}", [("0.0.0.0", 81)]),
        ("{ip: 127.0.0.2}", [("127.0.0.2", 9080)]),
        ("{ip: '::', port: 81}", [("::", 81)]),
        ("[9080, {ip: '[::1]', port: 81}]", [("0.0.0.0", 9080), ("::1", 81)]),
        ("[81, 81, {ip: 0.0.0.0, port: 81}]", [("0.0.0.0", 81)]),
        ("'${{PORT}}'", [("0.0.0.0", 81)]),
        ("${{NONE:=82}}", [("0.0.0.0", 82)]),
        ("[{ip: '${{IP}}', port: '${{PORT}}'}]", [("10.0.0.1", 81)]),
    ],
)
def test_node_listen_takes_ports_and_addresses(
    tmp_path: Path, value: str, expected: list[tuple[str, int]]
) -> None:
    found = setting(tmp_path, f"apisix:\n  node_listen: {value}\n", PORT="81", IP="10.0.0.1")
    assert found.node_listen == tuple(Address(*address) for address in expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", ': expected a port from 1 to 65535, got "x"'),
        ("[x]", '[0]: expected a port from 1 to 65535, got "x"'),
        ("[80, 0]", "[1]: expected a port from 1 to 65535, got 0"),
        ("65536", ": expected a port from 1 to 65535, got 65536"),
        ("80.5", ": expected a port from 1 to 65535, got 80.5"),
        ("true", ": expected a port from 1 to 65535, got true"),
        ("'9080'", ': expected a port from 1 to 65535, got "9080"'),
        ("[[80]]", "[0]: expected a port from 1 to 65535, got a list"),
        ("[]", ": expected at least one port, got an empty list"),
        ("[null]", "[0]: expected a value, got nothing"),
        ("{port: x}", '.port: expected a port from 1 to 65535, got "x"'),
        ("[{ip: localhost}]", '[0].ip: expected an IP address, got "localhost"'),
        ("[{ip: '[::1'}]", '[0].ip: expected an IP address, got "[::1"'),
        ("[{ip: 1}]", "[0].ip: expected a string, in quotes, got 1"),
        ("0x" + "f" * 5000, ": expected a port from 1 to 65535, got a huge number"),
        ("'${{WORD}}'", ': expected a port from 1 to 65535, got what "${{WORD}}" stands for'),
        ("'${{NONE}}'", ": environment variable NONE is not set"),
        ('"${{A\\nB}}"', ': environment variable "A\\nB" is not set'),
        ("[{ip: '${{NONE}}'}]", "[0].ip: environment variable NONE is not set"),
        ('"a\\nb\\x1b' + "c" * 99 + '"', ': expected a port from 1 to 65535, got "a\\nb\\u001b'
         + "c" * 56 + '..."'),
    ],
)  # fmt: skip
def test_wrong_node_listen_is_named(tmp_path: Path, value: str, message: str) -> None:
    found = refusal(tmp_path, f"apisix:\n  node_listen: {value}\n", environ={"WORD": "s3cret"})
    assert found == f"config.yaml: apisix.node_listen{message}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{}", ("127.0.0.1", 9180)),
        ("{port: 81}", ("127.0.0.1", 81)),
        ("{ip: 0.0.0.0}", ("0.0.0.0", 9180)),
        ("{ip: '::1', port: 81}", ("::1", 81)),
    ],
)
def test_admin_listen_stays_local_unless_told_otherwise(
    tmp_path: Path, value: str, expected: tuple[str, int]
) -> None:
    found = setting(tmp_path, f"deployment: {{admin: {{admin_listen: {value}}}}}\n")
    assert found.admin_listen == Address(*expected)


def test_admin_listen_is_no_bare_port(tmp_path: Path) -> None:
    message = refusal(tmp_path, "deployment: {admin: {admin_listen: 9180}}\n")
    assert message == "config.yaml: deployment.admin.admin_listen: expected a mapping, got 9180"


# --- admin keys


def admin(tmp_path: Path, value: str, **environ: str) -> tuple[AdminKey, ...]:
    return setting(tmp_path, f"deployment:\n  admin:\n    admin_key: {value}\n", **environ).admin_keys


def test_admin_keys_are_read(tmp_path: Path) -> None:
    found = admin(
        tmp_path,
        "[{name: ops, key: abc, role: admin}, {key: '${{KEY}}', role: viewer}]",
        KEY="0123",
    )
    assert found == (AdminKey("ops", "abc", "admin"), AdminKey("viewer", "0123", "viewer"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[]",
        "''",
        "[{name: admin, key: '', role: admin}]",
        "[{name: admin, key: , role: admin}]",
        "[{name: admin, role: admin}, {name: v, key: '', role: viewer}]",
    ],
)
def test_empty_admin_key_is_none(tmp_path: Path, value: str) -> None:
    assert admin(tmp_path, value) == ()


def test_empty_key_beside_another_is_dropped_with_a_warning(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        "deployment: {admin: {admin_key: [{key: a, role: admin}, {key: '', role: viewer}]}}\n",
    )
    assert [key.key for key in found.settings.admin_keys] == ["a"]
    assert found.warnings == [
        f"{tmp_path}/config.yaml: deployment.admin.admin_key[1]: no key, so nobody can use it"
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("s3cret", ": expected a list, got a string"),
        ("{key: s3cret}", ": expected a list, got a mapping"),
        ("[s3cret]", "[0]: expected a mapping, got a string"),
        ("[5318008]", "[0]: expected a mapping, got a value without quotes"),
        ("[null]", "[0]: expected a value, got nothing"),
        ("[{s3cret: admin}]", "[0]: unknown key; expected only name, key, role"),
        ("[{key: s3cret}]", "[0].role: expected admin or viewer, got nothing"),
        ("[{key: x, role: s3cret}]", "[0].role: expected admin or viewer, got a string"),
        ("[{key: 5318008, role: admin}]",
         "[0].key: expected a string, in quotes, got a value without quotes"),
        ("[{key: [s3cret], role: admin}]", "[0].key: expected a string, in quotes, got a list"),
        ("[{name: 5318008, role: admin}]",
         "[0].name: expected a string, in quotes, got a value without quotes"),
        ("[{key: 's3cret ', role: admin}]",
         "[0].key: expected printable ASCII that fits a header, and not empty"),
        ("[{key: s3cret\u00e9, role: admin}]",
         "[0].key: expected printable ASCII that fits a header, and not empty"),
        ("[{key: '${{EMPTY}}', role: admin}]",
         "[0].key: expected printable ASCII that fits a header, and not empty"),
        ("[{key: '${{NONE}}', role: admin}]", "[0].key: environment variable NONE is not set"),
    ],
)  # fmt: skip
def test_wrong_admin_key_is_named_and_never_shown(tmp_path: Path, value: str, message: str) -> None:
    text = f"deployment: {{admin: {{admin_key: {value}}}}}\n"
    found = refusal(tmp_path, text, environ={"EMPTY": ""})
    assert found == f"config.yaml: deployment.admin.admin_key{message}"
    assert "s3cret" not in found
    assert "5318008" not in found


def test_allow_admin_takes_addresses_and_cidrs(tmp_path: Path) -> None:
    found = setting(tmp_path, "deployment: {admin: {allow_admin: ['::/64', 10.1.2.3/8, 1.2.3.4]}}")
    assert [str(network) for network in found.allow_admin] == [
        "::/64",
        "10.0.0.0/8",
        "1.2.3.4/32",
    ]


def test_empty_allow_admin_allows_nobody(tmp_path: Path) -> None:
    assert setting(tmp_path, "deployment: {admin: {allow_admin: []}}").allow_admin == ()


# --- plugins


def test_plugins_that_batchway_has_are_kept_in_order(tmp_path: Path) -> None:
    found = loaded(tmp_path, "plugins: [zipkin, public-api, cors, batch-requests, public-api]\n")
    assert found.settings.plugins == ("public-api", "batch-requests")
    assert found.warnings == [f"{tmp_path}/config.yaml: plugins: batchway does not have: zipkin, cors"]


@pytest.mark.parametrize(("text", "expected"), [("plugins: []", ()), ("plugins:", None)])
def test_empty_list_of_plugins_is_none_but_no_list_is_all(
    tmp_path: Path, text: str, expected: tuple[str, ...] | None
) -> None:
    assert setting(tmp_path, text).plugins == expected


def test_warning_is_one_line_whatever_the_names(tmp_path: Path) -> None:
    found = loaded(tmp_path, 'plugins: ["a\\nb"]\nplugin_attr: {"a\\nb": 1}\n')
    assert [len(line.splitlines()) for line in found.warnings] == [1, 1]
    assert found.warnings[1].endswith(r'batchway does not have: "a\nb"')


def test_unused_keys_and_unknown_plugins_are_a_warning_each(tmp_path: Path) -> None:
    found = loaded(tmp_path, "graphql: {}\nplugins: [zipkin]\nplugin_attr: {zipkin: {a: 1}}\n")
    assert len(found.warnings) == 2
    assert "graphql, plugin_attr.zipkin" in found.warnings[0]


def test_plugin_attr_has_its_variables_replaced(tmp_path: Path) -> None:
    text = """
plugin_attr:
  batch-requests:
    uri: /${{NAME}}/batch
    size: ${{SIZE}}
    enabled: ${{ON}}
    deep: [{x: "${{SIZE}}"}, 1, null]
  key-auth:
"""
    found = setting(tmp_path, text, NAME="gw", SIZE="10", ON="true")
    assert found.plugin_attr == {
        "batch-requests": {
            "uri": "/gw/batch",
            "size": 10,
            "enabled": True,
            "deep": [{"x": 10}, 1, None],
        }
    }


def test_unset_variable_in_plugin_attr_has_its_place(tmp_path: Path) -> None:
    text = "plugin_attr: {batch-requests: {a: [{b: '${{NONE}}'}]}}\n"
    assert refusal(tmp_path, text) == (
        "config.yaml: plugin_attr.batch-requests.a[0].b: environment variable NONE is not set"
    )


# --- the rest of APISIX's keys


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("nginx_config: {http: {real_ip_header: X-Forwarded-For}}", "real_ip_header",
         "x-forwarded-for"),
        ("nginx_config: {http: {real_ip_from: [127.0.0.1, 'unix:', 'fd00::/8']}}", "real_ip_from",
         (ip_network("127.0.0.1"), ip_network("fd00::/8"))),
        ("nginx_config: {http: {real_ip_recursive: 'on'}}", "real_ip_recursive", True),
        ("nginx_config: {http: {real_ip_recursive: on}}", "real_ip_recursive", True),
        ("nginx_config: {http: {real_ip_recursive: 'off'}}", "real_ip_recursive", False),
        ("nginx_config: {http: {real_ip_recursive: false}}", "real_ip_recursive", False),
        ("apisix: {trusted_addresses: [172.18.0.0/16]}", "trusted_addresses",
         (ip_network("172.18.0.0/16"),)),
        ("apisix: {dns_resolver: [1.1.1.1, '8.8.8.8:53', '::1', '[::1]', '[::1]:53']}",
         "dns_resolver", ("1.1.1.1", "8.8.8.8:53", "::1", "[::1]", "[::1]:53")),
        ("apisix: {dns_resolver_valid: 30}", "dns_resolver_valid", 30),
        ("apisix: {resolver_timeout: 2}", "resolver_timeout", 2.0),
        ("apisix: {resolver_timeout: 0.5}", "resolver_timeout", 0.5),
        ("apisix: {ssl: {ssl_trusted_certificate: /ca.pem}}", "ssl_trusted_certificate", "/ca.pem"),
        ("apisix: {ssl: {ssl_trusted_certificate: system}}", "ssl_trusted_certificate", None),
        ("batchway: {expose_batch: true}", "expose_batch", True),
        ("batchway: {expose_batch: '${{NONE:=true}}'}", "expose_batch", True),
        ("batchway: {workers: 1}", "workers", 1),
        ("batchway: {workers: 256}", "workers", 256),
        ("batchway: {workers: '${{NONE:=4}}'}", "workers", 4),
        ("batchway: {workers: auto}", "workers", "auto"),
        ("batchway: {store: {kind: sqlite, path: var/b.db}}", "store",
         StoreSettings(path="var/b.db")),
        ("batchway: {store: {path: '${{NONE:=123}}'}}", "store", StoreSettings(path="123")),
        ("batchway: {log: {level: debug}}", "log", LogSettings(level="debug")),
        ("batchway: {log: {format: json}}", "log", LogSettings(format="json")),
        ("batchway: {limits: {max_header_count: 5, shutdown_grace_s: 1}}", "limits",
         ServerLimits(max_header_count=5, shutdown_grace_s=1.0)),
        ("batchway: {store: , log: , limits: , workers: }", "limits", ServerLimits()),
    ],
)  # fmt: skip
def test_value_is_read(tmp_path: Path, text: str, name: str, expected: object) -> None:
    found = getattr(setting(tmp_path, text), name)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nginx_config: {http: {real_ip_header: 'X Real'}}",
         'nginx_config.http.real_ip_header: expected a header name, got "X Real"'),
        ("nginx_config: {http: {real_ip_header: ''}}",
         'nginx_config.http.real_ip_header: expected a string that is not empty, got ""'),
        ("nginx_config: {http: {real_ip_from: 127.0.0.1}}",
         'nginx_config.http.real_ip_from: expected a list, got "127.0.0.1"'),
        ("nginx_config: {http: {real_ip_from: [127.0.0.1/33]}}",
         "nginx_config.http.real_ip_from[0]: expected an IP address or a CIDR, "
         'got "127.0.0.1/33"'),
        ("nginx_config: {http: {real_ip_recursive: maybe}}",
         'nginx_config.http.real_ip_recursive: expected on or off, got "maybe"'),
        ("nginx_config: {http: {real_ip_recursive: 1}}",
         "nginx_config.http.real_ip_recursive: expected on or off, got 1"),
        ("apisix: {trusted_addresses: [gateway]}",
         'apisix.trusted_addresses[0]: expected an IP address or a CIDR, got "gateway"'),
        ("apisix: {dns_resolver: [dns.example]}",
         'apisix.dns_resolver[0]: expected an IP address, or ip:port, got "dns.example"'),
        ("apisix: {dns_resolver: ['1.1.1.1:0']}",
         'apisix.dns_resolver[0]: expected an IP address, or ip:port, got "1.1.1.1:0"'),
        ("apisix: {dns_resolver: ['1.1.1.1:65536']}",
         'apisix.dns_resolver[0]: expected an IP address, or ip:port, got "1.1.1.1:65536"'),
        ("apisix: {dns_resolver: ['[]:53']}",
         'apisix.dns_resolver[0]: expected an IP address, or ip:port, got "[]:53"'),
        ("apisix: {dns_resolver_valid: 0}",
         "apisix.dns_resolver_valid: expected a whole number above 0, got 0"),
        ("apisix: {dns_resolver_valid: 30s}",
         'apisix.dns_resolver_valid: expected a whole number above 0, got "30s"'),
        ("apisix: {resolver_timeout: 0}",
         "apisix.resolver_timeout: expected a number of seconds above 0, got 0"),
        ("apisix: {resolver_timeout: .inf}",
         "apisix.resolver_timeout: expected a number of seconds above 0, got Infinity"),
        ("apisix: {resolver_timeout: true}",
         "apisix.resolver_timeout: expected a number of seconds above 0, got true"),
        ("apisix: {ssl: {ssl_trusted_certificate: 'system,/ca.pem'}}",
         "apisix.ssl.ssl_trusted_certificate: expected one PEM file, or system, "
         'got "system,/ca.pem"'),
        ("plugins: batch-requests", 'plugins: expected a list, got "batch-requests"'),
        ("plugins: [{name: x}]", "plugins[0]: expected a string that is not empty, got a mapping"),
        ("plugin_attr: []", "plugin_attr: expected a mapping, got a list"),
        ("plugin_attr: {batch-requests: 1}",
         "plugin_attr.batch-requests: expected a mapping, got 1"),
        ("batchway: {expose_batch: 1}", "batchway.expose_batch: expected true or false, got 1"),
        ("batchway: {workers: many}",
         'batchway.workers: expected auto, or a whole number from 1 to 256, got "many"'),
        ("batchway: {workers: 0}",
         "batchway.workers: expected auto, or a whole number from 1 to 256, got 0"),
        ("batchway: {workers: 257}",
         "batchway.workers: expected auto, or a whole number from 1 to 256, got 257"),
        ("batchway: {workers: 2.5}",
         "batchway.workers: expected auto, or a whole number from 1 to 256, got 2.5"),
        ("batchway: {workers: true}",
         "batchway.workers: expected auto, or a whole number from 1 to 256, got true"),
        ("batchway: {workers: '${{NONE:=true}}'}",
         "batchway.workers: expected auto, or a whole number from 1 to 256, "
         'got what "${{NONE:=true}}" stands for'),
        ("batchway: {store: {kind: etcd}}",
         "batchway.store.kind: expected sqlite, the only store that is supported today, "
         'got "etcd"'),
        ("batchway: {store: {path: ''}}",
         'batchway.store.path: expected a string that is not empty, got ""'),
        ("batchway: {store: sqlite}", 'batchway.store: expected a mapping, got "sqlite"'),
        ("batchway: {log: {level: warn}}",
         'batchway.log.level: expected debug, info, warning or error, got "warn"'),
        ("batchway: {limits: {max_header_bytes: -1}}",
         "batchway.limits.max_header_bytes: expected a whole number above 0, got -1"),
        ("batchway: {limits: {max_header_bytes: 1.5}}",
         "batchway.limits.max_header_bytes: expected a whole number above 0, got 1.5"),
        ("batchway: {limits: {keepalive_timeout_s: 60s}}",
         'batchway.limits.keepalive_timeout_s: expected a number of seconds above 0, got "60s"'),
    ],
)  # fmt: skip
def test_wrong_value_is_named(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == f"config.yaml: {message}"


@pytest.mark.parametrize("name", ServerLimits.__struct_fields__)
def test_every_limit_can_be_set_and_must_be_positive(tmp_path: Path, name: str) -> None:
    found = setting(tmp_path, f"batchway: {{limits: {{{name}: 7}}}}")
    assert getattr(found.limits, name) == 7
    assert f"batchway.limits.{name}: expected " in refusal(tmp_path, f"batchway: {{limits: {{{name}: 0}}}}")
