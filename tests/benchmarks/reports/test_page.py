"""The page as text: what it holds, and that it asks for nothing. How it behaves is in test_browser."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from liteport.benchmarks.reports.groups import groups
from liteport.benchmarks.reports.html_parts import POLICY
from liteport.benchmarks.reports.page import to_html
from liteport.benchmarks.results import Report


class Reader(HTMLParser):
    """Collects tags with their attributes, and checks that all are closed in order."""

    EMPTY = frozenset({"meta", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_nothing_is_fetched(text: str) -> None:
    page = Reader(text)
    assert {"http-equiv": "Content-Security-Policy", "content": POLICY} in page.all("meta")
    assert not {"link", "iframe", "object", "embed", "base", "source"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), (tag, name)
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    assert "url(" not in text
    assert "@import" not in text
    assert [attributes for attributes in page.all("script") if attributes] == []


def test_names_stay_text(text: str) -> None:
    page = Reader(text)
    assert all(attributes["src"] != "x" for attributes in page.all("img"))
    assert "tflite-int8&lt;img src=x onerror=window.broken=1&gt;|$x^2$ [31m" in text
    assert "not measured: SIGILL&lt;img" in text
    assert "\x1b" not in text


def test_who_does_not_see_it_finds_the_way(text: str) -> None:
    page = Reader(text)
    assert page.all("html") == [{"lang": "en"}]
    images = page.all("img")
    assert len(images) == 15  # six on each of two devices, three once
    assert all(len(attributes["alt"] or "") > 40 for attributes in images)
    identifiers = {attributes.get("id") for _, attributes in page.tags}
    links = [attributes["href"] or "" for attributes in page.all("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= identifiers
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))


def test_it_says_what_was_found_and_what_to_doubt(text: str, report: Report) -> None:
    assert "tflite-int8 is the fastest: 90.0 µs an inference, 0.300 times tflite-float32&#x27;s" in text
    assert re.search(r'class="notice fine"><strong>A/A control:</strong> laptop: the machine was quiet', text)
    assert re.search(r'class="notice warning"><strong>Warning:</strong> pi: the machine was too noisy', text)
    for group in groups(report):
        assert f"<h2>{group.title}</h2>" in text
    assert "reaches 10 % of the roofline: narrow channels" in text


def test_a_section_without_data_is_left_out(report: Report) -> None:
    assert "<h2>Plots</h2>" not in to_html(report)
    assert "<h2>Why not faster</h2>" in to_html(report)
    assert 'data-field="device"' not in to_html(report)
