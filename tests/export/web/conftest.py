"""A page of an example bundle, made once, and a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Tab, needs_browser, page_of, served

ROOT = Path(__file__).resolve().parents[3]
FAST = ROOT / "examples" / "fast"


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


@pytest.fixture
def tab(chromium: Any) -> Iterator[Tab]:
    """A fresh tab."""
    made = Tab(chromium)
    yield made
    made.context.close()
