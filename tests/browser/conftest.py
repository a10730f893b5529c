"""One browser and one server for all tests of a module."""

import shutil
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from .service import serving

OpenPage = Callable[..., Page]
Scheme = Literal["light", "dark"]

_WIDE: ViewportSize = {"width": 1280, "height": 800}
_TIMEOUT_MS = 20_000
"""What a busy machine may take for anything; a quick one takes next to nothing."""
expect.set_options(timeout=_TIMEOUT_MS)


class Watched:
    """A page, what it complains of, and what it asks for."""

    def __init__(self, browser: Browser) -> None:
        context = browser.new_context(viewport=_WIDE, permissions=["clipboard-read", "clipboard-write"])
        context.set_default_timeout(_TIMEOUT_MS)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url.partition("#")[0]))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the service is."""
    with serving() as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, which scripts/test.sh installs."""
    path = shutil.which("chromium")
    assert path is not None, "chromium is not installed"
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def watched(browser: Browser) -> Watched:
    """The one page of all tests: to make one takes longer than most tests."""
    return Watched(browser)


@pytest.fixture
def open_page(watched: Watched, address: str) -> Iterator[OpenPage]:
    """Opens the page, `where` behind its address, anew.

    Fails the test if the page complains on the console or asks for anything but itself.
    """
    page = watched.page

    def open_it(
        where: str = "", *, path: str = "/rpc/", viewport: ViewportSize = _WIDE, scheme: Scheme = "light"
    ) -> Page:
        page.goto("about:blank")  # from one fragment to another, the page would stay
        watched.asked.clear()
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.goto(f"{address}{path}{where}")
        return page

    yield open_it
    page.evaluate("localStorage.clear()")
    complaints, watched.complaints = watched.complaints, []
    assert complaints == []
    assert watched.asked
    assert set(watched.asked) <= {f"{address}/rpc/", f"{address}/sajya/"}
