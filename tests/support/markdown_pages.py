"""What stands in the Markdown files of the checkout: links, headings and code, by a parser of Markdown."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "examples/*.md", "train/data/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
)

_PARSER = MarkdownIt("commonmark").enable("table")
_anchor_of = slugify(case="lower")  # as GitHub does it


@dataclass(frozen=True)
class Code:
    """A block of code, or code inside a sentence.

    Attributes:
        text: What stands there.
        language: What a block is said to be, such as "python run"; may be empty. None of what is in a sentence.
    """

    text: str
    language: str | None


def text_of(page: str) -> str:
    """Returns the content of a page, whose path counts from the checkout's root."""
    return (ROOT / page).read_text(encoding="utf-8")


def links(text: str) -> list[str]:
    """Returns where links and pictures lead, those in HTML too."""
    found = []
    for token in _all_tokens(text):
        found += [str(token.attrs[name]) for name in ("href", "src") if name in token.attrs]
        if token.type in ("html_block", "html_inline"):
            html = _Html()
            html.feed(token.content)
            found += html.found
    return found


def anchors(text: str) -> set[str]:
    """Returns what a link to a heading may name behind #."""
    seen: Counter[str] = Counter()
    found = set()
    tokens = _PARSER.parse(text)
    for token, inside in pairwise(tokens):
        if token.type == "heading_open":
            anchor = _anchor_of("".join(part.content for part in inside.children or []), "-")
            found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)  # headings of the same text are counted
            seen[anchor] += 1
    return found


def code(text: str) -> Iterator[Code]:
    """Yields all code of a page."""
    for token in _all_tokens(text):
        if token.type in ("fence", "code_block"):
            yield Code(token.content, token.info)
        elif token.type == "code_inline":
            yield Code(" ".join(token.content.split()), None)


def _all_tokens(text: str) -> Iterator[Token]:
    for token in _PARSER.parse(text):
        yield token
        yield from token.children or []


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]
