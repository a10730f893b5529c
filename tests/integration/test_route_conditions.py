"""Routes that ask for more than host, path and method, and paths that take none at all."""

from collections.abc import Iterator

import pytest

from .gateway import Document, Gateway
from .scripted import Scripted, each, ok
from .wire import ask

ROUTES: dict[str, Document] = {
    "android": {"uri": "/ua", "vars": [["http_user_agent", "~*", "android"]]},
    "no-android": {"uri": "/ua", "vars": [["http_user_agent", "!", "~*", "android"]], "priority": -1},
    "all-three": {
        "uri": "/k",
        "vars": [["http_k", "==", "header"], ["cookie_k", "==", "cookie"], ["arg_k", "==", "arg"]],
    },
    "either": {"uri": "/k", "vars": ["OR", ["arg_k", "in", ["x", "y"]], ["arg_n", ">", 10]]},
    "get": {"uri": "/k", "vars": [["request_method", "==", "GET"], ["arg_get", "~="]]},
    "no-user-agent": {"uri": "/none", "vars": [["http_user_agent", "==", None]]},
    "here": {"uri": "/client", "remote_addrs": ["127.0.0.0/8", "::1"]},
    "elsewhere": {"uri": "/client", "remote_addr": "10.0.0.0/8", "priority": 9},
    "matched-host": {"uri": "/fall/*", "host": "fall.test", "vars": [["arg_v", "==", "1"]]},
    "matched-wildcard": {"uri": "/fall/*", "host": "*.test", "vars": [["arg_v", "==", "2"]]},
    "matched-any": {"uri": "/*", "vars": [["arg_v", "==", "3"]]},
    "literal": {"uri": "/literal/:id"},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with these routes; each has an upstream that says its name."""
    gateway = Gateway(tmp_path_factory.mktemp("conditions")).start()
    with Scripted(each(lambda request: ok((request.header("host") or "").encode()))) as upstream:
        nodes = {f"127.0.0.1:{upstream.address[1]}": 1}
        for name, route in ROUTES.items():
            named = {"nodes": nodes, "pass_host": "rewrite", "upstream_host": name}
            gateway.put("routes", name, route | {"upstream": named})
        yield gateway
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("path", "headers", "route"),
    [
        ("/ua", {"User-Agent": "an Android"}, "android"),
        ("/ua", {"User-Agent": "ios"}, "no-android"),
        ("/k?k=arg", {"K": "header", "Cookie": "a=b; k=cookie; c=d"}, "all-three"),
        ("/k?k=arg", {"K": "header", "Cookie": "a=b; kk=cookie"}, None),
        ("/k?k=y", {}, "either"),
        ("/k?k=z&n=11", {}, "either"),
        ("/k?n=9", {}, None),
        ("/k?get=", {}, "get"),
        ("/none", {"User-Agent": "x"}, None),
        ("/client", {}, "here"),
        ("/client", {"X-Real-IP": "10.0.0.1", "X-Forwarded-For": "10.0.0.1"}, "here"),
        ("/fall/x?v=1", {"Host": "fall.test"}, "matched-host"),
        ("/fall/x?v=2", {"Host": "fall.test"}, "matched-wildcard"),
        ("/fall/x?v=3", {"Host": "fall.test"}, "matched-any"),
        ("/fall/x?v=1", {"Host": "other.test"}, None),
        ("/fall/x", {"Host": "fall.test"}, None),
        ("/literal/:id", {}, "literal"),
        ("/literal/7", {}, None),
    ],
)
def test_the_route_of_a_request(
    gateway: Gateway, path: str, headers: dict[str, str], route: str | None
) -> None:
    for _ in range(2):  # as well when the way is remembered
        plain = gateway.fetch(path, "GET", headers={"User-Agent": "tests"} | headers)
        reply = gateway.reply({"path": path, "method": "GET", "headers": {"User-Agent": "tests"} | headers})

        if route is None:
            assert (plain.status, reply["status"]) == (404, 404)
        else:
            assert (plain.body.decode(), reply["body"]) == (route, route)


def test_items_that_differ_in_their_conditions_alone(gateway: Gateway) -> None:
    agents = ["Android", "ios", "android 4", "x"] * 5
    replies = gateway.replies([{"path": "/ua", "headers": {"User-Agent": agent}} for agent in agents])

    assert [reply["body"] for reply in replies] == ["android", "no-android"] * 10


@pytest.mark.parametrize("target", ["/..", "/a/../..", "/a/%2e%2e/%2e%2e/b", "/a%00", "/%", "/%2", "/%zz"])
def test_a_malformed_path_is_refused_as_nginx_does(gateway: Gateway, target: str) -> None:
    plain = ask(gateway.data, f"GET {target}?v=3 HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    malformed, neighbour = gateway.replies([{"path": target, "query": {"v": "3"}}, {"path": "/client"}])

    assert (plain.status, malformed["status"], neighbour["status"]) == (400, 400, 200)
    assert "error_msg" in plain.json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vars": ["arg_k", "==", "v"]}, "vars: expected an array of conditions"),
        ({"vars": [["arg_k", "~~", "[0"]]}, "vars[0][2]: not a regular expression"),
        ({"vars": [["arg_k", "~~", "(a+)+"]]}, "vars[0][2]: a repetition within a repetition"),
        ({"vars": [["arg_k", "=", "v"]]}, "vars[0][1]: expected one of"),
        ({"uri": "/a*/b"}, "/a*/b"),
        ({"remote_addr": "10.0.0.0/33"}, "10.0.0.0/33"),
    ],
)
def test_what_the_admin_api_refuses(gateway: Gateway, changes: Document, message: str) -> None:
    answer = gateway.admin("PUT", "/routes/bad", {"uri": "/bad", "upstream_id": "x"} | changes)

    assert answer.status == 400
    assert message in answer.json()["error_msg"]
