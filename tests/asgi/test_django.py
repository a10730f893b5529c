"""A batch in front of Django's ASGI app: views of both kinds, middleware, requests that are aborted."""

import asyncio
import json
import logging
import time
from typing import Any

import pytest
from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]  # Django ships no types

from batchway.asgi import BatchMiddleware
from batchway.wire import App, Receive, Scope, Send

from . import django_site as site
from .client import Client, overdue, run


@pytest.fixture
def app() -> App:
    site.ends.clear()
    site.release.clear()
    site.started = asyncio.Event()
    return BatchMiddleware(get_asgi_application(), path="/batch")


def replies_of(app: App, *items: Any, **batch: Any) -> list[Any]:
    return run(Client(app).batch(items, **batch))


def test_sync_and_async_views_answer(app: App) -> None:
    replies = replies_of(app, "/sync/1?a=b", "/async/2", "/sync/3", "/no")
    assert [one["status"] for one in replies] == [200, 200, 200, 404]
    assert [json.loads(one["body"])["number"] for one in replies[:3]] == [1, 2, 3]
    assert json.loads(replies[0]["body"])["query"] == {"a": "b"}
    assert replies[1]["headers"]["X-Stamp"] == "/async/2"


def test_a_form_is_posted_and_a_cookie_set(app: App) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": "10.0.0.1"}
    [one] = replies_of(app, {"path": "/form", "method": "POST", "headers": headers, "body": "a=1&b=%C3%A9"})
    assert json.loads(one["body"]) == {"posted": {"a": "1", "b": "é"}, "address": "192.0.2.1"}
    assert one["headers"]["Set-Cookie"] == "seen=yes; Path=/"


def test_a_stream_is_collected(app: App) -> None:
    assert [one["body"] for one in replies_of(app, "/stream", "/stream")] == ["012", "012"]


def test_root_path_is_the_script_name(app: App) -> None:
    client = Client(app, root_path="/site")
    inside, beyond = run(client.batch(["/site/async/1", "/async/1"], path="/site/batch"))
    assert json.loads(inside["body"])["path"] == "/site/async/1"
    assert beyond["status"] == 404


def test_context_variables_reach_views_and_stay_apart(app: App) -> None:
    async def outside(scope: Scope, receive: Receive, send: Send) -> None:
        site.user.set("ada")
        await app(scope, receive, send)

    replies = replies_of(outside, "/sync/1", "/async/2")
    assert [json.loads(one["body"])["user"] for one in replies] == ["ada", "ada"]


def test_a_view_that_fails_is_a_500_for_its_item(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "django"):
        bad, good = replies_of(app, "/fails", "/async/1")
    assert (bad["status"], good["status"]) == (500, 200)
    assert "secret" not in bad["body"]


def test_an_async_view_is_cancelled_at_the_deadline(app: App) -> None:
    late = run(overdue(Client(app), ["/slow"], lambda: site.started.is_set()))
    assert late == [{"status": 504, "reason": "upstream timeout"}]
    assert site.ends == ["cancelled"]


def test_a_client_that_leaves_aborts_the_views_and_leaves_nothing_behind(app: App) -> None:
    async def main() -> None:
        client = Client(app)
        work = asyncio.create_task(client.request("POST", "/batch", b'{"pipeline":[{"path":"/slow"}]}'))
        await site.started.wait()
        client.gone.set()
        assert (await work).status == 499
        await asyncio.sleep(0.01)

    run(main())
    assert site.ends == ["cancelled"]


def test_a_sync_view_that_hangs_is_a_504_in_time(app: App) -> None:
    done: list[str] = []
    django = get_asgi_application()

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        await django(scope, receive, send)
        done.append(scope["path"])

    async def main() -> list[Any]:
        client = Client(BatchMiddleware(noted, path="/batch"))
        try:
            return await overdue(client, ["/stuck", "/sync/1"], lambda: done)
        finally:
            site.release.set()

    started = time.monotonic()
    assert [one["status"] for one in run(main())] == [504, 200]
    assert time.monotonic() - started < 20, "it did not wait for the thread"


def test_an_item_may_not_be_a_batch(app: App) -> None:
    nested = {"path": "/batch", "method": "POST", "body": '{"pipeline":[{"path":"/async/1"}]}'}
    assert [one["status"] for one in replies_of(app, nested, "/async/1")] == [400, 200]
