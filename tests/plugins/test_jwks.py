"""`jwt-auth`: keys that are fetched from elsewhere."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from batchway.errors import UpstreamRefused
from batchway.gateway import Gateway
from batchway.plugins import jwks
from batchway.plugins.jwks import RemoteKeys
from batchway.plugins.jwt_keys import take_apart
from tests.loops import settle
from tests.plugins.gateways import new_batch, put, running
from tests.plugins.guards import bearer, consumer, guarded, jwk, private_key, token, whose
from tests.upstream.servers import Peer, Server

FAILED = (401, "failed to verify jwt")


class Issuer:
    """Who makes tokens, and a server that tells the keys to check them with."""

    def __init__(self) -> None:
        self.kids = ["k0"]
        self.name: Callable[[str], str | None] = lambda kid: kid
        """What a key is called in the set."""
        self.answer: tuple[bytes, bytes] | None = None
        """Another answer than the keys: status and body."""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.request()
            await self.may_answer.wait()
            status, body = self.answer or (b"200 OK", json.dumps({"keys": self._keys()}).encode())
            await peer.answer(body, status=status)

    def _keys(self) -> list[dict[str, Any]]:
        described = ((jwk(self.key(kid)), self.name(kid)) for kid in self.kids)
        return [key if name is None else key | {"kid": name} for key, name in described]

    @staticmethod
    def key(kid: str) -> Any:
        return private_key("ES256", int(kid[1:]))

    def token(self, kid: str = "k0", **claims: Any) -> str:
        return token(self.key(kid), {"key": "user-key"} | claims, "ES256", kid=kid)


class Time:
    """What the sets of keys take for the time."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def gateway_of(issuer: Issuer) -> AsyncIterator[tuple[Gateway, Server, Time]]:
    """A gateway with a consumer whose keys are the issuer's."""
    clock = Time()
    async with Server(issuer) as server:
        uri = f"http://127.0.0.1:{server.port}/keys?of=mine"
        jack = consumer("jack", jwt_auth={"key": "user-key", "algorithm": "ES256", "jwks_uri": uri})
        routes = {"1": guarded(jwt_auth={}), "2": {"uri": "/open", **_without_auth()}}
        async with running(routes=routes, consumers={"jack": jack}) as gateway:
            jwks.remote_keys(gateway, uri)._clock = clock
            yield gateway, server, clock


def _without_auth() -> dict[str, Any]:
    return {"plugins": guarded()["plugins"]}


async def asked(gateway: Gateway, text: str) -> tuple[int, str]:
    return await whose(gateway, headers=bearer(text))


def test_keys_are_fetched_once_and_kept() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, clock):
            assert server.requests == [], "not before they are asked for"
            for _ in range(3):
                assert await asked(gateway, issuer.token()) == (200, "jack")
            clock.now_s += 299
            assert await asked(gateway, issuer.token()) == (200, "jack")
            assert [request.line for request in server.requests] == [b"GET /keys?of=mine HTTP/1.1"]
            assert server.requests[0].host == f"127.0.0.1:{server.port}".encode()

    asyncio.run(main())


def test_wrong_signature_leads_to_a_fetch_at_most_every_30_s() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, clock):
            wrong = token(private_key("ES256", 1), algorithm="ES256", kid="k0")
            for seconds, fetched in ((0, 1), (29, 1), (1, 2), (29, 2)):
                clock.now_s += seconds
                assert await asked(gateway, wrong) == FAILED
                assert await asked(gateway, issuer.token()) == (200, "jack")
                assert len(server.requests) == fetched

    asyncio.run(main())


@pytest.mark.parametrize("name", ["same", None])
def test_key_that_is_replaced_under_its_name_or_has_none(name: str | None) -> None:
    async def main() -> None:
        issuer = Issuer()
        issuer.name = lambda _: name
        async with gateway_of(issuer) as (gateway, server, clock):
            old, new = (token(issuer.key(one), algorithm="ES256", kid="same") for one in ("k0", "k1"))
            assert await asked(gateway, old) == (200, "jack")
            issuer.kids = ["k1"]
            clock.now_s += 30
            assert await asked(gateway, new) == (200, "jack")
            assert await asked(gateway, old) == FAILED, "that key is withdrawn"
            assert len(server.requests) == 2

    asyncio.run(main())


def test_old_keys_are_used_while_others_are_fetched() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, clock):
            assert await asked(gateway, issuer.token()) == (200, "jack")
            clock.now_s += 301
            issuer.may_answer.clear()
            issuer.kids = ["k1"]
            for _ in range(3):
                assert await asked(gateway, issuer.token()) == (200, "jack"), "nobody waits"
            issuer.may_answer.set()
            assert await asked(gateway, issuer.token("k1")) == (200, "jack")
            assert len(server.requests) == 2, "one fetch for all"
            assert await asked(gateway, issuer.token("k0")) == FAILED, "that key is withdrawn"

    asyncio.run(main())


