"""A report as tables for the terminal and for Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..results import Report, Row
from .answer_columns import DIFFERENCE
from .columns import Column, Group, named
from .groups import groups
from .phrases import clean

if TYPE_CHECKING:
    from rich.table import Table

NOT_MEASURED = "-"
_SKEWED = 2.0  # times as far to one side as to the other: half the width says too little of such an interval
_BRIEF = (DIFFERENCE,)  # p stands beside it and says whether it is one; the page and the CSV have the interval


def rich_tables(report: Report) -> list[Table]:
    """Returns the tables for the terminal: by device, then by question; each fits in 100 columns for usual names."""
    return [
        _rich_table(report, group, device.name)
        for device in report.devices
        for group in groups(report)
        if group.has_figures(*rows_of(report, device.name))
    ]


def _rich_table(report: Report, group: Group, device: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = f"{clean(device)}: {group.title}" if len(report.devices) > 1 else group.title
    table = Table(title=Text(title), title_justify="left", min_width=len(title), box=box.SIMPLE_HEAD)
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    for name in _names_header(report):
        table.add_column(name, overflow="fold")  # where all does not fit, names are broken and figures stay whole
    for column in group.columns:
        table.add_column(Text(f"{column.title}\n{column.unit}"), justify="right", no_wrap=True)
    for row in rows_of(report, device):
        style = "bold" if row.variant == report.reference(device, row.bundle) else ""
        table.add_row(*(Text(cell) for cell in _cells(report, row, group.columns)), style=style)
    return table


def markdown_table(report: Report, group: Group, device: str) -> str:
    """Returns a device's table in GitHub's Markdown."""
    titles = [named(column) for column in group.columns]
    names = _names_header(report)
    lines = [[*names, *titles], ["---"] * len(names) + ["---:"] * len(titles)]
    lines += [[plain(cell) for cell in _cells(report, row, group.columns)] for row in rows_of(report, device)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def legend(report: Report) -> list[str]:
    """Returns a line for each column: what it is, in which unit."""
    columns = [column for group in groups(report) for column in group.columns]
    lines = [f"{named(column)}: {column.meaning}" for column in columns]
    return [*dict.fromkeys(lines), "±: half the width of a 95 % interval"]


def plain(text: str) -> str:
    """Returns text so that Markdown shows it as it is, also in a cell of a table."""
    return re.sub(r"([\\`*\[\]<>|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


def rows_of(report: Report, device: str) -> list[Row]:
    """Returns a device's rows."""
    return [row for row in report.rows if row.device == device]


def _names_header(report: Report) -> list[str]:
    return ["bundle", "variant"] if len(report.bundles) > 1 else ["variant"]


def _cells(report: Report, row: Row, columns: tuple[Column, ...]) -> list[str]:
    names = [row.bundle, row.variant] if len(report.bundles) > 1 else [row.variant]
    return [*map(clean, names), *(_cell(row, column) for column in columns)]


def _cell(row: Row, column: Column) -> str:
    interval, value = column.interval_of(row), column.value(row)
    text = column.cell(row) or NOT_MEASURED
    if interval is None or interval.low == interval.high or column in _BRIEF or not isinstance(value, (int, float)):
        return text
    nearer, farther = sorted((value - interval.low, interval.high - value))
    if farther > _SKEWED * nearer:
        return f"{text} ({column.text(interval.low)} to {column.text(interval.high)})"
    return f"{text} ±{column.text(interval.half_width).lstrip('+')}"
