"""Figures on time: how latencies are distributed, and their share of what the machine could do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..results import Measurement, Row
from .figures import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    Plot,
    dress,
    engine_style,
    legend_above,
    log_ticks,
    name_rows,
    new_figure,
    set_title,
)
from .panels import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 60
_SHORTEST, _LONGEST = 0.9, 1.5  # times the median; what is beyond counts in the first or last bin
_BOUND_STYLES = {"compute": (BLUE, ""), "memory": (ORANGE, "////")}
_LOW_SHARE = 20  # percent, below which a variant is explained


def latency_distribution(panel: Panel) -> Figure | None:
    """Draws each variant's percentiles side by side with the shape of its latencies' distribution."""
    found = panel.measured
    if not found:
        return None
    figure = new_figure(1.5 + 0.36 * len(found))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
    for number, (row, measurement) in enumerate(found):
        _percentiles(left, row, measurement, number)
        _shape(right, row, measurement, number)
    name_rows(left, [row for row, _ in found], panel)
    right.tick_params(axis="y", length=0)
    log_ticks(left, 20)
    left.set_xlabel("latency (µs, log scale)")
    right.set_xlabel("latency over its own p50")
    right.set_xlim(_SHORTEST, _LONGEST)
    right.set_xticks([1, 1.25, _LONGEST], ["1", "1.25", f"≥{_LONGEST}"])
    for axes in (left, right):
        dress(axes, "x")
    for marker, name in (("|", "minimum"), ("o", "p50"), (">", "p90"), ("D", "p99")):
        left.plot([], [], color=GREY, marker=marker, ls="", markersize=4.5, label=name)
    legend_above(left, 4, beyond=True)
    set_title(figure, panel, "Latencies: percentiles and distribution")
    return figure


def _percentiles(axes: Axes, row: Row, measurement: Measurement, y: int) -> None:
    colour, latency = engine_style(row).colour, measurement.latency
    places = (latency.minimum_ns, latency.percentiles.p50_ns, latency.percentiles.p90_ns, latency.percentiles.p99_ns)
    axes.plot([places[0] / 1e3, places[-1] / 1e3], [y, y], color=colour, linewidth=1)
    for place, marker in zip(places, "|o>D", strict=True):
        axes.plot(place / 1e3, y, color=colour, marker=marker, markersize=4.5, markeredgewidth=1)


def _shape(axes: Axes, row: Row, measurement: Measurement, y: int) -> None:
    """Draws a histogram as high as its fullest bin, of latencies over their median, and each launch's median."""
    colour = engine_style(row).colour
    launches = [np.concatenate([np.asarray(turn, float) for turn in turns]) for turns in measurement.latency.samples_ns]
    p50 = measurement.latency.percentiles.p50_ns
    heights, edges = _histogram(np.concatenate(launches) / p50)
    axes.fill_between(edges, y + 0.4, y + 0.4 - 0.8 * heights, step="post", color=colour, alpha=0.45, linewidth=0)
    medians = [float(np.median(launch)) / p50 for launch in launches]
    axes.plot(medians, [y + 0.4] * len(medians), color=BLACK, marker="|", ls="", markersize=5, markeredgewidth=0.8)


def _histogram(ratios: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the bins' heights, of which the fullest is 1, and where each begins; the last height is repeated."""
    edges = np.linspace(_SHORTEST, _LONGEST, _BINS + 1)
    counts = np.histogram(np.clip(ratios, edges[0], edges[-1]), edges)[0]
    heights = np.sqrt(counts / counts.max())  # the root lifts the tail, of which one bin holds little
    return np.append(heights, heights[-1]), edges


def roofline_share(panel: Panel) -> Figure | None:
    """Draws which share of the machine's limit each variant reaches."""
    found = [(row, measurement.limit) for row, measurement in panel.measured if measurement.limit is not None]
    if not found:
        return None
    figure = new_figure(1.4 + 0.27 * len(found))
    axes = figure.subplots()
    for number, (_, limit) in enumerate(found):
        colour, hatch = _BOUND_STYLES.get(limit.bound, (GREY, ".."))
        name = f"limited by {limit.bound}"
        known = name in axes.get_legend_handles_labels()[1]
        label = None if known else name
        share = 100 * limit.share
        axes.barh(number, share, 0.7, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
        axes.annotate(f"{share:.2g} %", (share, number), (4, 0), textcoords="offset points", va="center")
    axes.axvline(_LOW_SHARE, color=GREY, linewidth=1, linestyle="--")
    axes.set_xlim(0, max(100.0, 115 * max(limit.share for _, limit in found)))
    name_rows(axes, [row for row, _ in found], panel)
    axes.set_xlabel("least possible time over p50 (%)")
    dress(axes, "x")
    legend_above(axes, 2)
    set_title(figure, panel, "Share of what this machine could do")
    return figure


PLOTS = (
    Plot(
        "latency",
        "Latencies",
        "Left: minimum, p50, p90 and p99. Right: how latencies spread around their own p50, as "
        "histograms whose heights are square roots of counts, and a tick for the median of each launch.",
        latency_distribution,
    ),
    Plot(
        "roofline",
        "Share of the roofline",
        "The least time by this machine's measured peak of computing and reading, over p50. The dashed line marks "
        f"{_LOW_SHARE} %, below which a sentence says why.",
        roofline_share,
    ),
)
