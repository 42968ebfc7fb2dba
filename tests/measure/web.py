"""How soon a page gives its first answer, and what it weighs: `make measure-web BUNDLE=demo/bundle`.

Each round opens the page in a fresh browser, with nothing kept from before, and asks as soon as there is something to
press. The time is from the address to the first answer that is shown, as the browser tells it.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from browser import CHROMIUM, page_of, served

_ROUNDS = 10
_ASK_AT_ONCE = """
new MutationObserver((_, observer) => {
  const digit = document.querySelector("[aria-label='Draw a 3']");
  if (!digit || document.querySelector("#inputs").hidden) return;
  observer.disconnect();
  digit.click();
  new MutationObserver((_, shown) => {
    if (!document.querySelector(".share")) return;
    shown.disconnect();
    performance.mark("answered");
  }).observe(document, { childList: true, subtree: true });
}).observe(document, { childList: true, subtree: true, attributes: true });
"""
_ANSWERED = "performance.getEntriesByName('answered')[0]?.startTime"


def first_answer(playwright: Any, address: str) -> float:
    """Returns the milliseconds until the first answer."""
    with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser:
        page = browser.new_page()
        page.add_init_script(_ASK_AT_ONCE)
        page.goto(address)
        return float(page.wait_for_function(_ANSWERED, timeout=60_000).json_value())


def main(bundle: Path) -> None:
    """Measures a bundle of the ten digits."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = page_of(bundle, Path(name) / "page")
        with served(folder) as address:
            times = [first_answer(playwright, address) for _ in range(_ROUNDS)]
        parts = {"page": 0, "WebAssembly": 0, "bundle": 0}
        for path in folder.rglob("*"):
            part = "bundle" if path.parent.name == "bundle" else "WebAssembly" if ".wasm" in path.name else "page"
            parts[part] += path.stat().st_size if path.is_file() else 0
    print(f"first answer: {statistics.median(times):.0f} ms, {min(times):.0f} to {max(times):.0f} ({_ROUNDS} rounds)")
    print(", ".join(f"{part}: {size / 1e3:,.0f} kB" for part, size in parts.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
