"""A page of an example bundle, made once, and a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, needs_browser, served

from liteport.errors import BackendError
from liteport.export.web import write_page

ROOT = Path(__file__).resolve().parents[3]
FAST = ROOT / "examples" / "fast"


def page_of(bundle: Path, out: Path, **options: Any) -> Path:
    """Makes a page, or skips where npm reaches no registry."""
    needs_browser()
    try:
        write_page(bundle, out, **options)
    except BackendError as error:
        pytest.skip(str(error))
    return out


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `examples/fast`, with one of MNIST's images as an example."""
    digit = ROOT / "examples" / "digits" / "7.png"
    return page_of(FAST, tmp_path_factory.mktemp("web") / "page", examples=[digit])


@pytest.fixture
def page_copy(page_folder: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(page_folder, tmp_path / "page"))


@pytest.fixture(scope="session")
def address(page_folder: Path) -> Iterator[str]:
    """Where the page is."""
    with served(page_folder) as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, headless."""
    needs_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


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


@pytest.fixture
def tab(chromium: Any) -> Iterator[Tab]:
    """A fresh tab."""
    made = Tab(chromium)
    yield made
    made.context.close()
