"""A report as a page of Markdown."""

from collections.abc import Iterable, Sequence

from ..results import Report
from .drawings import Drawing
from .groups import groups
from .phrases import clean
from .tables import legend, markdown_table, plain, rows_of
from .words import controls, describe, headlines, limits, remarks, title


def to_markdown(report: Report, drawings: Sequence[Drawing] = ()) -> str:
    """Returns the page.

    Args:
        report: What was measured.
        drawings: Its plots, which the page shows from `plots/`.
    """
    parts = [
        f"# {plain(title(report))}",
        f"{plain(clean(report.created))} · every figure is in [report.json](report.json), and as a table in "
        "[report.csv](report.csv); [report.html](report.html) sorts and filters it",
        *map(plain, headlines(report)),
        _list([*(notice.text for notice in controls(report)), *remarks(report)]),
    ]
    for group in groups(report):
        parts.append(f"## {group.title}")
        for device in report.devices:
            if group.has_figures(*rows_of(report, device.name)):
                parts += [f"### {plain(clean(device.name))}"] * (len(report.devices) > 1)
                parts.append(markdown_table(report, group, device.name))
    if limits(report):
        parts += ["## Why not faster", _list(limits(report))]
    if drawings:
        parts += ["## Plots", *(f"![{plain(drawing.alt)}](plots/{drawing.file})" for drawing in drawings)]
    parts += ["## How it was measured", _list(describe(report)), "## Columns", _list(legend(report))]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)
