"""The Pareto plot: accuracy with its spread over seeds against latency, with file sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liteport.errors import require

from ..deciding.choosing import pareto_front
from ..reports.columns import number
from ..reports.drawings import Drawing
from ..reports.figures import (
    BLACK,
    COLOURS,
    MARKERS,
    drawing,
    dress,
    legend_above,
    log_ticks,
    new_figure,
    short,
    to_png,
)
from ..reports.labels import Label, place_labels
from .columns import p50_interval
from .results import Comparison, Speed, Spread, VariantFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOT_FILE = "pareto.png"
_NOTE = (
    "Up is more accurate, left is faster; a marker's area grows with the file's size, which stands beside its name. "
    "A marker is the mean over seeds, each dot a seed, the vertical bar one standard deviation to either side; the "
    "horizontal bar is the latency's 95 % interval. The dashed front joins the designs that no other beats in both."
)
_SMALLEST, _LARGEST = 30.0, 140.0  # areas of markers, in square points


def draw(comparison: Comparison) -> Drawing | None:
    """Draws the plot; None where no design has both figures.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
    """
    require("matplotlib", "benchmarks")
    deployed = comparison.setup.deployed
    points = [
        (entry.design, found, found.speed, found.accuracy)
        for entry in comparison.designs
        for found in (entry.variant(deployed),)
        if found.speed is not None and found.accuracy is not None
    ]
    if not points:
        return None
    with drawing():
        png = to_png(_figure(points, deployed))
    title = f"Accuracy against latency of {deployed}"
    return Drawing(PLOT_FILE, title, f"{title}. {_NOTE} The figures stand in the table.", _NOTE, png)


_Point = tuple[str, VariantFigures, Speed, Spread]


def _figure(points: list[_Point], deployed: str) -> Figure:
    figure = new_figure(4.9)
    axes = figure.subplots()
    largest = max(found.size_bytes for _, found, _, _ in points)
    labels = []
    for index, (design, found, speed, accuracy) in enumerate(points):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        area = _SMALLEST + (_LARGEST - _SMALLEST) * found.size_bytes / largest
        x, y = speed.p50_ns / 1e3, 100 * accuracy.mean
        _bars(axes, speed, accuracy, colour)
        axes.scatter(x, y, s=area, c=colour, marker=marker, edgecolors="white", zorder=3)
        labels.append(Label(f"{short(design, 18)}, {number(found.size_bytes / 1e3)} kB", x, y, colour))
    _front(axes, [(label.x, label.y) for label in labels])
    _scale(axes, points)
    axes.set_xlabel("p50 latency of one image, one thread (µs, log scale)")
    axes.set_ylabel("test accuracy (%)")
    dress(axes, "both")
    legend_above(axes, 1)
    figure.suptitle(f"Accuracy against latency of {short(deployed)}", x=0.02, ha="left", fontsize=10.5)
    figure.canvas.draw()  # fixes the layout, by which labels find free places
    place_labels(axes, labels)
    return figure


def _bars(axes: Axes, speed: Speed, accuracy: Spread, colour: str) -> None:
    x, y, deviation = speed.p50_ns / 1e3, 100 * accuracy.mean, 100 * (accuracy.deviation or 0.0)
    interval = p50_interval(speed)
    axes.plot([x, x], [y - deviation, y + deviation], color=colour, linewidth=1.5, alpha=0.6, zorder=2)
    axes.plot([interval.low, interval.high], [y, y], color=colour, linewidth=2.5, alpha=0.5, zorder=2)
    seeds = [100 * value for value in accuracy.values]
    axes.scatter([x] * len(seeds), seeds, s=9, c="white", edgecolors=colour, linewidths=0.8, zorder=4)


def _front(axes: Axes, points: list[tuple[float, float]]) -> None:
    """Draws the front as stairs: right of and below them a design is slower and less accurate than another."""
    best = pareto_front([(x, -y) for x, y in points])
    chosen = sorted({point for point, on_front in zip(points, best, strict=True) if on_front})
    xs, ys = [x for x, _ in chosen], [y for _, y in chosen]
    axes.plot(xs, ys, drawstyle="steps-post", color=BLACK, linewidth=1, linestyle="--", label="Pareto front", zorder=1)


def _scale(axes: Axes, points: list[_Point]) -> None:
    """Sets limits with room for bars and labels."""
    ends = [
        100 * value
        for _, _, _, found in points
        for deviation in (found.deviation or 0.0,)
        for value in (*found.values, found.mean - deviation, found.mean + deviation)
    ]
    margin = max(0.15 * (max(ends) - min(ends)), 0.05)
    axes.set_ylim(min(ends) - margin, max(ends) + margin)
    xs = [end for _, _, speed, _ in points for end in (p50_interval(speed).low, p50_interval(speed).high)]
    axes.set_xlim(min(xs) / 1.8, max(xs) * 1.8)
    log_ticks(axes)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)
