"""What all figures share: size, colours, fonts, and the way to a PNG.

Matplotlib is imported in functions, as it belongs to an extra, and used by its object interface: no display.
Figures are narrow, with letters large for their width, so that they can be read on a phone's screen.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..results import Row
from .panels import Panel
from .phrases import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.4  # inches
DPI = 200
GREY = "#555555"
FAINT = "#dddddd"

# Colours that colour-blind readers tell apart: Okabe and Ito, "Color Universal Design", 2008; yellow, too light on
# white, is left out. Each stands with a shape, for print without colours.
BLUE, ORANGE, GREEN, PINK, SKY, AMBER, BLACK = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"
)  # fmt: skip
COLOURS = (BLUE, ORANGE, GREEN, PINK, AMBER, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")


@dataclass(frozen=True)
class Plot:
    """A kind of figure.

    Attributes:
        name: Of its file, without an ending.
        title: What it shows, short.
        note: How to read it.
        draw: Draws a panel; None where it has no data.
        shared: For what does not depend on the device, tells whether a row has it; else None.
    """

    name: str
    title: str
    note: str
    draw: Callable[[Panel], Figure | None]
    shared: Callable[[Row], bool] | None = None


@dataclass(frozen=True)
class EngineStyle:
    """How points of an engine's files are drawn: sizes differ, so that of two in one place both are seen."""

    name: str
    colour: str
    marker: str
    size: float


ENGINE_STYLES = {
    "tflite": EngineStyle("TFLite", BLUE, "o", 70),
    "onnx": EngineStyle("ONNX", ORANGE, "s", 26),
    "param": EngineStyle("ncnn", GREEN, "D", 40),
    "mnn": EngineStyle("MNN", PINK, "^", 40),
}


def engine_style(row: Row) -> EngineStyle:
    """Returns the style for a row, by its file's ending."""
    return ENGINE_STYLES.get(row.file.rpartition(".")[2].lower(), EngineStyle("other", GREY, "D", 40))


@contextmanager
def drawing() -> Iterator[None]:
    """Sets fonts, and takes names as they are while figures are drawn.

    A dollar in a name starts no formula, and a letter that the font lacks is no reason to warn: the tables show it.
    """
    from matplotlib import rc_context

    settings = {"text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 9.0, "axes.titlesize": 10.0}
    with rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def new_figure(height: float) -> Figure:
    """Returns an empty figure of the common width.

    Args:
        height: Inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.05)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure) -> bytes:
    """Returns a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def dress(axes: Axes, grid: Literal["x", "y", "both"]) -> None:
    """Takes away what an axis does not need, and draws a faint grid behind.

    Args:
        axes: Where.
        grid: Along which values lines are drawn.
    """
    axes.grid(visible=True, axis=grid, color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def name_rows(axes: Axes, rows: Sequence[Row], panel: Panel) -> None:
    """Writes variants' names down the vertical axis, the first on top, the reference's in bold."""
    axes.set_yticks(range(len(rows)), [short(row.variant) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        if row.variant == panel.reference:
            label.set_fontweight("bold")


def log_ticks(axes: Axes, most: float = 300) -> None:
    """Makes the horizontal axis logarithmic, with plain numbers at 1, 2 and 5.

    Args:
        axes: Where.
        most: From its first to its last value; beyond, only powers of ten have room.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1, 2, 5) if high / low < most else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def legend_above(axes: Axes, columns: int, *, beyond: bool = False) -> None:
    """Writes the legend between title and axes, at the left.

    Args:
        axes: Where.
        columns: Of the legend.
        beyond: Whether it may reach over the axes to the right of these; then it has one line.
    """
    legend = axes.legend(
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0,
        handletextpad=0.4,
        columnspacing=1.2,
    )
    if beyond:
        legend.set_in_layout(False)  # else these axes would be made as wide as it
        axes.set_title(" ")  # keeps its line free


def set_title(figure: Figure, panel: Panel, text: str) -> None:
    """Writes a title at the left, and under it which device or bundle it is where there are several."""
    title = f"{text}\n{short(panel.where, 70)}" if panel.where else text
    figure.suptitle(title, x=0.02, ha="left", fontsize=10.5)


def class_name(panel: Panel, index: int) -> str:
    """Returns a class's name, shortened; its number where it has none."""
    names = panel.bundle.class_names
    return short(names[index] if index < len(names) else str(index), 18)


def short(name: str, most: int = 26) -> str:
    """Returns a name that has room: of a long one both ends, as variants often differ in the last word."""
    name = clean(name)
    return name if len(name) <= most else f"{name[: most - most // 2 - 1]}…{name[-(most // 2) :]}"
