"""What goes to the endpoint, what to the app, and under which path."""

import asyncio
from typing import Any

import pytest

from batchway.asgi import BatchMiddleware
from batchway.errors import ConfigError
from batchway.wire import Message, Receive, Scope, Send

from .client import Client, by_path, echo, http_scope, reply, run


def test_replies_stand_in_their_items_slots() -> None:
    async def main() -> list[Any]:
        gate = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await gate.wait()
            await reply(send, b"slow")

        async def fast(scope: Scope, receive: Receive, send: Send) -> None:
            await reply(send, b"fast", 201)
            gate.set()

        return await Client(BatchMiddleware(by_path(slow=slow, fast=fast))).batch(
            ["/slow", "/fast", "/none"]
        )

    headers = {"content-type": "text/plain"}
    assert run(main()) == [
        {"status": 200, "reason": "OK", "headers": headers, "body": "slow"},
        {"status": 201, "reason": "Created", "headers": headers, "body": "fast"},
        {"status": 404, "reason": "Not Found", "headers": headers, "body": "nothing here"},
    ]


@pytest.mark.parametrize("path", ["/", "/batch/", "/batch/1", "/Batch", "/other"])
def test_other_paths_go_to_the_app(path: str) -> None:
    async def main() -> None:
        answer = await Client(BatchMiddleware(echo, path="/batch")).request("POST", path, b"x")
        assert answer.json()["path"] == path

    run(main())


@pytest.mark.parametrize("kind", ["http", "websocket", "lifespan"])
def test_what_is_no_batch_goes_through_untouched(kind: str) -> None:
    async def app(*given: object) -> None:
        seen.extend(given)

    async def receive() -> Message:
        return {"type": "anything"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    seen: list[Any] = []
    path = "/batch" if kind == "websocket" else "/other"
    scope = http_scope("GET", path, type=kind)
    before = dict(scope)
    run(BatchMiddleware(app)(scope, receive, send))
    assert seen[0] is scope
    assert scope == before
    assert seen[2] is send
    if kind != "lifespan":  # there the shutdown is listened for
        assert seen[1] is receive


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"])
def test_other_methods_are_refused(method: str) -> None:
    async def main() -> None:
        answer = await Client(BatchMiddleware(echo)).request(method, "/batch")
        assert answer.status == 405
        assert answer.header("allow") == "POST"
        assert answer.json() == {"error_msg": f"method {method} is not allowed"}

    run(main())


@pytest.mark.parametrize("path", ["", "batch", "http://x/batch"])
def test_a_path_must_begin_with_a_slash(path: str) -> None:
    with pytest.raises(ConfigError, match="path"):
        BatchMiddleware(echo, path=path)


# --- root_path


def test_the_path_of_the_batch_is_relative_to_root_path() -> None:
    async def main() -> None:
        client = Client(BatchMiddleware(echo), root_path="/api")
        [one] = await client.batch(["/api/users"], path="/api/batch")
        assert '"path":"/api/users"' in one["body"]
        answer = await client.request("POST", "/api/other", b"x")
        assert answer.json()["path"] == "/api/other"

    run(main())


def test_an_item_beyond_root_path_is_not_found() -> None:
    async def main() -> None:
        client = Client(BatchMiddleware(echo), root_path="/api")
        items = ["/users", "/api/users", "/apiary", "/api"]
        replies = await client.batch(items, path="/api/batch")
        assert [one["status"] for one in replies] == [404, 200, 404, 200]
        assert 'not under \\"/api\\"' in replies[0]["body"]

    run(main())


def test_a_server_that_leaves_root_path_out_of_the_path_is_understood() -> None:
    async def main() -> None:
        client = Client(BatchMiddleware(echo), root_path="/api")
        replies = await client.batch(["/users", "/api/users"], path="/batch")
        assert [one["status"] for one in replies] == [200, 200]

    run(main())


@pytest.mark.parametrize("root_path", ["/", "/api/"])
def test_a_slash_at_the_end_of_root_path_changes_nothing(root_path: str) -> None:
    async def main() -> None:
        prefix = root_path.rstrip("/")
        client = Client(BatchMiddleware(echo), root_path=root_path)
        [one] = await client.batch([f"{prefix}/users"], path=f"{prefix}/batch")
        assert one["status"] == 200

    run(main())


# --- a batch in a batch


@pytest.mark.parametrize("path", ["/batch", "/batch?a=1", "/%62atch"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_batch_in_a_batch_is_refused_for_that_item(path: str, method: str) -> None:
    async def main() -> None:
        replies = await Client(BatchMiddleware(echo)).batch([{"path": path, "method": method}, "/users"])
        assert [one["status"] for one in replies] == [400, 200]
        assert replies[0]["body"] == '{"error_msg":"a batch inside a batch is refused"}'

    run(main())


def test_a_batch_in_a_batch_is_refused_through_other_middleware() -> None:
    async def main() -> None:
        inner = BatchMiddleware(echo, path="/inner")

        async def between(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope}, receive, send)

        client = Client(BatchMiddleware(between, path="/outer"))
        nested = {"path": "/inner", "method": "POST", "body": '{"pipeline":[{"path":"/a"}]}'}
        replies = await client.batch([nested, "/a"], path="/outer")
        assert [one["status"] for one in replies] == [400, 200]
        assert replies[0]["body"] == '{"error_msg":"a batch inside a batch is refused"}'
        assert (await client.batch(["/a"], path="/inner"))[0]["status"] == 200

    run(main())
