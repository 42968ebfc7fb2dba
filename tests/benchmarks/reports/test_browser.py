"""The page in a real browser, headless: it sorts, filters, fits a phone and prints."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; make tools installs it")

# What the page's own user could do: read the table as it stands, click a heading, type into the filter.
LOOK = """
const table = document.querySelector("table");
const shown = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const names = () => shown().map((row) => row.dataset.device + " " + row.cells[0].textContent.slice(0, 12).trim());
const heading = (title) => [...table.tHead.rows[0].cells].find((cell) => cell.textContent.startsWith(title));
const say = (seen) => {
  const place = document.createElement("pre");
  place.id = "seen";
  place.textContent = JSON.stringify(seen);
  document.body.append(place);
};
"""
SORT_AND_FILTER = """
const seen = { first: names() };
const button = heading("p50").querySelector("button");
button.focus();
seen.focused = document.activeElement === button;
button.click();
seen.ascending = [heading("p50").getAttribute("aria-sort"), names()];
button.click();
seen.descending = [heading("p50").getAttribute("aria-sort"), names()];
heading("variant").querySelector("button").click();
seen.byName = [heading("p50").getAttribute("aria-sort"), names()];
const field = document.getElementById("filter");
const type = (text) => { field.value = text; field.dispatchEvent(new Event("input")); };
type("INT8");
seen.filtered = [names(), document.getElementById("shown").textContent];
const select = document.querySelector("select[data-field=device]");
select.value = "pi";
select.dispatchEvent(new Event("change"));
seen.onPi = names();
const left = (other) => [...other.tBodies[0].rows].filter((row) => !row.hidden).length;
seen.elsewhere = [...document.querySelectorAll("table")].map(left);
type("no such variant");
seen.none = names();
seen.broken = window.broken ?? null;
seen.pictures = [...document.images].every((image) => image.complete && image.naturalWidth > 0);
say(seen);
"""
# A window has a least width, which is more than a phone's; a frame in it has none.
PHONE = """<!doctype html>
<iframe width="390" height="844" style="border: 0" srcdoc="{page}"></iframe>
<script>
window.onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  const box = page.querySelector(".scroll");
  const sizes = [...page.querySelectorAll("p, td, li, dd")].map((e) => parseFloat(getComputedStyle(e).fontSize));
  const place = document.createElement("pre");
  place.id = "seen";
  place.textContent = JSON.stringify({{
    window: page.defaultView.innerWidth,
    page: page.documentElement.scrollWidth,
    tableScrolls: box.scrollWidth > box.clientWidth,
    smallestText: Math.min(...sizes),
  }});
  document.body.append(place);
}};
</script>
"""


def run(tmp_path: Path, page: Path, *options: str) -> str:
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    finished = subprocess.run([*command, *options, page.as_uri()], capture_output=True, timeout=60, check=True)
    return finished.stdout.decode()


def seen(tmp_path: Path, text: str) -> dict[str, Any]:
    """Opens a page whose script writes what it saw, and returns that."""
    page = tmp_path / "page.html"
    page.write_text(text, encoding="utf-8")
    found = re.search(r'<pre id="seen">(.*?)</pre>', run(tmp_path, page, "--dump-dom"), re.DOTALL)
    assert found is not None
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


def test_it_sorts_and_filters(folder: Path, tmp_path: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = seen(tmp_path, text.replace("</body>", f"<script>{LOOK}{SORT_AND_FILTER}</script></body>"))
    quick, slow, failed = "tflite-int8", "tflite-float", "onnx-float32"
    first = [f"{device} {name}" for device in ("laptop", "pi") for name in (slow, quick, failed)]
    assert found["first"][0::3] == ["laptop tflite-float", "pi tflite-float"]
    assert [name.split("<")[0] for name in found["first"]] == first
    assert found["focused"]

    def order(key: str) -> tuple[str, list[str]]:
        state, names = found[key]
        return state, [name.split(" ")[1].split("<")[0] for name in names]

    assert order("ascending") == ("ascending", [quick, quick, slow, slow, failed, failed])
    assert order("descending") == ("descending", [slow, slow, quick, quick, failed, failed])  # failures stay last
    assert order("byName") == ("none", [failed, failed, slow, slow, quick, quick])
    names, count = found["filtered"]
    assert [name.split("<")[0] for name in names] == [f"laptop {quick}", f"pi {quick}"]
    assert count == "2 of 6 rows"
    assert [name.split("<")[0] for name in found["onPi"]] == [f"pi {quick}"]
    assert set(found["elsewhere"]) == {1}  # all tables are filtered alike
    assert found["none"] == []
    assert found["broken"] is None  # no name became a program
    assert found["pictures"]


def test_it_fits_a_phone(folder: Path, tmp_path: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = seen(tmp_path, PHONE.format(page=html.escape(text)))
    assert found["window"] == 390
    assert found["page"] <= 390  # nothing makes the page scroll sideways
    assert found["tableScrolls"]  # for the table does so in its box
    assert found["smallestText"] >= 12


def test_it_prints_on_a4(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.pdf"
    run(tmp_path, folder / "report.html", "--no-pdf-header-footer", f"--print-to-pdf={out}")
    content = out.read_bytes()
    assert content.startswith(b"%PDF")
    sizes = {tuple(map(round, map(float, box.split()))) for box in re.findall(rb"/MediaBox \[([\d. ]+)\]", content)}
    assert sizes == {(0, 0, 595, 842)}  # points: 210 mm by 297 mm
    assert content.count(b"/Type /Page\n") >= 3
