from typing import Any, Literal

import pytest
from msgspec import Struct
from msgspec.structs import asdict

from batchway.config.resources import (
    Consumer,
    ConsumerGroup,
    Credential,
    GlobalRule,
    Node,
    PluginConfig,
    Service,
    Timeout,
    Tls,
    decode,
    decode_resource,
    decode_route,
    decode_upstream,
)
from batchway.errors import InvalidResource

NODES = {"127.0.0.1:1980": 1}


def route(**changes: Any) -> dict[str, Any]:
    return {"uri": "/a", "upstream": {"nodes": NODES}} | changes


def upstream(**changes: Any) -> dict[str, Any]:
    return {"nodes": NODES} | changes


def route_refusal(document: object) -> str:
    with pytest.raises(InvalidResource) as caught:
        decode_route(document)
    return one_line(caught.value, "invalid route: ")


def upstream_refusal(document: object) -> str:
    with pytest.raises(InvalidResource) as caught:
        decode_upstream(document)
    return one_line(caught.value, "invalid upstream: ")


def one_line(error: InvalidResource, prefix: str) -> str:
    assert error.message.startswith(prefix)
    assert len(error.message.splitlines()) == 1
    return error.message.removeprefix(prefix)


# --- what is taken


def test_a_route_says_all_it_can_say() -> None:
    document = {
        "id": "a-b_c.1",
        "uris": ["/a", "/b/*"],
        "methods": ["GET", "PURGE"],
        "hosts": ["foo.com", "*.bar.com", "[::1]:80"],
        "priority": -1,
        "upstream_id": "u",
        "plugins": {"key-auth": {"key": None}},
        "status": 0,
        "remote_addrs": ["127.0.0.1", "10.0.0.0/8", "::1/64"],
        "vars": [["arg_a", "==", "b"]],
        "service_id": "s",
        "plugin_config_id": "c",
        "timeout": {"connect": 1, "send": 0.5, "read": 2},
        "name": "n",
        "desc": "",
        "labels": {"a": "b"},
        "create_time": 1,
        "update_time": 2,
    }
    decoded = decode_route(document)

    assert decoded.timeout == Timeout(1, 0.5, 2)
    assert decoded.uri_list == ("/a", "/b/*")
    assert decoded.host_list == ("foo.com", "*.bar.com", "[::1]:80")
    assert decoded.remote_addr_list == ("127.0.0.1", "10.0.0.0/8", "::1/64")
    said = {name: getattr(decoded, name) for name in document if name != "timeout"}
    expected = document | {
        "uris": ("/a", "/b/*"),
        "methods": ("GET", "PURGE"),
        "hosts": ("foo.com", "*.bar.com", "[::1]:80"),
        "remote_addrs": ("127.0.0.1", "10.0.0.0/8", "::1/64"),
    }
    del expected["timeout"]
    assert said == expected


def test_a_route_has_defaults() -> None:
    decoded = decode_route({"uri": "/a", "plugins": {}})

    assert (decoded.priority, decoded.status, decoded.methods) == (0, 1, ())
    assert (decoded.uri_list, decoded.host_list) == (("/a",), ())
    assert (decoded.upstream, decoded.upstream_id, decoded.timeout) == (None, None, None)


def test_an_upstream_has_defaults() -> None:
    decoded = decode_upstream({"nodes": {}})

    assert asdict(decoded) | {"nodes": None} == {
        "id": None,
        "name": None,
        "desc": None,
        "labels": {},
        "type": "roundrobin",
        "hash_on": "vars",
        "key": None,
        "nodes": None,
        "scheme": "http",
        "pass_host": "pass",
        "upstream_host": None,
        "timeout": Timeout(60, 60, 60),
        "retries": None,
        "retry_timeout": 0,
        "keepalive_pool": None,
        "max_connections": None,
        "tls": Tls(client_cert=None, client_key=None, verify=False),
        "checks": None,
        "create_time": None,
        "update_time": None,
    }


@pytest.mark.parametrize("id_", ["1", 1])
def test_ids_may_be_integers(id_: object) -> None:
    decoded = decode_route({"id": id_, "uri": "/a", "upstream_id": id_})
    assert (decoded.id, decoded.upstream_id) == ("1", "1")

    inner = decode_route(route(upstream=upstream(id=id_))).upstream
    assert inner is not None
    assert inner.id == "1"
    assert decode_upstream(upstream(id=id_)).id == "1"


