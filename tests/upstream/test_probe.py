"""Probes of real servers, by a clock that is put forward."""

import asyncio
import ssl
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from batchway.upstream import UpstreamClient
from batchway.upstream.health import NodeHealth
from tests.loops import pass_time, settle, until

from .asking import BLOCK, Client, request
from .servers import Peer, Script, Server, answer_all, closed_port

QUICK = {"healthy": {"successes": 1}, "unhealthy": {"http_failures": 1, "tcp_failures": 1, "timeouts": 1}}


def checks(active: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Active checks of which one result is enough."""
    return {"active": {"timeout": 5, **QUICK, **(active or {})}, **more}


def nodes(client: UpstreamClient) -> tuple[NodeHealth, ...]:
    health = client.health("upstreams", "1")
    assert health is not None
    return health.nodes


def statuses(client: UpstreamClient) -> list[str]:
    return [node.status for node in nodes(client)]


async def turn(client: UpstreamClient, *expected: str) -> None:
    """Let probes become due until the nodes are so."""
    for _ in range(50):
        if statuses(client) == list(expected):
            return
        await pass_time(1.2)
        for _ in range(20):
            await asyncio.sleep(0.001)
            if statuses(client) == list(expected):
                return
    raise AssertionError(statuses(client))


class Switched:
    """A server that answers with whatever status is set."""

    def __init__(self, status: bytes = b"200 OK") -> None:
        self.status = status

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer(status=self.status)


async def say_nothing(peer: Peer) -> None:
    await peer.gone()


async def slam(peer: Peer) -> None:
    peer.close()


async def no_http(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"SSH-2.0-OpenSSH_9.6\r\n")


async def endless_line(peer: Peer) -> None:
    while True:
        await peer.say(b"x" * 4096)
        await asyncio.sleep(0)


def test_node_goes_down_and_comes_back(runner: asyncio.Runner) -> None:
    async def main() -> None:
        behaviour = Switched()
        async with Server(behaviour) as one, Server() as other, Client.running() as client:
            upstream = client.upstream([one.port, other.port], checks=checks())
            await turn(upstream, "healthy", "healthy")
            behaviour.status = b"500 Oops"
            await turn(upstream, "unhealthy", "healthy")
            before = len(other.requests)
            for _ in range(10):
                assert (await upstream.send(request(), BLOCK)).status == 200
            assert sum(b"GET / " in got.line and b"x-block" in got.head for got in other.requests) == 10
            assert len(other.requests) >= before + 10
            behaviour.status = b"200 OK"
            await turn(upstream, "healthy", "healthy")
            upstream.close()

    runner.run(main())


def test_request_of_a_probe(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as one, Server() as other, Client.running() as client:
            active = {
                "http_path": "/status?x=1",
                "host": "probe.test",
                "req_headers": ["User-Agent: checker", "X-Probe: 1"],
            }
            upstream = client.upstream([one.port, other.port], checks=checks(active))
            await settle()
            await pass_time(1)
            await until(lambda: one.requests and other.requests)
            received = one.requests[0]
            assert received.line == b"GET /status?x=1 HTTP/1.1"
            assert received.lines == [
                b"User-Agent: checker",
                b"X-Probe: 1",
                b"Host: probe.test",
                b"Connection: close",
            ]
            upstream.close()

    runner.run(main())


def test_host_of_a_probe_is_the_nodes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as one, Server() as other, Client.running() as client:
            upstream = client.upstream(
                {f"localhost:{one.port}": 1, f"127.0.0.1:{other.port}": 1}, checks=checks()
            )
            await until(lambda: len(nodes(upstream)) == 2)
            await settle()
            await pass_time(1)
            await until(lambda: one.requests and other.requests)
            assert one.requests[0].host == b"localhost:%d" % one.port
            assert other.requests[0].host == b"127.0.0.1:%d" % other.port
            upstream.close()

    runner.run(main())


def test_host_of_a_probe_is_the_one_that_is_written(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as one, Server() as other, Client.running() as client:
            upstream = client.upstream(
                [one.port, other.port], checks=checks(), pass_host="rewrite", upstream_host="written.test"
            )
            await settle()
            await pass_time(1)
            await until(lambda: one.requests and other.requests)
            assert one.requests[0].host == b"written.test"
            upstream.close()

    runner.run(main())


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        (slam, "tcp_failure"),
        (no_http, "http_failure"),
        (endless_line, "tcp_failure"),
        (Switched(b"503 No"), "http_failure"),
    ],
    ids=["slam", "no http", "endless", "503"],
)
def test_what_takes_a_node_out(runner: asyncio.Runner, script: Script, failure: str) -> None:
    async def main() -> None:
        async with Server(script) as bad, Server() as good, Client.running() as client:
            upstream = client.upstream([bad.port, good.port], checks=checks())
            await turn(upstream, "unhealthy", "healthy")
            assert getattr(nodes(upstream)[0].counter, failure) == 1
            upstream.close()

    runner.run(main())


def test_refused_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as good, Client.running() as client:
            upstream = client.upstream([closed_port(), good.port], checks=checks())
            await turn(upstream, "unhealthy", "healthy")
            assert nodes(upstream)[0].counter.tcp_failure == 1
            upstream.close()

    runner.run(main())


def test_probe_that_takes_too_long(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(say_nothing) as slow, Server() as good, Client.running() as client:
            upstream = client.upstream([slow.port, good.port], checks=checks({"timeout": 3}))
            await settle()
            await pass_time(1)
            await until(lambda: slow.peers and good.requests and not good.open, "the good one's is over")
            await settle()
            await pass_time(3)
            await until(lambda: statuses(upstream) == ["unhealthy", "healthy"])
            assert nodes(upstream)[0].counter.timeout_failure == 1
            await until(lambda: slow.open == 0, "its connection is closed")
            upstream.close()

    runner.run(main())


def test_tcp_probe_only_connects(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(say_nothing) as silent, Client.running() as client:
            upstream = client.upstream([silent.port, closed_port()], checks=checks({"type": "tcp"}))
            await turn(upstream, "healthy", "unhealthy")
            await pass_time(1.2)  # it was healthy before it was probed
            await until(lambda: silent.peers)
            await settle(50)
            assert statuses(upstream) == ["healthy", "unhealthy"]
            assert silent.requests == []
            upstream.close()

    runner.run(main())


def test_probe_of_another_port(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(Switched(b"500 No")) as checked, Server() as node, Client.running() as client:
            upstream = client.upstream([node.port, closed_port()], checks=checks({"port": checked.port}))
            await turn(upstream, "unhealthy", "unhealthy")
            assert {one.counter.http_failure for one in nodes(upstream)} == {1}
            assert (await upstream.send(request(), BLOCK)).status == 200, "none is up: all are asked"
            upstream.close()

    runner.run(main())


# --- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, path


@pytest.mark.parametrize(
    ("names", "active", "expected"),
    [
        (["127.0.0.1"], {}, "healthy"),
        (["other.test"], {}, "unhealthy"),
        (["other.test"], {"host": "other.test"}, "healthy"),
        (["other.test"], {"https_verify_certificate": False}, "healthy"),
    ],
)
def test_https_probe(
    runner: asyncio.Runner,
    authority: tuple[trustme.CA, Path],
    names: list[str],
    active: dict[str, Any],
    expected: str,
) -> None:
    async def main() -> None:
        ca, path = authority
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(*names).configure_cert(tls)
        async with Server(tls=tls) as server, Client.running(ca_file=path) as client:
            active_ = {"type": "https", "timeout": 30, **active}
            upstream = client.upstream([server.port, closed_port()], scheme="https", checks=checks(active_))
            await turn(upstream, expected, "unhealthy")
            if expected == "healthy":
                await pass_time(1.2)  # it was that before it was probed
                await until(lambda: server.requests)
                await settle(50)
                assert statuses(upstream) == [expected, "unhealthy"]
            upstream.close()

    runner.run(main())


def test_name_that_tls_cannot_ask_for(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream(
                [server.port, closed_port()],
                scheme="https",
                pass_host="rewrite",
                upstream_host="a..b",
                checks=checks({"type": "https"}),
            )
            await turn(upstream, "unhealthy", "unhealthy")
            upstream.close()

    runner.run(main())


# --- when


def has_peers(server: Server, count: int) -> bool:
    return len(server.peers) == count


def test_intervals(runner: asyncio.Runner) -> None:
    """One for nodes that are up, another for those that are down."""

    async def main() -> None:
        async with Server() as up, Server(slam) as down, Client.running() as client:
            active = {
                "timeout": 10_000,
                "healthy": {"interval": 1000, "successes": 1},
                "unhealthy": {"interval": 200, "tcp_failures": 1},
            }
            upstream = client.upstream([up.port, down.port], checks=checks(active))
            await settle()
            await pass_time(1000)
            await until(
                lambda: statuses(upstream) == ["healthy", "unhealthy"] and up.requests and not up.open
            )
            for probed in (2, 3, 4):
                await settle(50)
                await pass_time(230)
                await until(partial(has_peers, down, probed))
            await settle(50)
            assert len(up.peers) == 1
            await pass_time(450)
            await until(lambda: len(up.peers) == 2)
            upstream.close()

    runner.run(main())


def down(upstreams: Sequence[UpstreamClient]) -> int:
    """How many nodes a probe has failed for."""
    return sum(node.status != "healthy" for upstream in upstreams for node in nodes(upstream))


def test_first_probes_are_spread(runner: asyncio.Runner) -> None:
    """Gateways that start together, and upstreams that are loaded together, do not probe together."""

    async def main() -> None:
        async with Client.running() as client:
            active = {"type": "tcp", "healthy": {"interval": 100}, "unhealthy": {"interval": 100}}
            ports = [closed_port() for _ in range(2)]
            upstreams = [client.upstream(ports, checks={"active": active}) for _ in range(60)]
            await settle()
            await pass_time(50)
            await until(lambda: down(upstreams) > 15)
            await settle(100)
            assert down(upstreams) < 105  # of 120: either bound is missed once in 10**17 runs
            for upstream in upstreams:
                upstream.close()

    runner.run(main())


def test_concurrency(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(say_nothing) as server, Client.running() as client:
            addresses = {f"127.0.0.{number}:{server.port}": 1 for number in range(1, 2)}
            addresses |= {f"localhost:{server.port}": 1}
            upstream = client.upstream(addresses, checks=checks({"concurrency": 1, "timeout": 3}))
            await until(lambda: len(nodes(upstream)) == 2)
            await settle()
            await pass_time(1)
            await until(lambda: server.open == 1)
            await settle(100)
            assert server.most_open == 1
            await pass_time(3)
            await until(lambda: len(server.peers) == 2, "the other one's turn")
            upstream.close()

    runner.run(main())


def test_single_node_is_not_probed(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(slam) as server, Client.running() as client:
            upstream = client.upstream([server.port], checks=checks())
            for _ in range(5):
                await pass_time(2)
                await settle(50)
            assert server.peers == []
            assert nodes(upstream) == ()
            upstream.close()

    runner.run(main())


# --- what is left


def test_close_ends_probes_that_run(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(say_nothing) as server, Client.running() as client:
            upstream = client.upstream([server.port, closed_port()], checks=checks({"timeout": 60}))
            await until(lambda: server.open == 1)
            upstream.close()
            await until(lambda: server.open == 0)

    each_loop.run(main())


def test_closing_the_pools_ends_probes_of_upstreams_that_nobody_closed(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(say_nothing) as server:
            async with Client.running() as client:
                client.upstream([server.port, closed_port()], checks=checks({"timeout": 60}))
                await until(lambda: server.open == 1)
            await until(lambda: server.open == 0)

    each_loop.run(main())


def test_changed_upstream_keeps_what_is_known(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(slam) as down, Server() as up, Server() as fresh, Client.running() as client:
            old = client.upstream([down.port, up.port], checks=checks())
            await turn(old, "unhealthy", "healthy")
            probed = len(down.peers)
            new = client.upstream([fresh.port, down.port], old, checks=checks({"http_path": "/new"}))
            old.close()
            assert statuses(new) == ["healthy", "unhealthy"]
            assert len(down.peers) == probed
            await pass_time(1.2)
            await until(lambda: fresh.requests and len(down.peers) > probed, "it is probed anew")
            assert {got.line for got in fresh.requests} == {b"GET /new HTTP/1.1"}
            down.script = answer_all
            await turn(new, "healthy", "healthy")
            new.close()

    runner.run(main())


def test_change_while_probes_are_about_to_begin(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as one, Server() as other, Client.running() as client:
            old = client.upstream([one.port, other.port], checks=checks())
            standings = [target.standing for target in old._choice._targets.current]
            for standing in standings:
                standing.due = 0.0
            await asyncio.sleep(0)
            assert all(standing.checking for standing in standings)
            new = client.upstream([one.port, other.port], old, checks=checks())
            old.close()
            await settle()
            assert one.requests == []
            await pass_time(1.2)
            await until(lambda: one.requests and other.requests, "they are still probed")
            new.close()

    runner.run(main())


def test_shorter_interval_holds_at_once(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as one, Server() as other, Client.running() as client:
            seldom = {"healthy": {"interval": 10_000}, "unhealthy": {"interval": 10_000}}
            old = client.upstream([one.port, other.port], checks=checks(seldom))
            await settle()
            for target in old._choice._targets.current:
                target.standing.due = asyncio.get_running_loop().time() + 9000
            new = client.upstream([one.port, other.port], old, checks=checks())
            old.close()
            await settle()
            await pass_time(1.2)
            await until(lambda: one.requests and other.requests)
            new.close()

    runner.run(main())


def test_requests_under_way_through_the_old_client_count_for_the_new(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(say_nothing) as stuck, Server() as good, Client.running() as client:
            passive = {"unhealthy": {"tcp_failures": 1}}
            active = {"healthy": {"interval": 10**12}, "unhealthy": {"interval": 10**12}}  # none is to come
            properties: dict[str, Any] = {"checks": {"active": active, "passive": passive}, "retries": 0}
            old = client.upstream([stuck.port, good.port], **properties)
            sending = asyncio.create_task(old.send(request("POST"), BLOCK))
            await until(lambda: stuck.peers)
            new = client.upstream([stuck.port, good.port], old, **properties)
            old.close()
            stuck.peers[0].reset()
            await asyncio.wait([sending])
            assert sending.exception() is not None
            assert statuses(new) == ["unhealthy", "healthy"]
            for _ in range(4):
                assert (await new.send(request("POST"), BLOCK)).status == 200
            assert len(stuck.peers) == 1
            new.close()

    runner.run(main())


def test_checks_that_are_gone_ask_all_nodes_again(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(Switched(b"500 No")) as one, Server() as other, Client.running() as client:
            old = client.upstream([one.port, other.port], checks=checks())
            await turn(old, "unhealthy", "healthy")
            new = client.upstream([one.port, other.port], old)
            old.close()
            assert new.health("upstreams", "1") is None
            answers = {(await new.send(request(), BLOCK)).status for _ in range(4)}
            assert answers == {200, 500}
            new.close()

    runner.run(main())
