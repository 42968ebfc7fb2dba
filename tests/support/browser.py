"""A page of a bundle, served here and opened in Debian's Chromium by Playwright."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from liteport.errors import BackendError
from liteport.export.web import write_page
from liteport.export.web.server import make_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def needs_browser() -> None:
    """Skips a test, and says why, where there is no browser or no Playwright."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; make tools installs it")
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; pip install playwright")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Gives the address of a page's folder."""
    with make_server(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def page_of(bundle: Path, out: Path, **options: Any) -> Path:
    """Makes a page, or skips where no registry is reached."""
    needs_browser()
    try:
        write_page(bundle, out, **options)
    except BackendError as error:
        pytest.skip(str(error))
    return out


class Tab:
    """A page in the browser, that notes what goes wrong in it and what it asks for."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> Any:
        """Opens a page and waits until all variants are loaded."""
        self.page.goto(address)
        self.page.wait_for_function("performance.getEntriesByName('loaded').length", timeout=60_000)
        return self.page

    def refused(self, address: str) -> str:
        """Opens a page that is to refuse, and returns its words."""
        self.page.goto(address)
        self.page.wait_for_selector("#problem:not([hidden])", timeout=60_000)
        return str(self.page.inner_text("#problem"))

    def answers(self, count: int) -> dict[str, str]:
        """Waits until so many variants have answered, and returns the first class of each."""
        bars = "[...document.querySelectorAll('.card .bars li:first-child .label')]"
        self.page.wait_for_function(f"{bars}.length === {count}", timeout=60_000)
        found: dict[str, str] = self.page.evaluate(
            f"Object.fromEntries({bars}.map((bar) => [bar.closest('.card').dataset.variant, bar.textContent]))"
        )
        return found
