"""The plot of a report. Matplotlib is imported here, through its object interface: no display, no global state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liteport.errors import require

from .results import Report, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

# Colours that colour-blind readers tell apart (Okabe and Ito, "Color Universal Design", 2008), and a shape beside.
# The later ones are smaller, so that of two points in one place both are seen.
STYLES = {"tflite": ("TFLite", "#0072B2", "o", 85), "onnx": ("ONNX", "#D55E00", "s", 30)}

# Where a label may stand beside its point, right and up of it in typographic points: level with it, or in a stack of
# labels that lines fan out to. The nearest free place wins.
BESIDE = 9
PLACES = sorted(
    [(side * BESIDE, 0) for side in (1, -1)]
    + [
        (side * right, up * level * 13)
        for side in (1, -1)
        for right in (18, 32)
        for level in range(1, 11)
        for up in (1, -1)
    ],
    key=lambda place: abs(place[0]) + abs(place[1]),
)
POINT_RADIUS = 7.0  # pixels
LINE_STEPS = 20


@dataclass(frozen=True)
class Label:
    """What to write at a point, in the axes' units, and in which colour."""

    text: str
    x: float
    y: float
    colour: str


def accuracy_latency(report: Report, path: Path) -> None:
    """Draws accuracy against the median latency of one image, a labelled point for each variant measured.

    Args:
        report: What was measured.
        path: The PNG to write.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    require("matplotlib", "benchmarks")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    points = [(row, *_position(row)) for row in report.rows if row.measurement is not None]
    for suffix, (name, colour, marker, size) in STYLES.items():
        chosen = [(x, y) for row, x, y in points if _suffix(row) == suffix]
        if chosen:
            xs, ys = [x for x, _ in chosen], [y for _, y in chosen]
            axes.scatter(xs, ys, s=size, c=colour, marker=marker, label=name, edgecolors="white", zorder=3)
    _dress(axes, report, [x for _, x, _ in points], [y for _, _, y in points])
    canvas.draw()  # fixes the layout, by which labels find free places
    several = len(report.bundles) > 1
    labels = [
        Label(f"{row.bundle} · {row.variant}" if several else row.variant, x, y, STYLES[_suffix(row)][1])
        for row, x, y in points
    ]
    _place_all(axes, labels)
    figure.savefig(path, dpi=150)


def _position(row: Row) -> tuple[float, float]:
    assert row.measurement is not None
    return row.measurement.latency.percentiles.p50_ns / 1e3, 100 * row.measurement.accuracy.accuracy


def _suffix(row: Row) -> str:
    return row.file.rpartition(".")[2]


def _dress(axes: Axes, report: Report, x: list[float], y: list[float]) -> None:
    """Gives the axes scales, limits with room for labels, names and a legend."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    threads = report.settings.threads
    axes.set_xscale("log")
    axes.set_xlim(min(x) / 1.8, max(x) * 1.8)
    margin = max(0.25 * (max(y) - min(y)), 0.05)
    axes.set_ylim(min(y) - margin, max(y) + margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes.set_xlabel(f"p50 latency of one image, {threads} thread{'s' if threads > 1 else ''} (µs, log scale)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_title("Accuracy against latency: up is more accurate, left is faster", loc="left", fontsize=12)
    axes.text(1, -0.14, report.environment.cpu, transform=axes.transAxes, ha="right", fontsize=8, color="#555555")
    axes.grid(visible=True, color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(STYLES), borderaxespad=0.2)


def _place_all(axes: Axes, labels: list[Label]) -> None:
    """Writes each label at the nearest place where it covers no point, no other label and no line to one."""
    points = axes.transData.transform([(label.x, label.y) for label in labels])
    marks = [_around(x, y) for x, y in points]
    texts: list[Bbox] = []
    lines: list[Bbox] = []
    for label, point in sorted(zip(labels, points, strict=True), key=lambda pair: pair[0].x):
        # In a crowd without such a place lines may cross; texts never do while there is room at all.
        box = (
            _place(axes, label, tuple(point), marks + texts + lines, texts)
            or _place(axes, label, tuple(point), marks + texts, [])
            or _text_box(_annotate(axes, label, PLACES[0]))
        )
        texts.append(box)
        lines += _along(tuple(point), box)


def _place(
    axes: Axes, label: Label, point: tuple[float, float], not_under_text: list[Bbox], not_under_line: list[Bbox]
) -> Bbox | None:
    """Writes a label at the nearest place that leaves these boxes free, and returns its text's box."""
    frame = axes.get_window_extent()
    for place in PLACES:
        text = _annotate(axes, label, place)
        box = _text_box(text)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        crosses = any(step.overlaps(other) for step in _along(point, box) for other in not_under_line)
        if inside and not crosses and not any(box.overlaps(other) for other in not_under_text):
            return box
        text.remove()
    return None


def _annotate(axes: Axes, label: Label, offset: tuple[int, int]) -> Annotation:
    from matplotlib.patheffects import withStroke

    line = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    text = axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] > 0 else "right",
        va="center",
        color=label.colour,
        fontsize=9,
        # The line ends at the text's edge, halfway up.
        arrowprops=line | {"relpos": (0 if offset[0] > 0 else 1, 0.5)} if offset[1] else None,
        zorder=4,
    )
    text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])  # keeps grid lines out of the letters
    return text


def _text_box(annotation: Annotation) -> Bbox:
    from matplotlib.text import Text

    annotation.get_window_extent()  # moves the text to its place; but takes in the line to the point
    return Text.get_window_extent(annotation)


def _around(x: float, y: float, radius: float = POINT_RADIUS) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _along(point: tuple[float, float], box: Bbox) -> list[Bbox]:
    """Returns small boxes along the way from a point to the nearest place of a text's box."""
    x, y = point
    to_x, to_y = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
    steps = [step / LINE_STEPS for step in range(LINE_STEPS)]
    return [_around(x + (to_x - x) * step, y + (to_y - y) * step, 1) for step in steps]
