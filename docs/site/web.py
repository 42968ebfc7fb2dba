"""Takes the picture of docs/web.md: the page of `examples/fast` in Chromium, asked for a drawn digit.

`python docs/site/web.py` takes it anew.
"""

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from liteport.errors import require
from liteport.export.web import write_page
from liteport.export.web.server import make_server

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURE = ROOT / "docs" / "images" / "web.png"
SIZE: Any = {"width": 1180, "height": 760}


def main() -> None:
    """Has a 2 drawn and waits for the answers and latencies."""
    digit = ROOT / "examples" / "digits" / "7.png"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name) / "page"
        write_page(ROOT / "examples" / "fast", folder, examples=[digit])
        with make_server(folder, 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]) as browser:
                page = browser.new_page(viewport=SIZE)
                page.goto(f"http://localhost:{server.server_port}/")
                page.click("[aria-label='Draw a 2']")
                page.wait_for_function("performance.getEntriesByName('measured').length", timeout=60_000)
                page.mouse.move(0, 0)
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=PICTURE)
            server.shutdown()
    image = require("PIL.Image", "image").open(PICTURE)
    image.convert("RGB").quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
