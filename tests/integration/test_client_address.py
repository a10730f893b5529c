"""Who the client is: what the upstream is told, and whose word is taken for it."""

import json

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import BATCH, Document, Gateway
from .scripted import Received, each, echo
from .wire import Headers, fetch

FORWARDED = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]
NAMES = ["x-real-ip", *FORWARDED]


def both_ways(gateway: Gateway, scripted: StartScripted, headers: Headers) -> list[Received]:
    """What the upstream gets of a plain request and of an item, sent with these headers."""
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    gateway.fetch(path, headers=headers)
    gateway.reply(path, headers)
    return upstream.requests


def test_the_upstream_is_told_who_asks(gateway: Gateway, scripted: StartScripted) -> None:
    for host, port in (("shop.test", str(gateway.data[1])), ("shop.test:81", "81")):
        for request in both_ways(gateway, scripted, {"Host": host}):
            values = [request.header(name) for name in NAMES]
            assert values == ["127.0.0.1", "127.0.0.1", "http", host, port]


@pytest.mark.parametrize("spelling", [str.lower, str.title, str.upper, lambda name: name.replace("-", "_")])
def test_a_client_cannot_forge_any_of_it(
    gateway: Gateway, scripted: StartScripted, spelling: object
) -> None:
    assert callable(spelling)
    forged = {spelling(name): "6.6.6.6" for name in NAMES}

    for request in both_ways(gateway, scripted, forged):
        assert "6.6.6.6" not in request.head.decode()


@pytest.mark.parametrize(
    "name", [*NAMES, "Forwarded", "X-Forwarded-Prefix", "X_Forwarded_For", "x_FORWARDED-host"]
)
def test_an_item_cannot_forge_any_of_it(gateway: Gateway, scripted: StartScripted, name: str) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    forged = {name: "6.6.6.6"}

    gateway.replies({"headers": forged, "pipeline": [{"path": path}]})
    gateway.replies([{"path": path, "headers": forged}])
    gateway.replies([{"path": path, "headers": {name: ["6.6.6.6", "6.6.6.6"]}}])

    for request in upstream.requests:
        assert "6.6.6.6" not in request.head.decode()


