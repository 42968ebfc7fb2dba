"""The parts that every HTML page here is made of: one that asks nothing of the network, its style and script inside."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from .drawings import Drawing
from .phrases import clean

# A page may load nothing: neither its own text nor a name in it can make a browser fetch something.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def document(title: str, header: Sequence[str], main: Iterable[str]) -> str:
    """Returns a page.

    Args:
        title: As text.
        header: HTML between the title, as a heading, and the main part.
        main: HTML of the main part.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{_beside('page.css')}</style>",
        "</head>",
        "<body>",
        "<header>",
        f"<h1>{escape(title)}</h1>",
        *header,
        "</header>",
        "<main>",
        *main,
        "</main>",
        f"<script>\n{_beside('page.js')}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _beside(name: str) -> str:
    """Returns a file that lies beside this module.

    An editable installation links only modules, hence the way over this one's real place.
    """
    return Path(__file__).resolve().with_name(name).read_text(encoding="utf-8")


def filters(example: str, fields: Sequence[str] = ()) -> str:
    """Returns the fields that the script filters all tables by; without a script they stay hidden.

    Args:
        example: Of what may be typed.
        fields: HTML of more fields.
    """
    return "\n".join(
        [
            '<form class="filters" role="search" hidden>',
            f'<label>Filter <input type="search" id="filter" placeholder="such as {escape(example)}" '
            'autocomplete="off"></label>',
            *fields,
            '<output id="shown" aria-live="polite"></output>',
            "</form>",
        ]
    )


def table(label: str, headings: Sequence[str], rows: Iterable[str]) -> str:
    """Returns a table in a box that scrolls by itself; the script makes its headings buttons that sort.

    Args:
        label: Its caption, as text.
        headings: HTML of each heading.
        rows: HTML of each row.
    """
    return "\n".join(
        [
            f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0">',
            f'<table class="sortable"><caption>{escape(label)}</caption>',
            f"<thead><tr>{''.join(headings)}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table>",
            "</div>",
        ]
    )


def plots(drawings: Iterable[Drawing]) -> str:
    """Returns plots, each with its caption."""
    return f'<div class="plots">{"".join(map(_figure, drawings))}</div>'


def _figure(drawing: Drawing) -> str:
    source = f"data:image/png;base64,{base64.b64encode(drawing.png).decode()}"
    return (
        f'<figure>\n<img src="{source}" alt="{escape(drawing.alt)}">\n'
        f"<figcaption><strong>{escape(drawing.title)}.</strong> {escape(drawing.note)}</figcaption>\n</figure>\n"
    )


def facts(pairs: Iterable[Sequence[str]]) -> str:
    """Returns names and what is to be told of each."""
    told = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in pairs)
    return f"<dl>\n{told}\n</dl>"


def bullets(lines: Iterable[str]) -> str:
    """Returns a list of sentences; nothing where there is none."""
    items = "\n".join(f"<li>{escape(clean(line))}</li>" for line in lines)
    return f"<ul>\n{items}\n</ul>" if items else ""