def test_decoding_leaves_the_document_as_it_was() -> None:
    document = route(id=1, upstream=upstream(id=2))
    decode_route(document)

    assert document == route(id=1, upstream=upstream(id=2))


@pytest.mark.parametrize(
    "uri", ["*", "/", "/*", "/a/*", "/a*", "/a/b.html", "/ä", "/a:b", "/%2F", "/a/:id/b", "/a/*rest"]
)
def test_a_uri_is_exact_or_a_prefix_or_has_parameters(uri: str) -> None:
    assert decode_route(route(uri=uri)).uri_list == (uri,)


@pytest.mark.parametrize("host", ["foo.com", "*.foo.com", "*foo.com", "a_b-c", "1.2.3.4", "[::1]"])
def test_a_host_may_begin_with_a_wildcard(host: str) -> None:
    assert decode_route(route(host=host)).host_list == (host,)


# --- nodes


@pytest.mark.parametrize(
    ("scheme", "nodes", "expected"),
    [
        ("http", {}, []),
        ("http", [], []),
        ("http", {"a:8080": 1, "b": 0}, [("a", 8080, 1), ("b", 80, 0)]),
        ("https", {"a:8080": 1, "b": 2}, [("a", 8080, 1), ("b", 443, 2)]),
        ("http", {"[::1]:81": 1, "[fd00::1]": 1}, [("::1", 81, 1), ("fd00::1", 80, 1)]),
        ("http", [{"host": "a", "port": 1, "weight": 2}], [("a", 1, 2)]),
        ("https", [{"host": "a", "weight": 2, "priority": 0}], [("a", 443, 2)]),
        ("http", [{"host": "::1", "weight": 1}], [("::1", 80, 1)]),
        ("http", [{"host": "[::1]", "port": 81, "weight": 1}], [("::1", 81, 1)]),
        ("http", {"a_b.c-d:65535": 1}, [("a_b.c-d", 65535, 1)]),
    ],
)
def test_nodes_are_an_object_or_a_list(
    scheme: str, nodes: object, expected: list[tuple[str, int, int]]
) -> None:
    decoded = decode_upstream({"nodes": nodes, "scheme": scheme})
    assert decoded.node_list() == tuple(Node(host, w, port) for host, port, w in expected)


@pytest.mark.parametrize(
    "address",
    ["a:0", "a:65536", "a:x", "a:", "a:1:2", "::1", "[::1", "a:-1", "[a]:1:1", "a:123456"],
)
def test_a_node_that_is_no_address_is_named(address: str) -> None:
    expected = f'"nodes" names "{address}": expected host, host:port or [IPv6]:port'
    assert upstream_refusal({"nodes": {address: 1}}) == expected


@pytest.mark.parametrize("host", ["", "a b", "a/b", "http://a", "[a]", "[]", "::g", "*.a", "a\n"])
def test_a_node_without_a_host_name_is_refused(host: str) -> None:
    message = upstream_refusal({"nodes": [{"host": host, "port": 1, "weight": 1}]})
    assert message.startswith('property "nodes[0]": ')
    assert message.endswith(" is no host name or address")


# --- services, consumers and sets of plugins


def test_a_service_says_all_it_can_say() -> None:
    document = {"id": 1, "hosts": ["a.com"], "upstream_id": 2, "plugins": {}, "labels": {"a": "b"}}
    service = decode_resource(document, Service, "service")

    assert (service.id, service.hosts, service.upstream_id) == ("1", ("a.com",), "2")
    assert decode_resource({}, Service, "service").upstream is None


def test_a_consumer_says_all_it_can_say() -> None:
    document = {"username": "jack", "group_id": 7, "plugins": {"key-auth": {"key": "a"}}, "desc": "x"}
    consumer = decode_resource(document, Consumer, "consumer")

    assert (consumer.username, consumer.group_id, consumer.desc) == ("jack", "7", "x")
    assert consumer.plugins == {"key-auth": {"key": "a"}}