def test_another_header_for_the_real_ip(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway = start_gateway({"nginx_config": {"http": {"real_ip_header": "X-Client-IP"}}})

    for request in both_ways(gateway, scripted, {"X-Client-IP": "6.6.6.6", "X_Client_IP": "6.6.6.6"}):
        assert request.header("x-client-ip") == "127.0.0.1"
        assert "6.6.6.6" not in request.head.decode()


def test_a_real_ip_header_with_underscores(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway = start_gateway({"nginx_config": {"http": {"real_ip_header": "x_client_ip"}}})

    for request in both_ways(gateway, scripted, {"x_client_ip": "6.6.6.6"}):
        assert request.header("x_client_ip") == "127.0.0.1"


def test_x_forwarded_for_as_the_real_ip_header(
    start_gateway: StartGateway, scripted: StartScripted
) -> None:
    """As many configurations have it. The header must not be there twice."""
    http = {"real_ip_header": "X-Forwarded-For", "real_ip_from": ["127.0.0.0/8"]}
    gateway = start_gateway({"nginx_config": {"http": http}})

    for request in both_ways(gateway, scripted, {"X-Forwarded-For": "9.9.9.9, 8.8.8.8"}):
        assert request.all("x-forwarded-for") == ["8.8.8.8"]


# --- real_ip_from

TRUST: Document = {"real_ip_from": ["127.0.0.1/32"]}


@pytest.mark.parametrize(
    ("named", "client"),
    [
        ("9.9.9.9", "9.9.9.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("1.1.1.1, 2.2.2.2", "2.2.2.2"),
        ("nonsense", "127.0.0.1"),
        ("9.9.9.9; DROP", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("9.9.9.9:1234", "127.0.0.1"),
    ],
)
def test_a_trusted_peer_names_the_client(
    trusting: Gateway, scripted: StartScripted, named: str, client: str
) -> None:
    for request in both_ways(trusting, scripted, {"X-Real-IP": named}):
        assert request.header("x-real-ip") == client
        assert request.header("x-forwarded-for") == client


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> object:
    """A gateway that believes the real-IP header of 127.0.0.1."""
    directory = tmp_path_factory.mktemp("trusting")
    gateway = Gateway(directory, {"nginx_config": {"http": TRUST}}).start()
    yield gateway
    assert gateway.stop() == 0


def test_an_item_is_no_trusted_peer(trusting: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    item = {"path": trusting.route(upstream) + "/x", "headers": {"X-Real-IP": "6.6.6.6"}}

    trusting.replies({"headers": {"X-Real-IP": "6.6.6.6"}, "pipeline": [item]}, {"X-Real-IP": "9.9.9.9"})

    assert upstream.requests[0].header("x-real-ip") == "9.9.9.9"


def test_an_untrusted_peer_names_nobody(start_gateway: StartGateway, scripted: StartScripted) -> None:
    http = {"real_ip_from": ["10.0.0.0/8", "192.168.1.1"]}
    gateway = start_gateway({"nginx_config": {"http": http}})

    for request in both_ways(gateway, scripted, {"X-Real-IP": "9.9.9.9"}):
        assert request.header("x-real-ip") == "127.0.0.1"


def test_recursion_passes_over_trusted_proxies(
    start_gateway: StartGateway, scripted: StartScripted
) -> None:
    http = {"real_ip_from": ["127.0.0.0/8", "10.0.0.0/8"], "real_ip_recursive": "on"}
    gateway = start_gateway({"nginx_config": {"http": http}})

    for request in both_ways(gateway, scripted, {"X-Real-IP": "6.6.6.6, 9.9.9.9, 10.0.0.1, 10.0.0.2"}):
        assert request.header("x-real-ip") == "9.9.9.9"


# --- trusted_addresses


def test_forwarded_headers_of_a_trusted_proxy_are_passed_on(
    start_gateway: StartGateway, scripted: StartScripted
) -> None:
    gateway = start_gateway({"apisix": {"trusted_addresses": ["127.0.0.1"]}})
    told = dict(zip(FORWARDED, ["9.9.9.9", "https", "shop.test", "443"], strict=True))

    for request in both_ways(gateway, scripted, told):
        assert request.header("x-forwarded-for") == "9.9.9.9, 127.0.0.1"
        assert [request.header(name) for name in FORWARDED[1:]] == ["https", "shop.test", "443"]


def test_an_item_is_no_trusted_proxy(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway = start_gateway({"apisix": {"trusted_addresses": ["127.0.0.1"]}})
    upstream = scripted(each(echo))
    forged = dict.fromkeys(FORWARDED, "6.6.6.6")
    item = {"path": gateway.route(upstream) + "/x", "headers": forged}

    gateway.replies({"headers": forged, "pipeline": [item]}, {"X-Forwarded-For": "9.9.9.9"})

    assert upstream.requests[0].header("x-forwarded-for") == "9.9.9.9, 127.0.0.1"
    assert "6.6.6.6" not in upstream.requests[0].head.decode()


def test_ipv6(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway = start_gateway(run=False)
    listen = gateway.config["apisix"]["node_listen"]
    gateway.config["apisix"]["node_listen"] = [*listen, {"ip": "::1", "port": gateway.data[1]}]
    gateway.start()
    upstream = scripted(each(echo))
    body = json.dumps({"pipeline": [{"path": gateway.route(upstream) + "/x"}]})

    answer = fetch(("::1", gateway.data[1]), "POST", BATCH, body)

    assert answer.json()[0]["status"] == 200
    assert upstream.requests[0].header("x-real-ip") == "::1"
    assert upstream.requests[0].header("x-forwarded-host") == f"[::1]:{gateway.data[1]}"
