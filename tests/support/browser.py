"""A page of a bundle, served here and opened in Debian's Chromium by Playwright."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from liteport.export.web.server import make_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def needs_browser() -> None:
    """Skips a test, and says why, where there is no browser, no Playwright or no npm."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; make tools installs it")
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; pip install playwright")
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here, which fetches the engines")


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
