"""One browser and one server for all tests of a module; a page of its own for each."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from .service import serving

OpenPage = Callable[..., Page]


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
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[OpenPage]:
    """Opens the page, `where` behind its address, in a window as given.

    Fails the test if the page complains on the console or asks for anything but itself.
    """
    complaints: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_it(where: str = "", *, path: str = "/rpc/", **window: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **window})
        contexts.append(context)
        context.set_default_timeout(5000)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url.partition("#")[0]))
        page.goto(f"{address}{path}{where}")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
    assert asked
    assert set(asked) <= {f"{address}/rpc/", f"{address}/sajya/"}
