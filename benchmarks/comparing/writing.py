"""A comparison as files: JSON with every seed's figures, a page for a browser, Markdown, CSV and the Pareto plot.

The words, the style sheet, the script and the drawing are those of benchmark reports.
"""

import csv
import io
from pathlib import Path

from liteport.files import replacing

from ..reports.drawings import Drawing
from ..reports.phrases import clean
from ..reports.tables import plain
from .columns import columns
from .folder import REPORT
from .page import to_html
from .plot import PLOT_FILE, draw
from .results import COMPARISON_FILE, Comparison
from .words import TITLE, failures, headline, legend, method, remarks

PAGE_FILE, MARKDOWN_FILE, CSV_FILE = "compare.html", "compare.md", "compare.csv"
_FORMULA = ("=", "+", "-", "@")


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes `compare.json`, `.html`, `.md` and `.csv`, and `pareto.png` where there is something to draw.

    Args:
        comparison: What was found.
        folder: Exists; older files of these names are replaced, `compare.json` last.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    drawing = draw(comparison)
    contents = {} if drawing is None else {drawing.file: drawing.png}
    contents[PAGE_FILE] = to_html(comparison, drawing).encode()
    contents[MARKDOWN_FILE] = to_markdown(comparison, drawing).encode()
    contents[CSV_FILE] = to_csv(comparison).encode()
    contents[COMPARISON_FILE] = comparison.to_json().encode()
    for name, content in contents.items():
        with replacing(folder / name) as beside:
            beside.write_bytes(content)


def files(comparison: Comparison) -> list[str]:
    """Returns the names of what is written for a comparison, most telling first."""
    texts = [PAGE_FILE, MARKDOWN_FILE, CSV_FILE, COMPARISON_FILE]
    return [*texts, PLOT_FILE, f"{REPORT}/report.html"] if comparison.designs else texts


def to_markdown(comparison: Comparison, drawing: Drawing | None) -> str:
    """Returns the comparison as a page of Markdown.

    Args:
        comparison: What was found.
        drawing: Its plot, which lies beside the page.
    """
    parts = [f"# {TITLE}", plain(clean(comparison.created)), plain(headline(comparison))]
    parts.append(_list([*failures(comparison), *remarks(comparison), *comparison.notes]))
    shown = columns(comparison)
    if shown:
        lines = [["design", *(column.heading for column in shown)], ["---"] + ["---:"] * len(shown)]
        lines += [
            [plain(clean(entry.design)), *(column.cell(entry) for column in shown)] for entry in comparison.designs
        ]
        parts.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
    if drawing is not None:
        parts.append(f"![{plain(drawing.alt)}]({drawing.file})")
    facts = [f"{name}: {text}" for name, text in method(comparison)]
    parts += ["## How it was done", _list(facts), "## Columns", _list(legend(shown))]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def to_csv(comparison: Comparison) -> str:
    """Returns the table, a row a design; figures have nine digits, and an empty field where there is none."""
    shown = columns(comparison)
    header = ["design"]
    for column in shown:
        header.append(column.heading)
        header += [f"{column.heading} deviation"] * (column.deviation is not None)
        header += [f"{column.heading} low", f"{column.heading} high"] * (column.interval is not None)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for entry in comparison.designs:
        name = clean(entry.design)
        line = [f"'{name}" if name.startswith(_FORMULA) else name]  # else a spreadsheet takes it for a formula
        for column in shown:
            line.append(_field(column.value(entry)))
            if column.deviation is not None:
                line.append(_field(column.deviation(entry)))
            if column.interval is not None:
                interval = column.interval(entry)
                line += [_field(interval.low), _field(interval.high)] if interval else ["", ""]
        writer.writerow(line)
    return buffer.getvalue()


def _field(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {plain(clean(line))}" for line in lines)
