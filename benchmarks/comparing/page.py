"""A comparison as one HTML page, with the style sheet, the script and the policy of benchmark reports."""

from collections.abc import Sequence
from html import escape

from ..reports.drawings import Drawing
from ..reports.html_parts import bullets, document, facts, filters, plots, table
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
    sections = [("Designs", _designs(comparison, shown))] if shown else []
    if drawing is not None:
        sections.append(("Plot", plots([drawing])))
    if comparison.trials:
        sections.append(("Seeds", _seeds(comparison)))
    sections.append(("How it was done", facts(method(comparison))))
    sections.append(("Columns", facts(line.partition(": ")[::2] for line in legend(shown))))
    header = [
        f'<p class="created">{escape(clean(comparison.created))}</p>',
        f'<p class="headline">{escape(headline(comparison))}</p>',
        bullets([*failures(comparison), *remarks(comparison), *comparison.notes]),
    ]
    main = [filters("tiny"), *(f"<section>\n<h2>{escape(name)}</h2>\n{body}\n</section>" for name, body in sections)]
    return document(TITLE, header, main)


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
    return table("Designs", headings, rows)


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
    return table("Seeds", headings, rows)


def _of_seed(accuracy: Spread | None, seed: int) -> float | None:
    return None if accuracy is None else dict(zip(accuracy.seeds, accuracy.values, strict=True)).get(seed)


def _name(design: str, mark: str = "") -> str:
    text = escape(clean(design))
    return f'<th scope="row" class="name" data-value="{text}">{text}{mark}</th>'
