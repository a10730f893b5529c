"""A small Django site: its settings, its views and its URLs in one module."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import django  # type: ignore[import-untyped]  # Django ships no types
from django.conf import settings  # type: ignore[import-untyped]
from django.http import (  # type: ignore[import-untyped]
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path  # type: ignore[import-untyped]
from django.utils.decorators import async_only_middleware  # type: ignore[import-untyped]

user: ContextVar[str] = ContextVar("django_user", default="nobody")
ends: list[str] = []
started = asyncio.Event()
release = threading.Event()


def sync_view(request: Any, number: int) -> Any:
    """Answers from a thread."""
    time.sleep(0.001)
    return JsonResponse({"number": number, "query": request.GET.dict(), "user": user.get()})


async def async_view(request: Any, number: int) -> Any:
    """Answers from the loop."""
    await asyncio.sleep(0)
    return JsonResponse({"number": number, "user": user.get(), "path": request.path})


def form(request: Any) -> Any:
    """Answers with what was posted, and a cookie."""
    response = JsonResponse({"posted": request.POST.dict(), "address": request.META["REMOTE_ADDR"]})
    response.set_cookie("seen", "yes")
    return response


async def slow(request: Any) -> Any:
    """Answers when it is too late."""
    started.set()
    try:
        await asyncio.sleep(10_000)
    except asyncio.CancelledError:
        ends.append("cancelled")
        raise


def stuck(request: Any) -> Any:
    """Holds its thread until it is released."""
    release.wait(30)
    return HttpResponse("late")


async def stream(request: Any) -> Any:
    """Answers bit by bit."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            await asyncio.sleep(0)
            yield b"%d" % number

    return StreamingHttpResponse(pieces())


def fails(request: Any) -> Any:
    """Does not answer."""
    message = "secret"
    raise ValueError(message)


@async_only_middleware  # type: ignore[untyped-decorator]  # Django's
def stamp(get_response: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Django's own kind of middleware, which every item passes."""

    async def middleware(request: Any) -> Any:
        response = await get_response(request)
        response["X-Stamp"] = request.path
        return response

    return middleware


urlpatterns = [
    path("sync/<int:number>", sync_view),
    path("async/<int:number>", async_view),
    path("form", form),
    path("slow", slow),
    path("stuck", stuck),
    path("stream", stream),
    path("fails", fails),
]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["example.org"],
        LOGGING_CONFIG=None,
        MIDDLEWARE=[f"{__name__}.stamp"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="not a secret",
    )
    django.setup()
