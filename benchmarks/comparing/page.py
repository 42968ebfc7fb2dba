"""A comparison as one HTML page, with the style sheet, the script and the policy of benchmark reports."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ..reports import page
from ..reports.drawings import Drawing
from ..reports.phrases import clean
from .columns import Column, columns
from .results import Comparison, DesignFigures, Spread
from .words import TITLE, failures, headline, legend, method, remarks


def to_html(comparison: Comparison, drawing: Drawing | None) -> str:
    """Returns the page; it asks nothing of the network, and all text is escaped.

    Args:
        comparison: What was found.
        drawing: Its plot.
    """
    shown = columns(comparison)
    warnings = [*failures(comparison), *remarks(comparison), *comparison.notes]
    sections = [("Designs", _designs(comparison, shown))] if shown else []
    if drawing is not None:
        sections.append(("Plot", _figure(drawing)))
    if comparison.trials:
        sections.append(("Seeds", _seeds(comparison)))
    sections.append(("How it was done", _facts(method(comparison))))
    sections.append(("Columns", _facts(line.partition(": ")[::2] for line in legend(shown))))
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{page.POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{TITLE}</title>",
        f"<style>\n{_beside_reports('page.css')}</style>",
        "</head>",
        "<body>",
        "<header>",
        f"<h1>{TITLE}</h1>",
        f'<p class="created">{escape(clean(comparison.created))}</p>',
        f'<p class="headline">{escape(headline(comparison))}</p>',
        _list(warnings) if warnings else "",
        "</header>",
        "<main>",
        '<form class="filters" role="search" hidden>',
        '<label>Filter <input type="search" id="filter" placeholder="such as tiny" autocomplete="off"></label>',
        '<output id="shown" aria-live="polite"></output>',
        "</form>",
        *(f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>" for heading, body in sections),
        "</main>",
        f"<script>\n{_beside_reports('page.js')}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _beside_reports(name: str) -> str:
    """Returns a file that lies beside the reports' page; an editable installation links only modules."""
    return Path(page.__file__).resolve().with_name(name).read_text(encoding="utf-8")


def _designs(comparison: Comparison, shown: Sequence[Column]) -> str:
    headings = ['<th scope="col" class="name">design</th>']
    for column in shown:
        unit = f" <small>{escape(column.unit)}</small>" if column.unit else ""
        headings.append(f'<th scope="col" title="{escape(column.meaning)}">{escape(column.title)}{unit}</th>')
    chosen = comparison.choice.design if comparison.choice else None
    rows = []
    for entry in comparison.designs:
        mark = " <small>chosen</small>" if entry.design == chosen else ""
        cells = [_name(entry.design, mark), *(_cell(column, entry) for column in shown)]
        rows.append(f'<tr class="{"reference" if mark else "other"}">{"".join(cells)}</tr>')
    return _table("Designs", headings, rows)


def _cell(column: Column, entry: DesignFigures) -> str:
    value = column.value(entry)
    if value is None:
        return '<td class="none">-</td>'
    text, _, error = column.cell(entry).partition(" ")
    small = f" <small>{escape(error.strip('()'))}</small>" if error else ""
    return f'<td data-value="{value:.9g}">{escape(text)}{small}</td>'


def _seeds(comparison: Comparison) -> str:
    """Returns a table with a row a finished trial."""
    names = comparison.setup.variants
    titles = ("seed", "validation <small>%</small>", "test, Keras <small>%</small>")
    headings = ['<th scope="col" class="name">design</th>', *(f'<th scope="col">{title}</th>' for title in titles)]
    headings += [f'<th scope="col">{escape(name)} <small>%</small></th>' for name in names]
    headings += ['<th scope="col">training <small>s</small></th>', '<th scope="col" class="name">machine</th>']
    figures = {entry.design: entry for entry in comparison.designs}
    rows = []
    for trial in comparison.trials:
        accuracies = [figures[trial.design].variant(name).accuracy for name in names]
        shares = [trial.validation_accuracy, trial.test_accuracy, *(_of_seed(each, trial.seed) for each in accuracies)]
        cells = [_name(trial.design), f'<td data-value="{trial.seed}">{trial.seed}</td>']
        cells += [
            '<td class="none">-</td>' if share is None else f'<td data-value="{share:.9g}">{100 * share:.2f}</td>'
            for share in shares
        ]
        cells.append(f'<td data-value="{trial.train_seconds:.9g}">{trial.train_seconds:,.1f}</td>')
        cells.append(f'<td class="name">{escape(clean(trial.machine))}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return _table("Seeds", headings, rows)


def _of_seed(accuracy: Spread | None, seed: int) -> float | None:
    return None if accuracy is None else dict(zip(accuracy.seeds, accuracy.values, strict=True)).get(seed)


def _name(design: str, mark: str = "") -> str:
    text = escape(clean(design))
    return f'<th scope="row" class="name" data-value="{text}">{text}{mark}</th>'


def _table(label: str, headings: Sequence[str], rows: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">',
            f'<table class="sortable"><caption>{label}</caption>',
            f"<thead><tr>{''.join(headings)}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table>",
            "</div>",
        ]
    )


def _figure(drawing: Drawing) -> str:
    source = f"data:image/png;base64,{base64.b64encode(drawing.png).decode()}"
    caption = f"<strong>{escape(drawing.title)}.</strong> {escape(drawing.note)}"
    image = f'<img src="{source}" alt="{escape(drawing.alt)}">'
    return f'<div class="plots"><figure>\n{image}\n<figcaption>{caption}</figcaption>\n</figure></div>'


def _facts(facts: Iterable[Sequence[str]]) -> str:
    pairs = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f"<dl>\n{pairs}\n</dl>"


def _list(lines: Iterable[str]) -> str:
    items = "\n".join(f"<li>{escape(clean(line))}</li>" for line in lines)
    return f"<ul>\n{items}\n</ul>"
