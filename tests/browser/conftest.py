"""A real Chromium for the tests, without a network: the system's browser, headless, one page a test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.site import Site, open_site

WAIT_MS = 60_000
"""How long a page may take to show what it is waited for: no machine is so slow."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium; a test fails plainly where there is none.

    Ended with this folder: while it runs, its event loop keeps other tests of the process from running their own.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("There is no Chromium on this machine. On Debian: apt-get install chromium", pytrace=False)
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, timeout=WAIT_MS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An office of its own for each module."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A visitor without cookies."""
    opened = browser.new_context(base_url=site.url, locale="ru-RU", viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(WAIT_MS)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A page that fails the test on a script error or a request to another host."""
    return watched(context)


def watched(context: BrowserContext) -> Page:
    """Open a page of a context, watched."""
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)

    def fail(text: str) -> None:
        raise AssertionError(text)

    opened.on("pageerror", lambda error: fail(f"script error: {error}"))
    opened.on("console", lambda message: fail(message.text) if "Content Security Policy" in message.text else None)
    opened.on("request", lambda request: None if "127.0.0.1" in request.url else fail(f"asked {request.url}"))
    return opened


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker's script."""
    return (Path(__file__).parents[2] / "uec/web/assets/node_modules/axe-core/axe.min.js").read_text()