def test_unknown_kid_leads_to_a_fetch_at_most_every_30_s() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, clock):
            assert await asked(gateway, issuer.token()) == (200, "jack")
            issuer.kids = ["k0", "k1"]
            assert await asked(gateway, issuer.token("k1")) == FAILED
            clock.now_s += 29
            assert await asked(gateway, issuer.token("k1")) == FAILED
            assert len(server.requests) == 1
            clock.now_s += 1
            assert await asked(gateway, issuer.token("k1")) == (200, "jack")
            assert await asked(gateway, issuer.token("k2")) == FAILED
            assert len(server.requests) == 2

    asyncio.run(main())


def test_token_that_claims_another_algorithm_leads_to_no_fetch() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, _):
            assert await asked(gateway, token("secret")) == FAILED
            assert server.requests == []

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [
        (b"500 Broken", b"{}"),
        (b"302 Found\r\nLocation: /other", b""),
        (b"204 No Content", b""),
        (b"200 OK", b"<html>"),
        (b"200 OK", b"[]"),
        (b"200 OK", b'{"keys": 5}'),
        (b"200 OK", b"[" * 10_000),
        (b"200 OK", b'{"keys": []}' + b" " * 65536),
    ],
)
def test_keys_stay_where_others_cannot_be_fetched(answer: tuple[bytes, bytes]) -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, clock):
            assert await asked(gateway, issuer.token()) == (200, "jack")
            issuer.answer = answer
            clock.now_s += 400
            assert await asked(gateway, issuer.token("k1")) == FAILED
            assert len(server.requests) == 2
            for _ in range(3):
                assert await asked(gateway, issuer.token()) == (200, "jack")
                assert await asked(gateway, issuer.token("k1")) == FAILED
            assert len(server.requests) == 2, "not again at once"
            issuer.answer = None
            issuer.kids = ["k1"]
            clock.now_s += 5
            assert await asked(gateway, issuer.token("k1")) == (200, "jack")

    asyncio.run(main())


def test_issuer_that_is_not_there() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, clock):
            issuer.answer = (b"503 Later", b"")
            assert await asked(gateway, issuer.token()) == FAILED
            issuer.answer = None
            assert await asked(gateway, issuer.token()) == FAILED
            assert len(server.requests) == 1
            clock.now_s += 5
            assert await asked(gateway, issuer.token()) == (200, "jack")

    asyncio.run(main())


def test_one_fetch_for_all_that_wait_and_none_for_others() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, _):
            issuer.may_answer.clear()
            batch = new_batch()
            waiting = [
                asyncio.create_task(whose(gateway, headers=bearer(issuer.token(n=n)), batch=batch))
                for n in range(20)
            ]
            given_up = asyncio.create_task(asked(gateway, issuer.token()))
            await settle()
            given_up.cancel()
            assert (await whose(gateway, path="/open"))[0] == 200, "others do not wait"
            assert not any(task.done() for task in waiting)
            issuer.may_answer.set()
            assert await asyncio.gather(*waiting) == [(200, "jack")] * 20
            assert given_up.cancelled()
            assert len(server.requests) == 1

    asyncio.run(main())


def test_consumers_of_one_issuer_share_its_keys() -> None:
    async def main() -> None:
        issuer = Issuer()
        async with gateway_of(issuer) as (gateway, server, _):
            uri = f"http://127.0.0.1:{server.port}/keys?of=mine"
            jill = {"key": "jill", "algorithm": "ES256", "jwks_uri": uri}
            put(gateway, "/consumers/jill", consumer("jill", jwt_auth=jill))
            assert await asked(gateway, issuer.token()) == (200, "jack")
            assert await asked(gateway, issuer.token(key="jill")) == (200, "jill")
            put(gateway, "/consumers/jill", consumer("jill", jwt_auth=jill))
            assert await asked(gateway, issuer.token(key="jill")) == (200, "jill")
            assert len(server.requests) == 1

    asyncio.run(main())


def test_gateways_share_nothing() -> None:
    async def main() -> None:
        async with running() as one, running() as other:
            assert jwks.remote_keys(one, "http://a/") is jwks.remote_keys(one, "http://a/")
            assert jwks.remote_keys(one, "http://a/") is not jwks.remote_keys(other, "http://a/")

    asyncio.run(main())


def test_sets_of_a_gateway_are_bounded() -> None:
    async def main() -> None:
        async with running() as gateway:
            first = jwks.remote_keys(gateway, "http://a/0")
            kept = jwks.remote_keys(gateway, "http://a/1")
            for number in range(jwks.MAX_SETS):
                jwks.remote_keys(gateway, f"http://b/{number}")
                jwks.remote_keys(gateway, "http://a/1")
            assert jwks.remote_keys(gateway, "http://a/1") is kept
            assert jwks.remote_keys(gateway, "http://a/0") is not first

    asyncio.run(main())


def test_fetch_that_fails_by_itself_is_no_fault_of_the_request() -> None:
    async def main() -> None:
        async def fetch(_uri: str) -> bytes:
            raise UpstreamRefused("no connection")

        keys = RemoteKeys("http://a/", fetch)
        parted = take_apart(token("s", kid="k0"))
        assert parted is not None
        assert await keys.find("ES256", parted.kid) == []

    asyncio.run(main())