@pytest.mark.parametrize(
    ("kind", "document", "message"),
    [
        (Service, {"hosts": ["a", "b", "a"]}, '"hosts" names a value twice'),
        (Consumer, {}, 'property "username" is required'),
        (Consumer, {"username": "a b"}, 'property "username": expected str matching regex'),
        (Consumer, {"username": "a\n"}, 'property "username": expected str matching regex'),
        (Consumer, {"username": "a", "plugins": None}, 'property "plugins": expected a value, got null'),
        (Credential, {"plugins": {"a": {}, "b": {}}}, 'property "plugins": expected object of length <= 1'),
        (Credential, {"username": "a"}, 'unknown property "username"'),
        (ConsumerGroup, {}, 'property "plugins" is required'),
        (PluginConfig, {"plugins": {"a": 1}}, 'property "plugins[a]": expected object, got 1'),
        (GlobalRule, {"plugins": {}, "uri": "/a"}, 'unknown property "uri"'),
        (Service, {"hosts": []}, 'property "hosts": expected array of length >= 1'),
    ],
)
def test_what_is_none_of_its_kind_is_refused(kind: type[Struct], document: object, message: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        decode_resource(document, kind, "thing")
    assert one_line(caught.value, "invalid thing: ").startswith(message)


def test_a_consumers_values_may_be_hidden() -> None:
    with pytest.raises(InvalidResource) as caught:
        decode_resource(
            {"username": "jack", "plugins": {"a": "secret"}}, Consumer, "consumer", show_values=False
        )
    assert caught.value.message == 'invalid consumer: property "plugins[a]": expected object, got str'


# --- what is refused

ROUTE_FAULTS: list[tuple[Any, str]] = [
    (None, "expected object, got null"),
    ([], "expected object, got array of length 0"),
    ("x", 'expected object, got "x"'),
    ({}, 'exactly one of "uri" and "uris" is expected'),
    (route(uris=["/b"]), 'exactly one of "uri" and "uris" is expected'),
    (route(host="a", hosts=["b"]), 'only one of "host" and "hosts" is expected'),
    ({"uri": "/a"}, 'one of "upstream", "upstream_id", "service_id" and "plugins" is required'),
    (route(uri=""), 'property "uri": expected str of length >= 1, got ""'),
    (route(uri=1), 'property "uri": expected str, got 1'),
    (route(uri="a"), 'uri "a" must begin with "/"'),
    (route(uri="*a"), 'uri "*a" must begin with "/"'),
    (route(uri="a*"), 'uri "a*" must begin with "/"'),
    (route(uri="/a/**"), 'uri "/a/**": "*" must be the last character, or begin a segment'),
    (route(uri="/a/*b*"), 'uri "/a/*b*": "*" must be the last character, or begin a segment'),
    (route(uri="/a/*b*/c"), 'uri "/a/*b*/c": "*" must be the last character, or begin a segment'),
    (route(uri="/a*rest"), 'uri "/a*rest": "*" must be the last character, or begin a segment'),
    (route(uri="/a*/b"), 'uri "/a*/b": "*" must be the last character, or begin a segment'),
    (route(uri="/a/*/:b"), 'uri "/a/*/:b": a path with "*" within it cannot have a ":name"'),
    (route(vars=1), 'property "vars": expected array, got 1'),
    (route(vars=[["arg_a", "=", "b"]]), "vars[0][1]: expected one of "),
    (route(remote_addr="a"), 'remote_addr "a" is no address and no network'),
    (route(remote_addr="1.2.3.4/33"), 'remote_addr "1.2.3.4/33" is no address and no network'),
    (route(remote_addr="::1", remote_addrs=["::1"]), 'only one of "remote_addr" and "remote_addrs" is'),
    ({"uri": "/a", "plugins": {}, "remote_addrs": []}, 'property "remote_addrs": expected array of length'),
    (route(remote_addrs=["::1", "::1"]), '"remote_addrs" names a value twice'),
    (route(service_id="a b"), 'property "service_id": expected str matching regex'),
    (route(plugin_config_id=0), 'property "plugin_config_id": expected str, got 0'),
    ({"uris": ["/a", "b"], "plugins": {}}, 'uri "b" must begin with "/"'),
    ({"uris": [], "plugins": {}}, 'property "uris": expected array of length >= 1'),
    ({"uris": ["/a", "/a"], "plugins": {}}, '"uris" names a value twice'),
    ({"uris": ["/a", 1], "plugins": {}}, 'property "uris[1]": expected str, got 1'),
    (route(methods=["GET", "GET"]), '"methods" names a value twice'),
    (route(methods="GET"), 'property "methods": expected array, got "GET"'),
    (route(hosts=["a", "a"]), '"hosts" names a value twice'),
    (route(hosts=["a", "a b"]), 'property "hosts[1]": expected str matching regex'),
    (route(host="*"), 'property "host": expected str matching regex'),
    (route(host="a\n"), 'property "host": expected str matching regex'),
    (route(host="a*"), 'property "host": expected str matching regex'),
    (route(priority=1.5), 'property "priority": expected int, got 1.5'),
    (route(status=2), 'property "status": expected one of 0, 1, got 2'),
    (route(status=True), 'property "status": expected int, got true'),
    (route(id="a b"), 'property "id": expected str matching regex'),
    (route(id="a\n"), 'property "id": expected str matching regex'),
    (route(id=0), 'property "id": expected str, got 0'),
    (route(id="x" * 65), 'property "id": expected str of length <= 64, got "xxx'),
    (route(name=""), 'property "name": expected str of length >= 1'),
    (route(name="x" * 101), 'property "name": expected str of length <= 100'),
    (route(desc="x" * 257), 'property "desc": expected str of length <= 256'),
    (route(labels={"a": "b", "c": "d e"}), 'property "labels[c]": expected str matching regex'),
    (route(labels={"c": ""}), 'property "labels[c]": expected str of length >= 1'),
    (route(labels={"c": 1}), 'property "labels[c]": expected str, got 1'),
    (
        route(labels={str(n): "x" for n in range(17)}),
        'property "labels": expected object of length <= 16, got object of length 17',
    ),
    (route(plugins=[]), 'property "plugins": expected object, got array of length 0'),
    (route(plugins={"a": {}, "b": 1}), 'property "plugins[b]": expected object, got 1'),
    (route(timeout={"connect": 1, "send": 1}), 'property "timeout.read" is required'),
    (
        route(timeout={"connect": 0, "send": 1, "read": 1}),
        'property "timeout.connect": expected float > 0.0, got 0',
    ),
    (
        route(timeout={"connect": 1, "send": 1, "read": 1, "x": 1}),
        'unknown property "timeout.x"',
    ),
    (route(name=None), 'property "name": expected a value, got null'),
    (
        route(upstream={"nodes": {}, "name": None}),
        'property "upstream.name": expected a value, got null',
    ),
    (route(create_time=-1), 'property "create_time": expected int >= 0, got -1'),
    (route(vrs=[]), 'unknown property "vrs"'),
    (route(upstream=1), 'property "upstream": expected object, got 1'),
    (route(upstream={}), 'property "upstream.nodes" is required'),
    (route(upstream={"nodes": {}, "x": 1}), 'unknown property "upstream.x"'),
    (route(upstream={"nodes": {"a:x": 1}}), 'property "upstream": "nodes" names "a:x": expected'),
]


@pytest.mark.parametrize(("document", "message"), ROUTE_FAULTS)
def test_a_faulty_route_is_refused_by_property(document: Any, message: str) -> None:
    assert route_refusal(document).startswith(message)


METHODS = '"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"'

UPSTREAM_FAULTS: list[tuple[Any, str]] = [
    ({}, 'property "nodes" is required'),
    ({"nodes": 1}, 'property "nodes": expected object | array, got 1'),
    ({"nodes": {"a:1": -1}}, 'property "nodes[a:1]": expected int >= 0, got -1'),
    ({"nodes": {"a:1": 1, "b:1": "1"}}, 'property "nodes[b:1]": expected int, got "1"'),
    ({"nodes": [{}]}, 'property "nodes[0].host" is required'),
    ({"nodes": [{"host": "a"}]}, 'property "nodes[0].weight" is required'),
    (
        {"nodes": [{"host": "a", "port": "x", "weight": 1}]},
        'property "nodes[0].port": expected int, got "x"',
    ),
    (
        {"nodes": [{"host": "a", "port": 0, "weight": 1}]},
        'property "nodes[0].port": expected int >= 1, got 0',
    ),
    (
        {"nodes": [{"host": "a", "port": 65536, "weight": 1}]},
        'property "nodes[0].port": expected int <= 65535, got 65536',
    ),
    ({"nodes": [{"host": "a", "weight": 1, "x": 1}]}, 'unknown property "nodes[0].x"'),
    (
        upstream(type="none"),
        'property "type": expected one of "roundrobin", "chash", "least_conn", "ewma", got "none"',
    ),
    (upstream(type="chash"), '"key" is required when "type" is "chash"'),
    (upstream(type="chash", key="nothing"), '"key" "nothing" is none that "hash_on" "vars" takes'),
    (upstream(type="chash", hash_on="header", key="a b"), '"key" "a b" is none that "hash_on" "header"'),
    (upstream(type="chash", hash_on="vars_combinations", key="a"), '"key" "a" is none that'),
    (upstream(hash_on="x"), 'property "hash_on": expected one of "vars", "header", "cookie", "consumer"'),
    (upstream(retry_timeout=-1), 'property "retry_timeout": expected float >= 0.0, got -1'),
    (upstream(checks={}), 'property "checks.active" is required'),
    (upstream(checks={"active": {"type": "udp"}}), 'property "checks.active.type": expected one of "http"'),
    (
        upstream(checks={"active": {"healthy": {"successes": 0}}}),
        'property "checks.active.healthy.successes": expected int >= 1, got 0',
    ),
    (
        upstream(checks={"active": {"unhealthy": {"http_statuses": [500, 500]}}}),
        'property "checks.active.unhealthy": "http_statuses" names a value twice',
    ),
    (
        upstream(checks={"active": {}, "passive": {"healthy": {"http_statuses": [600]}}}),
        'property "checks.passive.healthy.http_statuses[0]": expected int <= 599, got 600',
    ),
    (
        upstream(tls={"client_cert": "x" * 128}),
        'property "tls": "client_cert" and "client_key" are expected',
    ),
    (
        upstream(tls={"client_cert": "x" * 128, "client_key": "secret"}),
        'property "tls.client_key": expected str of length >= 128, got str',
    ),
    (upstream(tls={"client_cert": "x"}), 'property "tls.client_cert": expected str of length >= 128'),
    (
        upstream(nodes=[{"host": "a", "weight": 1, "priority": "x"}]),
        'property "nodes[0].priority": expected',
    ),
    (upstream(scheme="ftp"), 'property "scheme": expected one of "http", "https", got "ftp"'),
    (upstream(scheme=[]), 'property "scheme": expected str, got array of length 0'),
    (
        upstream(pass_host="x"),
        'property "pass_host": expected one of "pass", "node", "rewrite", got "x"',
    ),
    (upstream(pass_host="rewrite"), '"upstream_host" is required when "pass_host" is "rewrite"'),
    (upstream(upstream_host="a\r\nb"), 'property "upstream_host": expected str matching regex'),
    (upstream(retries=-1), 'property "retries": expected int >= 0, got -1'),
    (upstream(max_connections=0), 'property "max_connections": expected int >= 1, got 0'),
    (upstream(keepalive_pool={"size": 0}), 'property "keepalive_pool.size": expected int >= 1'),
    (
        upstream(keepalive_pool={"idle_timeout": -1}),
        'property "keepalive_pool.idle_timeout": expected float >= 0.0, got -1',
    ),
    (upstream(keepalive_pool={"requests": 0}), 'property "keepalive_pool.requests": expected int'),
    (upstream(keepalive_pool={"x": 0}), 'unknown property "keepalive_pool.x"'),
    (upstream(tls={"verify": 1}), 'property "tls.verify": expected bool, got 1'),
    (upstream(tls={"x": 1}), 'unknown property "tls.x"'),
    (upstream(timeout=None), 'property "timeout": expected object, got null'),
    (upstream(tls={"client_cert": None}), 'property "tls.client_cert": expected a value, got null'),
    (
        upstream(checks={"active": {"healthy": {}, "host": None}}),
        'property "checks.active.host": expected a value, got null',
    ),
    (
        {"nodes": [{"host": "a", "weight": 1, "metadata": None}]},
        'property "nodes[0].metadata": expected a value, got null',
    ),
    (upstream(uri="/a"), 'unknown property "uri"'),
    (upstream(warm_up_conf={}), 'property "warm_up_conf" is not supported by batchway'),
]


@pytest.mark.parametrize(("document", "message"), UPSTREAM_FAULTS)
def test_a_faulty_upstream_is_refused_by_property(document: Any, message: str) -> None:
    assert upstream_refusal(document).startswith(message)


def test_a_faulty_choice_tells_all_choices() -> None:
    message = route_refusal(route(methods=["GET", "get"]))
    assert message == f'property "methods[1]": expected one of {METHODS}, got "get"'


# --- what APISIX has and batchway has not


@pytest.mark.parametrize(
    "name",
    [
        "enable_websocket",
        "filter_func",
        "script",
        "script_id",
        "service_protocol",
    ],
)
@pytest.mark.parametrize("value", [True, [], "x"])
def test_a_property_of_apisix_routes_is_not_supported(name: str, value: object) -> None:
    message = route_refusal(route(**{name: value}))
    assert message == f'property "{name}" is not supported by batchway'


def test_websockets_may_be_switched_off() -> None:
    """Some clients always say so."""
    assert decode_route(route(enable_websocket=False)) == decode_route(route())
    assert decode_resource({"enable_websocket": False}, Service, "service") == Service()


@pytest.mark.parametrize("name", ["enable_websocket", "script"])
def test_a_property_of_apisix_services_is_not_supported(name: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        decode_resource({name: True}, Service, "service")
    assert caught.value.message == f'invalid service: property "{name}" is not supported by batchway'


UPSTREAM_NOT_SUPPORTED: list[tuple[dict[str, Any], str]] = [
    (upstream(discovery_args={}), '"{}discovery_args" is'),
    (upstream(discovery_type="dns"), '"{}discovery_type" is'),
    ({"service_name": "x", "discovery_type": "dns"}, '"{}service_name" is'),
    (upstream(tls={"client_cert_id": "x"}), '"{}tls.client_cert_id" is'),
    (upstream(tls={"ca_id": "x"}), '"{}tls.ca_id" is'),
    (upstream(scheme="grpc"), '"{}scheme": "grpc" is'),
    (upstream(scheme="grpcs"), '"{}scheme": "grpcs" is'),
    (upstream(scheme="kafka"), '"{}scheme": "kafka" is'),
]


@pytest.mark.parametrize(("document", "start"), UPSTREAM_NOT_SUPPORTED)
def test_what_apisix_upstreams_can_do_more_is_not_supported(document: dict[str, Any], start: str) -> None:
    """Alone as within a route."""
    message = upstream_refusal(document)
    assert message.startswith(f"property {start.format('')} not supported by batchway")
    message = route_refusal(route(upstream=document))
    assert message.startswith(f"property {start.format('upstream.')} not supported by batchway")


# --- messages


def test_names_and_values_cannot_break_a_message() -> None:
    assert route_refusal(route(**{"a\n`b\r": 1})) == r'unknown property "a\n`b\r"'
    assert route_refusal(route(uri="a\n")) == r'uri "a\n" must begin with "/"'
    for name in (" - at `$.x`", "x - at `$.upstream", "x - at `$.status[0]", "$.upstream"):
        assert route_refusal(route(**{name: 1})).startswith('unknown property "')


def test_a_long_value_is_cut_short() -> None:
    assert len(route_refusal(route(uri="x" * 4000))) < 150


class Secretive(Struct, forbid_unknown_fields=True):
    key: str
    size: int = 0
    way: Literal["here", "there"] = "here"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"key": 12345}, 'invalid thing: property "key": expected str, got int'),
        ({"key": ["abc"]}, 'invalid thing: property "key": expected str, got array'),
        ({"key": "a", "size": "abc"}, 'invalid thing: property "size": expected int, got str'),
        (
            {"key": "a", "way": "abc"},
            'invalid thing: property "way": expected one of "here", "there", got another str',
        ),
        ({"key": "a", "x": 1}, 'invalid thing: unknown property "x"'),
        ({}, 'invalid thing: property "key" is required'),
        ({"key": "a", "size": 12345}, None),
    ],
)
def test_values_are_not_shown_where_they_may_be_secrets(document: object, message: str | None) -> None:
    if message is None:
        assert decode(document, Secretive, "thing", show_values=False).size == 12345
        return
    with pytest.raises(InvalidResource) as caught:
        decode(document, Secretive, "thing", show_values=False)
    assert caught.value.message == message
