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
STROKES = [[(0.3, 0.3), (0.42, 0.2), (0.62, 0.22), (0.68, 0.36), (0.52, 0.55), (0.3, 0.8), (0.72, 0.78)]]
SIZE: Any = {"width": 1180, "height": 640}


def main() -> None:
    """Draws a 2 by mouse and waits for the answers and latencies."""
    digit = ROOT / "examples" / "digits" / "7.png"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name) / "page"
        write_page(ROOT / "examples" / "fast", folder, examples=[digit])
        with make_server(folder, 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]) as browser:
                page = browser.new_page(viewport=SIZE)
                page.goto(f"http://localhost:{server.server_port}/")
                box: Any = page.locator("#sheet").bounding_box()
                for points in STROKES:
                    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
                    page.mouse.move(*places[0])
                    page.mouse.down()
                    for place in places[1:]:
                        page.mouse.move(*place, steps=8)
                    page.mouse.up()
                page.wait_for_function("performance.getEntriesByName('measured').length", timeout=60_000)
                page.screenshot(path=PICTURE)
            server.shutdown()
    image = require("PIL.Image", "image").open(PICTURE)
    image.convert("RGB").quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
