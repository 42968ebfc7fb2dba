"""A report as one HTML page that asks nothing of the network: style, script and pictures stand inside.

Names, reasons and labels come from files that anyone may have made, so all text is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ..results import Report, Row
from .columns import Column, Group
from .cost_columns import FILES
from .drawings import Drawing
from .groups import groups
from .method import bundle_facts, device_facts
from .phrases import clean
from .tables import legend, rows_of
from .words import controls, headlines, limits, remarks, title

# The page may load nothing: neither its own text nor a name in it can make a browser fetch something.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def to_html(report: Report, drawings: Sequence[Drawing] = ()) -> str:
    """Returns the page.

    Args:
        report: What was measured.
        drawings: Its plots.
    """
    tables = [(f"table-{number}", group) for number, group in enumerate((*groups(report), Group("Files", FILES)))]
    sections = [(name, group.title, _table(report, group)) for name, group in tables[:1]]
    if drawings:
        sections.append(("plots", "Plots", f'<div class="plots">{"".join(map(_figure, drawings))}</div>'))
    sections += [(name, group.title, _table(report, group)) for name, group in tables[1:]]
    if limits(report):
        sections.append(("why", "Why not faster", _list(limits(report))))
    sections.append(("method", "How it was measured", _method(report)))
    sections.append(("columns", "Columns", _legend(report)))
    parts = [
        _head(report),
        "<body>",
        _header(report, [(name, heading) for name, heading, _ in sections]),
        "<main>",
        _filters(report),
        *(f'<section id="{name}">\n<h2>{escape(heading)}</h2>\n{body}\n</section>' for name, heading, body in sections),
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


def _head(report: Report) -> str:
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title(report))}</title>",
            f"<style>\n{_beside('page.css')}</style>",
            "</head>",
        ]
    )


def _header(report: Report, sections: list[tuple[str, str]]) -> str:
    links = "\n".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading in sections)
    return "\n".join(
        [
            "<header>",
            f"<h1>{escape(title(report))}</h1>",
            f'<p class="created">{escape(clean(report.created))}</p>',
            *(f'<p class="headline">{escape(text)}</p>' for text in headlines(report)),
            *(
                f'<p class="notice {"warning" if notice.warning else "fine"}">'
                f"<strong>{'Warning' if notice.warning else 'A/A control'}:</strong> {escape(notice.text)}</p>"
                for notice in controls(report)
            ),
            _list(remarks(report)) if remarks(report) else "",
            f'<nav aria-label="Sections"><ul>\n{links}\n</ul></nav>',
            "</header>",
        ]
    )


def _filters(report: Report) -> str:
    """Returns the fields that the script filters all tables by; without a script they stay hidden."""
    engines = dict.fromkeys(_engine(row) for row in report.rows if row.measurement)
    choices = [
        ("device", [clean(device.name) for device in report.devices]),
        ("bundle", [clean(bundle.name) for bundle in report.bundles]),
        ("engine", list(engines)),
    ]
    fields = [_select(name, dict.fromkeys(names)) for name, names in choices if len(names) > 1]
    return "\n".join(
        [
            '<form class="filters" role="search" hidden>',
            '<label>Filter <input type="search" id="filter" placeholder="such as int8" autocomplete="off"></label>',
            *fields,
            '<output id="shown" aria-live="polite"></output>',
            "</form>",
        ]
    )


def _select(name: str, choices: Iterable[str]) -> str:
    options = "".join(f"<option>{escape(choice)}</option>" for choice in choices)
    return f'<label>{name} <select data-field="{name}"><option value="">all</option>{options}</select></label>'


def _engine(row: Row) -> str:
    return clean(row.measurement.engine.name) if row.measurement else ""


def _table(report: Report, group: Group) -> str:
    """Returns a table in a box that scrolls by itself; the script makes its headings buttons that sort."""
    names = ["variant"] + ["device"] * (len(report.devices) > 1) + ["bundle"] * (len(report.bundles) > 1)
    headings = [f'<th scope="col" class="name">{name}</th>' for name in names]
    headings += [_heading(column, report) for column in group.columns]
    label = escape(group.title)
    return "\n".join(
        [
            f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">',
            f'<table class="sortable"><caption>{label}</caption>',
            f"<thead><tr>{''.join(headings)}</tr></thead>",
            "<tbody>",
            *(_row(report, row, group, names) for row in _shown(report, group)),
            "</tbody>",
            "</table>",
            "</div>",
        ]
    )


def _shown(report: Report, group: Group) -> list[Row]:
    """Returns the rows with figures, and those that failed where others of their device have some."""
    known = {device.name for device in report.devices if group.has_figures(*rows_of(report, device.name))}
    return [row for row in report.rows if group.has_figures(row) or (row.failure is not None and row.device in known)]


def _heading(column: Column, report: Report) -> str:
    words = any(isinstance(column.value(row), str) for row in report.rows)
    unit = f" <small>{escape(column.unit)}</small>" if column.unit else ""
    kind = ' class="name"' if words else ""
    return f'<th scope="col"{kind} title="{escape(column.meaning)}">{escape(column.title)}{unit}</th>'


def _row(report: Report, row: Row, group: Group, names: list[str]) -> str:
    texts = {"device": clean(row.device), "bundle": clean(row.bundle), "engine": _engine(row)}
    attributes = "".join(f' data-{name}="{escape(text)}"' for name, text in texts.items())
    is_reference = row.variant == report.reference(row.device, row.bundle)
    kind = "failed" if row.measurement is None else "reference" if is_reference else "other"
    variant, mark = escape(clean(row.variant)), " <small>reference</small>" if is_reference else ""
    cells = [f'<th scope="row" class="name" data-value="{variant}">{variant}{mark}</th>']
    cells += [f'<td class="name" data-value="{escape(texts[name])}">{escape(texts[name])}</td>' for name in names[1:]]
    if row.measurement is None and not any(column.value(row) is not None for column in group.columns[1:]):
        reason = clean(row.failure or "no reason is given")
        cells.append(f'<td class="reason" colspan="{len(group.columns)}">not measured: {escape(reason)}</td>')
    else:
        cells += [_cell(row, column) for column in group.columns]
    return f'<tr class="{kind}"{attributes}>{"".join(cells)}</tr>'


def _cell(row: Row, column: Column) -> str:
    value = column.value(row)
    if value is None:
        return '<td class="none">-</td>'
    interval = column.interval_of(row)
    ends = ""
    if interval is not None and interval.low < interval.high:
        ends = f" <small>{escape(column.text(interval.low))} to {escape(column.text(interval.high))}</small>"
    if isinstance(value, str):
        return f'<td class="name" data-value="{escape(clean(value))}">{escape(clean(value))}</td>'
    return f'<td data-value="{value:.9g}">{escape(column.cell(row))}{ends}</td>'


def _figure(drawing: Drawing) -> str:
    source = f"data:image/png;base64,{base64.b64encode(drawing.png).decode()}"
    return (
        f'<figure>\n<img src="{source}" alt="{escape(drawing.alt)}">\n'
        f"<figcaption><strong>{escape(drawing.title)}.</strong> {escape(drawing.note)}</figcaption>\n</figure>\n"
    )


def _method(report: Report) -> str:
    parts = [_facts(bundle_facts(report))]
    for device in report.devices:
        parts += [f"<h3>{escape(clean(device.name))}</h3>"] * (len(report.devices) > 1)
        parts.append(_facts(device_facts(report, device)))
    return "\n".join(parts)


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    pairs = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f"<dl>\n{pairs}\n</dl>"


def _legend(report: Report) -> str:
    pairs = (line.partition(": ") for line in legend(report) if not line.startswith("±"))
    note = "<p>Small figures below a figure are the ends of its 95 % interval.</p>"
    return note + _facts((name, meaning) for name, _, meaning in pairs)


def _list(lines: Iterable[str]) -> str:
    items = "\n".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>\n{items}\n</ul>"
