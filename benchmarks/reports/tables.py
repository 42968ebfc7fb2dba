"""A report as tables: one list of columns serves the terminal and Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .results import BundleInfo, Measurement, Report, Row

if TYPE_CHECKING:
    from rich.table import Table

NOT_MEASURED = "-"


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        title: What it is, short.
        unit: In which unit; empty for a plain number.
        meaning: What it is, in a sentence's part.
        cell: The figure as text.
    """

    title: str
    unit: str
    meaning: str
    cell: Callable[[Row, Measurement], str]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


P50 = Column(
    "p50",
    "µs",
    "latency that half of the inferences of one image stay within, the median",
    lambda _, m: _number(m.latency.percentiles.p50_ns / 1e3),
)

CHOICE = (
    Column("size", "kB", "size of the model file, in 1,000 bytes", lambda row, _: _number(row.size_bytes / 1e3)),
    Column("accuracy", "%", "share of test images answered rightly", lambda _, m: f"{100 * m.accuracy.accuracy:.2f}"),
    Column("diff.", "points", "accuracy less the reference's", lambda _, m: f"{m.accuracy.difference_points:+.2f}"),
    Column("lost", "", "images that only the reference answers rightly", lambda _, m: f"{m.accuracy.lost:,}"),
    Column("won", "", "images that only this variant answers rightly", lambda _, m: f"{m.accuracy.won:,}"),
    Column(
        "agree",
        "%",
        "top-1 agreement: share of images given the reference's class",
        lambda _, m: f"{100 * m.accuracy.top1_agreement:.2f}",
    ),
    P50,
    Column(
        "ratio", "", "latency over the reference's, the median of paired rounds", lambda _, m: f"{m.latency.ratio:.2f}"
    ),
    Column(
        "memory",
        "MB",
        "peak resident memory of a process that runs this variant alone, in 1,000,000 bytes",
        lambda _, m: f"{m.peak_memory_bytes / 1e6:.1f}",
    ),
)
"""What one chooses a variant by."""

TIMING = (
    Column("load", "ms", "the call of load, with the engine's import", lambda _, m: _number(m.load_ns / 1e6)),
    Column("first", "ms", "the first inference after it", lambda _, m: f"{m.first_ns / 1e6:.2f}"),
    P50,
    Column(
        "p90", "µs", "latency that nine in ten stay within", lambda _, m: _number(m.latency.percentiles.p90_ns / 1e3)
    ),
    Column("p99", "µs", "latency that 99 in 100 stay within", lambda _, m: _number(m.latency.percentiles.p99_ns / 1e3)),
    Column("batch", "images/s", "images a second in batches", lambda _, m: _number(m.images_per_second)),
)
"""Every stage's time."""


def rich_table(report: Report, columns: tuple[Column, ...]) -> Table:
    """Returns the table for the terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for title in _names_header(report):
        table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(f"{column.title}\n{column.unit}", justify="right", no_wrap=True)
    for row in report.rows:
        style = "bold" if _is_reference(report, row) else ""
        table.add_row(*(Text(cell) for cell in _cells(report, row, columns)), style=style)
    return table


def markdown_table(report: Report, columns: tuple[Column, ...]) -> str:
    """Returns the table in GitHub's Markdown."""
    titles = [f"{column.title} ({column.unit})" if column.unit else column.title for column in columns]
    names = _names_header(report)
    lines = [[*names, *titles], ["---"] * len(names) + ["---:"] * len(columns)]
    lines += [_cells(report, row, columns) for row in report.rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def legend(columns: tuple[Column, ...]) -> list[str]:
    """Returns a line for each column: what it is, in which unit."""
    return [f"{column.title}{f' ({column.unit})' if column.unit else ''}: {column.meaning}" for column in columns]


def describe(report: Report) -> list[str]:
    """Returns lines that say on what, on which machine and how it was measured."""
    machine, how = report.environment, report.settings
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items() if version)
    cores = f"{machine.usable_cores} usable core{'s' if machine.usable_cores > 1 else ''}"
    place = f"pinned to core {how.core}" if how.core is not None else "not pinned to a core"
    threads = f"{how.threads} thread{'s' if how.threads > 1 else ''}"
    return [
        *(_describe_bundle(bundle) for bundle in report.bundles),
        f"machine: {' · '.join(filter(None, (machine.board, machine.cpu)))}, {machine.architecture}, {cores}, "
        f"{machine.memory_bytes / 1e9:.1f} GB memory, governor {machine.governor or 'unknown'}",
        f"CPU features: {' '.join(machine.cpu_features) or 'unknown'}",
        f"software: {machine.system}, Python {machine.python}, {packages}",
        f"latency: one image, {threads}, {place}, {how.rounds} rounds of {how.runs} runs, variants in random order",
        f"throughput: batches of {how.batch} images, {threads}",
        f"memory of a process with no variant loaded: {report.base_memory_bytes / 1e6:.1f} MB",
    ]


def remarks(report: Report) -> list[str]:
    """Returns a line for each variant that was not measured, or whose warm-up did not end steady."""
    lines = []
    for row in report.rows:
        name = " ".join(_row_names(report, row))
        if row.failure is not None:
            lines.append(f"{name} was not measured: {row.failure}")
        elif row.measurement is not None and not row.measurement.latency.steady:
            lines.append(f"{name} was still not steady after {row.measurement.latency.warm_up_runs} warm-up runs")
    return lines


def _describe_bundle(bundle: BundleInfo) -> str:
    reference = f"reference {bundle.reference}" if bundle.reference else "no reference"
    return f"{bundle.name} ({bundle.path}): {bundle.images:,} test images of {bundle.data}, {reference}"


def _names_header(report: Report) -> list[str]:
    return ["bundle", "variant"] if len(report.bundles) > 1 else ["variant"]


def _row_names(report: Report, row: Row) -> list[str]:
    return [row.bundle, row.variant] if len(report.bundles) > 1 else [row.variant]


def _cells(report: Report, row: Row, columns: tuple[Column, ...]) -> list[str]:
    measurement = row.measurement
    if measurement is None:
        return [*_row_names(report, row), *(NOT_MEASURED for _ in columns)]
    return [*_row_names(report, row), *(column.cell(row, measurement) for column in columns)]


def _is_reference(report: Report, row: Row) -> bool:
    return any(bundle.name == row.bundle and bundle.reference == row.variant for bundle in report.bundles)
