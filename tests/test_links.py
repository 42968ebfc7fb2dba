"""Every link, anchor and picture of the documentation leads somewhere.

Links elsewhere are not followed, as tests need no network: they must be well-formed, and https.
"""

import importlib.util
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_pages import PAGES, ROOT, anchors, links, text_of

DOCS = ROOT / "docs"


@cache
def made_pages() -> dict[Path, str]:
    """The pages that MkDocs is given and that lie in no file, with their Markdown."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "site" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return {DOCS / name: text for name, text in hooks.made_pages().items()}


def wrong(link: str, page: str, text: str) -> str | None:
    """Says what is wrong with a link of a page; None where it is right."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        fine = parts.scheme == "https" and "." in (parts.hostname or "") and not any(map(str.isspace, link))
        return None if fine else "is no https address"
    if link.startswith("/"):
        return "is absolute, which means another place in a clone, on GitHub and among the pages"
    target = ROOT / page
    if parts.path:
        target = (target.parent / unquote(parts.path)).resolve()
        if not target.is_relative_to(ROOT):
            return "leads out of the checkout"
        if not target.exists() and (target not in made_pages() or not page.startswith("docs/")):
            return "does not exist"
    if not parts.fragment:
        return None
    if target.suffix != ".md":
        return "has an anchor and is no page"
    content = text if not parts.path else made_pages()[target] if not target.exists() else target.read_text("utf-8")
    known = anchors(content)
    return None if parts.fragment in known else f"has no heading of that name; known: {', '.join(sorted(known))}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = text_of(page)
    found = {link: wrong(link, page, text) for link in links(text)}
    assert {link: reason for link, reason in found.items() if reason} == {}


def test_the_pages_are_read() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/index.md", "docs/export.md"} <= {*PAGES}
    assert "docs/images/report.png" in links(text_of("README.md"))
    assert "raspberry-pi.md#which-variant" in links(text_of("docs/benchmarking.md"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[a](export.md)", None),
        ("[a](export.md#schemes)", None),
        ("# Two words\n\n[a](#two-words)", None),
        ("# The same\n\n# The same\n\n[a](#the-same-1)", None),
        ("[a](reference/commands.md#liteport-choose)", None),
        ("[a][b]\n\n[b]: ../README.md", None),
        ("![a](images/grid.svg)", None),
        ("<https://example.com/a>", None),
        ("[a](exporting.md)", "does not exist"),
        ("![a](images/none.svg)", "does not exist"),
        ("text <img src='images/none.svg'> text", "does not exist"),
        ("[a][b]\n\n[b]: none.md", "does not exist"),
        ("[a](export.md#scheme)", "no heading of that name"),
        ("# Two words\n\n[a](#twowords)", "no heading of that name"),
        ("# `code` here\n\n[a](#here)", "no heading of that name; known: code-here$"),
        ("[a](reference/commands.md#liteport-chose)", "no heading of that name"),
        ("[a](site/hooks.py#L1)", "is no page"),
        ("[a](../../elsewhere.md)", "leads out of the checkout"),
        ("[a](/export.md)", "is absolute"),
        ("[a](http://example.com)", "no https address"),
        ("[a](https://example)", "no https address"),
        ("[a](https:/example.com)", "no https address"),
    ],
)
def test_a_link_that_leads_nowhere_is_noticed(text: str, reason: str | None) -> None:
    (link,) = links(text)
    found = wrong(link, "docs/page.md", text)
    assert found is None if reason is None else found is not None and re.search(reason, found)


def test_pages_that_are_made_are_no_files_on_github() -> None:
    assert wrong("docs/reference/commands.md", "README.md", "") == "does not exist"
