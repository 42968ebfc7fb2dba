"""Figures on what can be counted without a clock: file sizes, and instructions on emulated boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..results import Row
from .columns import number
from .cost_columns import counted
from .figures import BLUE, COLOURS, SKY, Plot, dress, legend_above, log_ticks, name_rows, new_figure, set_title
from .panels import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HATCHES = ("", "////", "....", "\\\\\\\\", "xx", "--")
_WIDE_RANGE = 20  # between the largest and the smallest, from which a linear axis hides the small ones


def file_size(panel: Panel) -> Figure | None:
    """Draws each file's size, plain and compressed."""
    if not panel.rows:
        return None
    figure = new_figure(1.4 + 0.36 * len(panel.rows))
    axes = figure.subplots()
    kinds = (
        ("the file", [row.size_bytes / 1e3 for row in panel.rows], -0.19, BLUE, ""),
        ("gzip", [row.compressed_bytes / 1e3 for row in panel.rows], 0.19, SKY, "////"),
    )
    for label, sizes, offset, colour, hatch in kinds:
        ys = [y + offset for y in range(len(sizes))]
        axes.barh(ys, sizes, 0.36, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
        for y, size in zip(ys, sizes, strict=True):
            axes.annotate(number(size), (size, y), (3, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_xlim(0, 1.15 * max(size for _, sizes, *_ in kinds for size in sizes))
    name_rows(axes, panel.rows, panel)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlabel("size (kB)")
    dress(axes, "x")
    legend_above(axes, 2)
    set_title(figure, panel, "Size of the files")
    return figure


def instructions(panel: Panel) -> Figure | None:
    """Draws executed instructions, a bar a variant and emulated board."""
    rows = [row for row in panel.rows if _has_counts(row)]
    boards = list(dict.fromkeys(entry.board for row in rows for entry in row.instructions if entry.instructions))
    if not boards:
        return None
    figure = new_figure(1.5 + len(rows) * (0.14 + 0.14 * len(boards)))
    axes = figure.subplots()
    found = {(row.variant, board): entry for row in rows for board in boards if (entry := counted(row, board))}
    millions = {key: (entry.instructions or 0) / 1e6 for key, entry in found.items()}
    thick = 0.84 / len(boards)
    for index, board in enumerate(boards):
        places = [(y + thick * (index + 0.5) - 0.42, millions.get((row.variant, board))) for y, row in enumerate(rows)]
        known = [(y, value) for y, value in places if value is not None]
        axes.barh(
            [y for y, _ in known],
            [value for _, value in known],
            thick * 0.92,
            color=COLOURS[index % len(COLOURS)],
            hatch=_HATCHES[index % len(_HATCHES)],
            edgecolor="white",
            linewidth=0,
            label=board,
        )
        for y, value in known:
            axes.annotate(number(value), (value, y), (3, 0), textcoords="offset points", va="center", fontsize=7)
    name_rows(axes, rows, panel)
    low, high = min(millions.values()), max(millions.values())
    wide = high / low > _WIDE_RANGE
    axes.set_xlim(low / 2 if wide else 0, high * (2.5 if wide else 1.15))
    if wide:
        log_ticks(axes)
    axes.set_xlabel(f"million instructions an inference{', log scale' if wide else ''} (not time)")
    dress(axes, "x")
    legend_above(axes, 4)
    set_title(figure, panel, "Instructions on emulated boards")
    return figure


def _has_counts(row: Row) -> bool:
    return any(entry.instructions for entry in row.instructions)


PLOTS = (
    Plot(
        "size",
        "File size",
        "Size of each file, and of the same compressed by gzip at level 9.",
        file_size,
        lambda _: True,
    ),
    Plot(
        "instructions",
        "Instructions on emulated boards",
        "Executed instructions for one inference of one image by one thread, counted in emulation: they repeat to a "
        "thousandth on any machine, and are no time.",
        instructions,
        _has_counts,
    ),
)
