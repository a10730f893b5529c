"""Which plugins a request goes through, in which order, and what each phase may do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from batchway.errors import BadRequest, InvalidResource
from batchway.gateway import Gateway, apply
from batchway.gateway.pipeline import filtered
from batchway.model import Response
from batchway.plugins import PLUGINS, Context, Credential, Plugin
from tests.loops import until
from tests.plugins.gateways import document, get, header, put, request, running, to
from tests.upstream.servers import Server


class Tag(Struct, frozen=True, forbid_unknown_fields=True):
    """What the plugins below do, beside noting that they were asked."""

    tag: str = ""
    answer: int | None = None
    refuse: bool = False


noted: list[str] = []


class Noting(Plugin):
    """Notes each phase with its tag."""

    Config: ClassVar[type[Struct]] = Tag

    def note(self, phase: str) -> None:
        noted.append(f"{phase} {self.name[5:]}{self.config.tag and '=' + self.config.tag}")

    async def rewrite(self, context: Context) -> Response | None:
        self.note("rewrite")
        return None

    async def access(self, context: Context) -> Response | None:
        self.note("access")
        if self.config.refuse:
            message = "refused"
            raise BadRequest(message)
        if self.config.answer is not None:
            return Response(self.config.answer, "", [], self.config.tag.encode())
        return None

    async def filter_response(self, context: Context, response: Response) -> Response:
        self.note("filter")
        response.headers.append((b"x-filtered", self.name.encode()))
        return response

    def log(self, context: Context) -> None:
        self.note(f"log {context.status} {context.body_bytes}")

    def close(self) -> None:
        self.note("close")


class High(Noting):
    name = "test-high"
    priority = 200


class Low(Noting):
    name = "test-low"
    priority = 100


class Held(Struct, frozen=True, forbid_unknown_fields=True):
    """What a consumer says."""

    key: str


class Auth(Plugin):
    """Takes the header `who` for a key."""

    name = "test-auth"
    priority = 150
    is_auth = True
    ConsumerConfig: ClassVar[type[Struct] | None] = Held
    identity = "key"

    async def rewrite(self, context: Context) -> Response | None:
        noted.append("rewrite auth")
        found = self.gateway.credential(self.name, context.var("http_who") or "")
        if found is None:
            return Response(401, "", [], b"")
        context.authenticate(found)
        return None


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    noted.clear()
    for plugin in (High, Low, Auth):
        monkeypatch.setitem(PLUGINS, plugin.name, plugin)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]  # each of them is a coroutine function


def phases(*names: str) -> list[str]:
    """What was noted of these phases, in its order."""
    return [note for note in noted if note.split()[0] in names]


ANSWER = {"test-low": {"answer": 200, "tag": "end"}}


def test_phases_and_priorities() -> None:
    async def test() -> None:
        plugins = {"test-low": {"answer": 203, "tag": "body"}, "test-high": {}}
        async with running(routes={"1": {"uri": "/", "plugins": plugins}}) as gateway:
            response = await get(gateway)
            assert response.status == 203
        assert noted == [
            "rewrite high",
            "rewrite low=body",
            "access high",
            "access low=body",
            "filter high",
            "filter low=body",
            "log 203 4 high",
            "log 203 4 low=body",
            "close low=body",
            "close high",
        ]

    run(test)


def test_refusal_is_filtered_and_logged_too() -> None:
    async def test() -> None:
        plugins = {"test-low": {}, "test-high": {"refuse": True}}
        async with running(routes={"1": {"uri": "/", "plugins": plugins}}) as gateway:
            response = await get(gateway)
        assert (response.status, document(response)) == (400, {"error_msg": "refused"})
        assert phases("access", "filter") == ["access high", "filter high", "filter low"]
        assert [note[:7] for note in phases("log")] == ["log 400", "log 400"]

    run(test)


def test_streamed_answer_is_logged_when_it_is_sent() -> None:
    async def test() -> None:
        async with (
            Server() as server,
            running(
                routes={"1": {"uri": "/", "plugins": {"test-high": {}}, "upstream": to(server)}}
            ) as gateway,
        ):
            assert (await get(gateway)).body == b"ok"
            assert phases("log") == ["log 200 2 high"]

    run(test)


def test_route_goes_before_plugin_config_before_service() -> None:
    async def test() -> None:
        async with running(
            services={"s": {"plugins": {"test-high": {"tag": "service"}, "test-low": {"tag": "service"}}}},
            plugin_configs={
                "p": {"plugins": {"test-low": {"tag": "config"}, "test-high": {"tag": "config"}}}
            },
            routes={
                "1": {
                    "uri": "/1",
                    "service_id": "s",
                    "plugin_config_id": "p",
                    "plugins": {"test-low": {"tag": "route", "answer": 200}},
                },
                "2": {
                    "uri": "/2",
                    "service_id": "s",
                    "plugins": {"test-low": {"tag": "route", "answer": 200}},
                },
            },
        ) as gateway:
            await get(gateway, "/1")
            assert phases("access") == ["access high=config", "access low=route"]
            noted.clear()
            await get(gateway, "/2")
            assert phases("access") == ["access high=service", "access low=route"]

    run(test)


def test_plugin_that_the_route_disables_is_not_the_service_s() -> None:
    async def test() -> None:
        async with running(
            services={"s": {"plugins": {"test-high": {}}}},
            routes={
                "1": {
                    "uri": "/",
                    "service_id": "s",
                    "plugins": {"test-high": {"_meta": {"disable": True}}, **ANSWER},
                }
            },
        ) as gateway:
            assert (await get(gateway)).status == 200
            assert phases("access") == ["access low=end"]

    run(test)


CONSUMERS = {
    "jack": {"username": "jack", "plugins": {"test-auth": {"key": "j"}}},
    "anna": {
        "username": "anna",
        "group_id": "g",
        "plugins": {"test-auth": {"key": "a"}, "test-low": {"tag": "anna", "answer": 202}},
    },
    "hugo": {"username": "hugo", "group_id": "g", "plugins": {"test-auth": {"key": "h"}}},
}
GROUPS = {"g": {"plugins": {"test-high": {"tag": "group"}, "test-low": {"tag": "group", "answer": 201}}}}


@asynccontextmanager
async def with_consumers() -> AsyncIterator[Gateway]:
    route = {"uri": "/*", "plugins": {"test-auth": {}, "test-low": {"tag": "route", "answer": 200}}}
    async with running(consumer_groups=GROUPS, consumers=CONSUMERS, routes={"1": route}) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("key", "status", "rewrites", "accesses"),
    [
        ("j", 200, ["auth", "low=route"], ["low=route"]),
        ("a", 202, ["auth", "low=route", "high=group"], ["high=group", "low=anna"]),
        ("h", 201, ["auth", "low=route", "high=group"], ["high=group", "low=group"]),
    ],
)
def test_consumer_goes_before_its_group_before_the_route(
    key: str, status: int, rewrites: list[str], accesses: list[str]
) -> None:
    """`rewrite` runs once for each plugin: before the consumer is known, or for what only it brings."""

    async def test() -> None:
        async with with_consumers() as gateway:
            for _ in range(2):
                noted.clear()
                assert (await get(gateway, headers=[("who", key)])).status == status
                assert phases("rewrite") == [f"rewrite {one}" for one in rewrites]
                assert phases("access") == [f"access {one}" for one in accesses]

    run(test)


def test_nobody_is_served_without_what_is_named_by_id() -> None:
    async def test() -> None:
        async with with_consumers() as gateway:
            apply.remove(gateway, "/consumer_groups/g")
            assert (await get(gateway, headers=[("who", "a")])).status == 503
            assert (await get(gateway, headers=[("who", "j")])).status == 200
            put(gateway, "/routes/2", {"uri": "/2", "service_id": "none", "plugins": ANSWER})
            put(gateway, "/routes/3", {"uri": "/3", "plugin_config_id": "none", "plugins": ANSWER})
            assert (await get(gateway, "/2")).status == 404
            assert (await get(gateway, "/3")).status == 503
            put(gateway, "/services/none", {})
            put(gateway, "/plugin_configs/none", {"plugins": {}})
            assert (await get(gateway, "/2")).status == 200
            assert (await get(gateway, "/3")).status == 200

    run(test)


Change = Callable[[Gateway], Any]


@pytest.mark.parametrize(
    ("change", "key", "status"),
    [
        (
            lambda g: put(g, "/consumers/anna", CONSUMERS["anna"]),
            "a",
            202,
        ),
        (lambda g: apply.remove(g, "/consumers/anna"), "a", 401),
        (lambda g: put(g, "/consumers/anna", _other_key("anna")), "a", 401),
        (lambda g: put(g, "/consumers/jack", _other_key("jack")), "new", 200),
        (lambda g: put(g, "/consumers/jack/credentials/c", _held("cred")), "cred", 200),
        (lambda g: put(g, "/consumer_groups/g", {"plugins": {}}), "h", 200),
        (lambda g: put(g, "/global_rules/1", {"plugins": {"test-high": {"answer": 418}}}), "j", 418),
    ],
    ids=["the same", "removed", "old key", "new key", "credential", "group", "global rule"],
)
def test_next_request_sees_the_change(change: Change, key: str, status: int) -> None:
    async def test() -> None:
        async with with_consumers() as gateway:
            for who in ("j", "a", "h"):
                await get(gateway, headers=[("who", who)])
            change(gateway)
            assert (await get(gateway, headers=[("who", key)])).status == status

    run(test)


def _held(key: str) -> dict[str, Any]:
    return {"plugins": {"test-auth": {"key": key}}}


def _other_key(username: str) -> dict[str, Any]:
    return {"username": username, **_held("new")}


def test_two_consumers_with_one_key() -> None:
    """The first of them counts, for as long as it is there."""

    async def test() -> None:
        async with with_consumers() as gateway:
            put(gateway, "/consumers/twin", {"username": "twin", **_held("j")})
            found = gateway.credential("test-auth", "j")
            assert isinstance(found, Credential)
            assert found.consumer.username == "jack"
            put(gateway, "/consumers/jack", {**CONSUMERS["jack"], "desc": "changed"})
            put(gateway, "/consumers/jack/credentials/c", _held("j"))
            apply.remove(gateway, "/consumers/jack/credentials/c")
            found = gateway.credential("test-auth", "j")
            assert found is not None
            assert found.consumer.username == "jack"
            assert found.consumer is gateway.consumer("jack")
            apply.remove(gateway, "/consumers/jack")
            found = gateway.credential("test-auth", "j")
            assert found is not None
            assert found.consumer.username == "twin"

    run(test)


# --- global rules


def test_global_rules_go_first_in_each_phase() -> None:
    async def test() -> None:
        async with running(
            global_rules={"1": {"plugins": {"test-low": {"tag": "rule"}}}},
            routes={"1": {"uri": "/", "plugins": {"test-high": {"tag": "route", "answer": 200}}}},
        ) as gateway:
            await get(gateway)
            assert noted[:6] == [
                "rewrite low=rule",
                "access low=rule",
                "rewrite high=route",
                "access high=route",
                "filter low=rule",
                "filter high=route",
            ]
            noted.clear()
            assert (await get(gateway, "/nowhere")).status == 404
            assert noted == ["rewrite low=rule", "access low=rule", "filter low=rule", noted[-1]]
            apply.remove(gateway, "/global_rules/1")
            noted.clear()
            await get(gateway)
            assert phases("access") == ["access high=route"]

    run(test)


# --- _meta


def test_meta_priority() -> None:
    async def test() -> None:
        plugins = {"test-high": {"_meta": {"priority": 1}, "answer": 200}, "test-low": {}}
        async with running(routes={"1": {"uri": "/", "plugins": plugins}}) as gateway:
            await get(gateway)
            assert phases("access") == ["access low", "access high"]

    run(test)


def test_meta_filter() -> None:
    async def test() -> None:
        asked = {"_meta": {"filter": [["arg_a", "==", "1"]]}, "tag": "asked"}
        async with running(
            routes={"1": {"uri": "/", "plugins": {"test-high": asked, **ANSWER}}}
        ) as gateway:
            await get(gateway, query="a=2")
            assert not any("asked" in note for note in noted)
            await get(gateway, query="a=1")
            assert sum("asked" in note for note in noted) == 4

    run(test)


@pytest.mark.parametrize(
    ("words", "content_type", "body"),
    [("go away", "text/plain; charset=utf-8", b"go away"), ({"a": 1}, "application/json", b'{"a":1}')],
)
def test_meta_error_response(words: object, content_type: str, body: bytes) -> None:
    async def test() -> None:
        plugins = {"test-low": {"answer": 403, "_meta": {"error_response": words}}}
        async with running(routes={"1": {"uri": "/", "plugins": plugins}}) as gateway:
            response = await get(gateway)
            assert (response.status, response.body) == (403, body)
            assert header(response, "content-type") == content_type

    run(test)


@pytest.mark.parametrize("meta", [{"filter": [["a", "?", "b"]]}, {"other": 1}, {"priority": "1"}, []])
def test_wrong_meta_is_refused(meta: object) -> None:
    async def test() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="_meta"):
                put(gateway, "/routes/1", {"uri": "/", "plugins": {"test-low": {"_meta": meta}}})

    run(test)


# --- what becomes of what is replaced


def test_plugins_are_closed_when_they_are_replaced() -> None:
    async def test() -> None:
        async with running() as gateway:
            for kind, more in (("routes", {"uri": "/"}), ("services", {}), ("global_rules", {})):
                key = f"/{kind}/1"
                put(gateway, key, {**more, "plugins": {"test-low": {"tag": "old"}}})
                put(gateway, key, {**more, "plugins": {"test-low": {"tag": "new"}}})
                assert noted == ["close low=old"]
                apply.remove(gateway, key)
                assert noted == ["close low=old", "close low=new"]
                noted.clear()

    run(test)


def test_half_built_plugins_are_closed() -> None:
    async def test() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource):
                put(gateway, "/routes/1", {"uri": "/", "plugins": {"test-low": {}, "none": {}}})
            assert noted == ["close low"]

    run(test)


# --- plugins that fail


class Failing(Noting):
    """Fails where it filters."""

    name = "test-failing"
    priority = 50

    async def filter_response(self, context: Context, response: Response) -> Response:
        message = "secret detail"
        raise RuntimeError(message)


def test_fault_in_a_filter_is_500_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLUGINS, Failing.name, Failing)

    async def test() -> None:
        async with (
            Server() as server,
            running(
                routes={
                    "1": {
                        "uri": "/",
                        "plugins": {"test-failing": {}, "test-low": {}},
                        "upstream": to(server),
                    }
                }
            ) as gateway,
        ):
            with capture_logs() as logs:
                for _ in range(3):
                    response = await get(gateway)
                    assert (response.status, document(response)) == (500, {"error_msg": "internal error"})
            assert [one["plugin"] for one in logs] == ["test-failing"] * 3
            assert phases("log")[0] == "log 500 30 low"
            assert gateway.pools.open_connections() <= 1, "the bodies that nobody reads are let go"

    run(test)


# --- services


def test_hosts_and_upstream_of_the_service() -> None:
    async def test() -> None:
        async with (
            Server() as first,
            Server() as second,
            running(
                upstreams={"u": to(second)},
                services={"s": {"hosts": ["s.test"], "upstream": to(first)}},
                routes={
                    "1": {"uri": "/1", "service_id": "s"},
                    "2": {"uri": "/2", "service_id": "s", "upstream_id": "u"},
                },
            ) as gateway,
        ):
            assert (await get(gateway, "/1")).status == 404
            assert (await get(gateway, "/1", host="s.test")).status == 200
            assert (await get(gateway, "/2", host="s.test")).status == 200
            assert (len(first.requests), len(second.requests)) == (1, 1)
            put(gateway, "/services/s", {"hosts": ["t.test"], "upstream_id": "u"})
            assert (await get(gateway, "/1", host="s.test")).status == 404
            assert (await get(gateway, "/1", host="t.test")).status == 200
            assert (len(first.requests), len(second.requests)) == (1, 2)

    run(test)


# --- requests that are cut off, and plugins that fail


class Slow(Plugin):
    """Never comes to an end with an answer."""

    name = "test-slow"
    priority = 90

    async def filter_response(self, context: Context, response: Response) -> Response:
        noted.append("filtering")
        await asyncio.Event().wait()
        return response


class Faulty(Plugin):
    """Fails when it is to take note."""

    name = "test-faulty"
    priority = 300

    def log(self, context: Context) -> None:
        message = "no space left"
        raise OSError(message)


@pytest.fixture(autouse=True)
def more_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for plugin in (Slow, Faulty):
        monkeypatch.setitem(PLUGINS, plugin.name, plugin)


def test_answer_is_the_client_s_also_if_a_plugin_cannot_log_it() -> None:
    async def test() -> None:
        async with running(routes={"1": {"uri": "/", "plugins": {"test-faulty": {}, **ANSWER}}}) as gateway:
            with capture_logs() as logs:
                assert (await get(gateway)).status == 200
            assert [log["event"] for log in logs] == ["request not noted"]
            assert phases("log") == ["log 200 3 low=end"]

    run(test)


def test_request_that_is_cut_off_is_noted() -> None:
    async def test() -> None:
        async with (
            Server() as server,
            running(
                routes={
                    "1": {"uri": "/", "plugins": {"test-slow": {}, "test-high": {}}, "upstream": to(server)}
                }
            ) as gateway,
        ):
            seen: list[int] = []
            gateway.observers = (lambda context: seen.append(context.status),)
            task = asyncio.ensure_future(get(gateway))
            await until(lambda: "filtering" in noted)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert seen == [499]
            assert phases("log") == ["log 499 0 high"]

    run(test)


def test_body_is_closed_if_its_filter_is_cut_off() -> None:
    class Body:
        closed = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b""

        async def aclose(self) -> None:
            self.closed = True

    async def test() -> None:
        async with running(routes={"1": {"uri": "/", "plugins": {"test-slow": {}}}}) as gateway:
            (slow,) = gateway.catalog.ready(gateway.catalog._entries["1"]).pipeline.filters
            body = Body()
            context = Context(request(), "/")
            task = asyncio.ensure_future(filtered((slow,), context, Response(200, "", [], body)))
            await until(lambda: "filtering" in noted)
            task.cancel()
            await asyncio.wait({task})
            assert body.closed

    run(test)


@pytest.mark.parametrize(("kind", "more"), [("routes", {"uri": "/"}), ("services", {})])
def test_plugins_of_what_cannot_be_had_are_closed(kind: str, more: dict[str, str]) -> None:
    async def test() -> None:
        no_pem = "x" * 200
        upstream = {"scheme": "https", "nodes": {}, "tls": {"client_cert": no_pem, "client_key": no_pem}}
        async with running() as gateway:
            with pytest.raises(InvalidResource):
                put(gateway, f"/{kind}/1", {**more, "plugins": {"test-high": {}}, "upstream": upstream})
            assert noted == ["close high"]

    run(test)
