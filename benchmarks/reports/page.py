"""A report as one HTML page that asks nothing of the network: style, script and pictures stand inside.

Names, reasons and labels come from files that anyone may have made, so all text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ..results import Report, Row
from .columns import Column, Group
from .cost_columns import FILES
from .drawings import Drawing
from .groups import groups
from .html_parts import bullets, document, facts, filters, plots, table
from .method import bundle_facts, device_facts
from .phrases import clean
from .tables import legend, rows_of
from .words import controls, headlines, limits, remarks, title


def to_html(report: Report, drawings: Sequence[Drawing] = ()) -> str:
    """Returns the page.

    Args:
        report: What was measured.
        drawings: Its plots.
    """
    tables = [(f"table-{number}", group) for number, group in enumerate((*groups(report), Group("Files", FILES)))]
    sections = [(name, group.title, _table(report, group)) for name, group in tables[:1]]
    if drawings:
        sections.append(("plots", "Plots", plots(drawings)))
    sections += [(name, group.title, _table(report, group)) for name, group in tables[1:]]
    if limits(report):
        sections.append(("why", "Why not faster", bullets(limits(report))))
    sections.append(("method", "How it was measured", _method(report)))
    sections.append(("columns", "Columns", _legend(report)))
    main = [
        _filters(report),
        *(f'<section id="{name}">\n<h2>{escape(heading)}</h2>\n{body}\n</section>' for name, heading, body in sections),
    ]
    return document(title(report), _header(report, [(name, heading) for name, heading, _ in sections]), main)


def _header(report: Report, sections: list[tuple[str, str]]) -> list[str]:
    links = "\n".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading in sections)
    return [
        f'<p class="created">{escape(clean(report.created))}</p>',
        *(f'<p class="headline">{escape(text)}</p>' for text in headlines(report)),
        *(
            f'<p class="notice {"warning" if notice.warning else "fine"}">'
            f"<strong>{'Warning' if notice.warning else 'A/A control'}:</strong> {escape(notice.text)}</p>"
            for notice in controls(report)
        ),
        bullets(remarks(report)),
        f'<nav aria-label="Sections"><ul>\n{links}\n</ul></nav>',
    ]


def _filters(report: Report) -> str:
    engines = dict.fromkeys(_engine(row) for row in report.rows if row.measurement)
    choices = [
        ("device", [clean(device.name) for device in report.devices]),
        ("bundle", [clean(bundle.name) for bundle in report.bundles]),
        ("engine", list(engines)),
    ]
    return filters("int8", [_select(name, dict.fromkeys(names)) for name, names in choices if len(names) > 1])


def _select(name: str, choices: Iterable[str]) -> str:
    options = "".join(f"<option>{escape(choice)}</option>" for choice in choices)
    return f'<label>{name} <select data-field="{name}"><option value="">all</option>{options}</select></label>'


def _engine(row: Row) -> str:
    return clean(row.measurement.engine.name) if row.measurement else ""


def _table(report: Report, group: Group) -> str:
    names = ["variant"] + ["device"] * (len(report.devices) > 1) + ["bundle"] * (len(report.bundles) > 1)
    headings = [f'<th scope="col" class="name">{name}</th>' for name in names]
    headings += [_heading(column, report) for column in group.columns]
    return table(group.title, headings, (_row(report, row, group, names) for row in _shown(report, group)))


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


def _method(report: Report) -> str:
    parts = [facts(bundle_facts(report))]
    for device in report.devices:
        parts += [f"<h3>{escape(clean(device.name))}</h3>"] * (len(report.devices) > 1)
        parts.append(facts(device_facts(report, device)))
    return "\n".join(parts)


def _legend(report: Report) -> str:
    pairs = (line.partition(": ") for line in legend(report) if not line.startswith("±"))
    note = "<p>Small figures below a figure are the ends of its 95 % interval.</p>"
    return note + facts((name, meaning) for name, _, meaning in pairs)
