"""Figures on what variants answer: accuracy against latency, and on altered copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..accuracy import Accuracy
from ..deciding.choosing import pareto_front
from ..results import Answers, Measurement, Row
from .figures import (
    BLACK,
    COLOURS,
    GREY,
    MARKERS,
    Plot,
    dress,
    engine_style,
    legend_above,
    log_ticks,
    name_rows,
    new_figure,
    set_title,
    short,
)
from .labels import Label, place_labels
from .panels import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accuracy_latency(panel: Panel) -> Figure | None:
    """Draws accuracy against the median latency, a labelled point a variant, with intervals and the Pareto front."""
    found = [(row, measurement) for row, measurement in panel.measured if measurement.answers is not None]
    if not found:
        return None
    figure = new_figure(4.9)
    axes = figure.subplots()
    points = [_position(measurement) for _, measurement in found]
    sizes = [measurement.answers.accuracy.images for _, measurement in found if measurement.answers]
    for (row, measurement), size in zip(found, sizes, strict=True):
        _point(axes, row, measurement, sampled=size < max(sizes))
    # The accuracy of a sample is off by what the sample is easier than the whole: no place on the front for it.
    _front(axes, [point for point, size in zip(points, sizes, strict=True) if size == max(sizes)])
    _scale(axes, found, points)
    settings = panel.device.settings
    threads = f"{settings.threads} thread{'s' * (settings.threads > 1)}"
    images = "one image" if settings.batch == 1 else f"{settings.batch} images"
    axes.set_xlabel(f"p50 latency of {images}, {threads} (µs, log scale)")
    axes.set_ylabel("test accuracy (%)")
    dress(axes, "both")
    legend_above(axes, 3)
    set_title(figure, panel, "Accuracy against latency")
    figure.canvas.draw()  # fixes the layout, by which labels find free places
    names = [(short(row.variant), engine_style(row).colour) for row, _ in found]
    place_labels(axes, [Label(text, x, y, colour) for (text, colour), (x, y) in zip(names, points, strict=True)])
    return figure


def _position(measurement: Measurement) -> tuple[float, float]:
    assert measurement.answers is not None
    return measurement.latency.percentiles.p50_ns / 1e3, 100 * measurement.answers.accuracy.accuracy


def _point(axes: Axes, row: Row, measurement: Measurement, *, sampled: bool) -> None:
    """Draws a variant's point with both intervals; hollow, if it was asked about a sample only."""
    assert measurement.answers is not None
    style, (x, y) = engine_style(row), _position(measurement)
    named = style.name in axes.get_legend_handles_labels()[1]
    label = None if named else style.name
    fill, edge = ("white", style.colour) if sampled else (style.colour, "white")
    axes.scatter(x, y, s=style.size, c=fill, marker=style.marker, label=label, edgecolors=edge, zorder=3)
    accuracy, latency = measurement.answers.accuracy.interval, measurement.latency
    axes.plot([x, x], [100 * accuracy.low, 100 * accuracy.high], color=style.colour, linewidth=1, alpha=0.5, zorder=2)
    ends = [x * end / latency.ratio for end in (latency.ratio_interval.low, latency.ratio_interval.high)]
    axes.plot(ends, [y, y], color=style.colour, linewidth=2.5, alpha=0.5, zorder=2)


def _front(axes: Axes, points: list[tuple[float, float]]) -> None:
    """Draws the front as stairs: right of and below them a variant is slower and less accurate than another."""
    on_front = pareto_front([(x, -y) for x, y in points])
    chosen = sorted({point for point, best in zip(points, on_front, strict=True) if best})
    xs, ys = [x for x, _ in chosen], [y for _, y in chosen]
    label = "Pareto front"
    axes.plot(xs, ys, drawstyle="steps-post", color=BLACK, linewidth=1, linestyle="--", label=label, zorder=1)


def _scale(axes: Axes, found: list[tuple[Row, Measurement]], points: list[tuple[float, float]]) -> None:
    """Sets limits with room for intervals and labels."""
    intervals = [found.answers.accuracy.interval for _, found in found if found.answers]
    low, high = 100 * min(entry.low for entry in intervals), 100 * max(entry.high for entry in intervals)
    margin = max(0.1 * (high - low), 0.05)
    axes.set_ylim(low - margin, high + margin)
    xs = [x for x, _ in points]
    axes.set_xlim(min(xs) / 1.8, max(xs) * 1.8)
    log_ticks(axes)
    axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def robustness(panel: Panel) -> Figure | None:
    """Draws each variant's loss of accuracy against the reference, on the test images and on altered copies."""
    found = [
        (row, measurement.answers)
        for row, measurement in panel.measured
        if measurement.answers and measurement.answers.robustness and row.variant != panel.reference
    ]
    if not found:
        return None
    kinds = list(dict.fromkeys(kind for _, answers in found for kind in _by_kind(answers)))
    figure = new_figure(1.1 + len(found) * (0.1 + 0.115 * len(kinds)) + 0.18 * len(kinds))
    axes = figure.subplots()
    for number, (_, answers) in enumerate(found):
        for kind, accuracy in _by_kind(answers).items():
            _loss(axes, accuracy, number, kinds.index(kind), len(kinds))
    axes.axvline(0, color=GREY, linewidth=1)
    for number in range(1, len(found)):
        axes.axhline(number - 0.5, color="#eeeeee", linewidth=1)
    name_rows(axes, [row for row, _ in found], panel)
    axes.set_xlabel("accuracy less the reference's on the same images (points)")
    dress(axes, "x")
    own = next((found.answers for row, found in panel.measured if row.variant == panel.reference), None)
    shares = {kind: f"{100 * accuracy.accuracy:.2f} %" for kind, accuracy in (_by_kind(own) if own else {}).items()}
    for index, kind in enumerate(kinds):
        label = f"{short(kind)} (reference {shares[kind]})" if kind in shares else short(kind)
        axes.plot([], [], color=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)], ls="", label=label)
    legend_above(axes, 1)
    set_title(figure, panel, "What quantization loses on altered images")
    return figure


def _by_kind(answers: Answers) -> dict[str, Accuracy]:
    altered = {entry.alteration: entry.accuracy for entry in answers.robustness}
    return {"as they are": answers.accuracy, **altered}


def _loss(axes: Axes, accuracy: Accuracy, row: int, kind: int, kinds: int) -> None:
    y = row + 0.8 * ((kind + 0.5) / kinds - 0.5)
    colour, marker = COLOURS[kind % len(COLOURS)], MARKERS[kind % len(MARKERS)]
    ends = accuracy.difference_interval
    axes.plot([ends.low, ends.high], [y, y], color=colour, linewidth=1)
    axes.plot(accuracy.difference_points, y, color=colour, marker=marker, markersize=4.5)


PLOTS = (
    Plot(
        "accuracy-latency",
        "Accuracy against latency",
        "Up is more accurate, left is faster. Vertical bars: Wilson's 95 % interval of the accuracy. Horizontal bars: "
        "the bootstrap 95 % interval of the ratio to the reference's latency, laid around p50. The dashed front joins "
        "the variants that no other beats in both; a hollow point, asked about a sample only, takes no part in it.",
        accuracy_latency,
    ),
    Plot(
        "robustness",
        "Robustness",
        "Difference to the reference's accuracy on the same images, as they are and altered, with 95 % intervals of "
        "paired images: left of 0 a variant loses more than the reference.",
        robustness,
    ),
)
