"""Figures that look inside: the error after each layer, and each class's recall."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..results import Row
from .figures import COLOURS, MARKERS, Plot, class_name, dress, legend_above, new_figure, set_title, short
from .panels import Panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_INPUT = "(input)"  # what rounding the input alone costs is next to nothing, and would stretch the scale
_MOST_LAYERS = 40  # above so many there is no room for every name
_MOST_CLASSES = 20
_LINES = ("-", "--", ":", "-.")


def layer_errors(panel: Panel) -> Figure | None:
    """Draws the signal-to-noise ratio after each layer, a line a quantized variant."""
    rows = [row for row in panel.rows if _has_errors(row)]
    if not rows:
        return None
    layers = in_order([[entry.name for entry in row.layer_errors if entry.name != _INPUT] for row in rows])
    figure = new_figure(1.6 + 0.2 * -(-len(rows) // 2) + 0.19 * min(len(layers), _MOST_LAYERS))
    axes = figure.subplots()
    for index, row in enumerate(rows):
        ratios = {entry.name: entry.snr_db for entry in row.layer_errors}
        known = [(ratio, place) for place, name in enumerate(layers) if (ratio := ratios.get(name)) is not None]
        axes.plot(
            [ratio for ratio, _ in known],
            [place for _, place in known],
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            linestyle=_LINES[index // len(COLOURS) % len(_LINES)],
            markersize=4.5,
            linewidth=1,
            label=short(row.variant),
        )
    step = -(-len(layers) // _MOST_LAYERS)
    axes.set_yticks(range(0, len(layers), step), [short(name, 24) for name in layers[::step]])
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlabel("signal-to-noise ratio (dB): right is nearer to float")
    dress(axes, "both")
    legend_above(axes, 2)
    set_title(figure, panel, "Error after each layer")
    return figure


def in_order(sequences: Iterable[Sequence[str]]) -> list[str]:
    """Merges the variants' layers, of which each may lack some, in the order in which they are computed.

    Args:
        sequences: Each variant's layers in that order.
    """
    merged: list[str] = []
    for names in sorted(sequences, key=len, reverse=True):
        place = 0
        for name in names:
            if name not in merged:
                merged.insert(place, name)
            place = merged.index(name) + 1
    return merged


def _has_errors(row: Row) -> bool:
    return any(entry.snr_db is not None and entry.name != _INPUT for entry in row.layer_errors)


def class_recall(panel: Panel) -> Figure | None:
    """Draws how much each variant's recall of each class differs from the reference's, as a map of colours."""
    from matplotlib.ticker import MaxNLocator

    answers = {row.variant: found.answers for row, found in panel.measured if found.answers}
    if answers.pop(panel.reference or "", None) is None or not answers:
        return None
    shares = [found.recall_difference for found in answers.values()]
    table = 100 * np.array(shares, dtype=np.float64).T  # (classes, variants); None becomes NaN
    known = np.flatnonzero(np.isfinite(table).any(axis=1))
    if not known.size:
        return None
    largest = np.nanmax(np.abs(table[known]), axis=1)
    chosen = np.sort(known[np.argsort(-largest, kind="stable")[:_MOST_CLASSES]])
    figure = new_figure(2.6 + 0.25 * len(chosen))
    axes = figure.subplots()
    image = _map(axes, table[chosen])
    axes.set_yticks(range(len(chosen)), [class_name(panel, int(index)) for index in chosen])
    axes.set_xticks(range(len(answers)), [short(name) for name in answers], rotation=45, ha="right", fontsize=8)
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, aspect=30, ticks=MaxNLocator(4))
    bar.set_label("recall less the reference's (points)")
    some = f": the {len(chosen)} of {len(known):,} classes that differ most" if len(chosen) < len(known) else ""
    set_title(figure, panel, f"Recall by class{some}")
    return figure


def _map(axes: Axes, table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> AxesImage:
    """Draws the map, with figures in its cells where there is room."""
    bound = max(float(np.nanmax(np.abs(table))), 0.1)
    # From orange over white to purple: told apart with any colour vision (ColorBrewer's PuOr).
    image = axes.imshow(table, cmap="PuOr", vmin=-bound, vmax=bound, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value) and abs(value) >= 0.05 and table.shape[1] <= 12:
            colour = "white" if abs(value) > 0.7 * bound else "black"
            text = f"{value:+.1f}" if abs(value) < 9.95 else f"{value:+.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


PLOTS = (
    Plot(
        "layers",
        "Error after each layer",
        "Signal-to-noise ratio of each layer's output against the float file of the same engine, from the first layer "
        "on top to the last; a layer without a point has no noise.",
        layer_errors,
        _has_errors,
    ),
    Plot(
        "recall",
        "Recall by class",
        "Share of each class's images answered rightly, less the reference's. Orange is worse, purple is better, an "
        "empty cell the same.",
        class_recall,
    ),
)
