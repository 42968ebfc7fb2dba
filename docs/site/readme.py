"""Writes the demo's figures into README.md, and its plot and page into docs/images/: `make readme`.

What stands between the two marks is replaced; nothing there is typed by hand.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from liteport.errors import InvalidInputError, NotFoundError

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
IMAGES = ROOT / "docs" / "images"
PLOT = "accuracy-latency.png"
BLOCK = re.compile(r"(?<=<!-- demo: made by make readme -->\n).*?(?=<!-- end of demo -->)", re.DOTALL)
PARTS = [
    re.compile(part, re.MULTILINE | re.DOTALL)
    for part in (
        r"^(Of \d+ variants, [^\n]*)$",
        r"^## Choice\n\n(.*?)\n\n",
        r"^- machine: ([^\n]*)$",
        r"^- software: ([^\n]*)$",
        r"^- measured: ([^\n]*)$",
    )
]
PAGE_SIZE = "1180,1500"  # of the picture of the report, in pixels


def measured(folder: Path) -> str:
    """Returns the block, of what stands in `report.md`."""
    text = (folder / "report.md").read_text(encoding="utf-8")
    verdict, table, machine, software, date = (_found(part, text, folder) for part in PARTS)
    where = f"{machine[0].upper()}{machine[1:]}; {software}; {date[:10]}."
    return f"\n{verdict}\n\n{table}\n\n{where}\n\n![Accuracy against latency](docs/images/{PLOT})\n\n"


def _found(part: re.Pattern[str], text: str, folder: Path) -> str:
    found = part.search(text)
    if found is None:
        raise InvalidInputError(f"{folder / 'report.md'} has nothing like {part.pattern!r}; run: make demo")
    return found[1]


def photograph(page: Path, picture: Path) -> None:
    """Takes a picture of the report's page, where there is a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed: the picture of the report stays as it is", file=sys.stderr)
        return
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={PAGE_SIZE}"]
    subprocess.run([chromium, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


def main() -> None:
    """Takes over the report of `make demo`."""
    folder = ROOT / "demo" / "report"
    if not folder.is_dir():
        raise NotFoundError(f"{folder} does not exist; run: make demo")
    README.write_text(BLOCK.sub(lambda _: measured(folder), README.read_text(encoding="utf-8")), encoding="utf-8")
    IMAGES.mkdir(exist_ok=True)
    shutil.copy(folder / "plots" / PLOT, IMAGES / PLOT)
    photograph((folder / "report.html").resolve(), IMAGES / "report.png")


if __name__ == "__main__":
    main()
