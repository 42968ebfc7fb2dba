"""All figures of a report, as PNG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from liteport.errors import require

from ..results import Report
from .figures import Plot, drawing, to_png
from .panels import Panel, panels


@dataclass(frozen=True)
class Drawing:
    """A figure that was drawn.

    Attributes:
        file: Its file's name.
        title: What it shows, with the device or bundle where there are several.
        alt: The same for those who do not see it.
        note: How to read it.
        png: The picture.
    """

    file: str
    title: str
    alt: str
    note: str
    png: bytes


def draw_all(report: Report) -> list[Drawing]:
    """Draws every figure that the report has data for.

    Raises:
        MissingDependencyError: If matplotlib is not installed.
        InvalidInputError: If a picture in the report is damaged.
    """
    require("matplotlib", "benchmarks")
    with drawing():
        return [found for plot in _plots() for found in _draw(plot, report)]


def _plots() -> Iterator[Plot]:
    from . import plot_accuracy, plot_cost, plot_layers, plot_pictures, plot_time

    accuracy_latency, robustness = plot_accuracy.PLOTS
    size, instructions = plot_cost.PLOTS
    latency, roofline = plot_time.PLOTS
    layers, recall = plot_layers.PLOTS
    yield from (accuracy_latency, size, latency, roofline, instructions)
    yield from (recall, robustness, layers, *plot_pictures.PLOTS)


def _draw(plot: Plot, report: Report) -> Iterator[Drawing]:
    names: set[str] = set()
    for panel in panels(report, plot.shared):
        figure = plot.draw(panel)
        if figure is None:
            continue
        file = _file_name(plot, panel, names)
        names.add(file)
        title = f"{plot.title}: {panel.where}" if panel.where else plot.title
        alt = f"{title}. {plot.note} The figures stand in the tables."
        yield Drawing(file, title, alt, plot.note, to_png(figure))


def _file_name(plot: Plot, panel: Panel, taken: set[str]) -> str:
    """Returns a name that is safe on any system and not taken."""
    where = re.sub(r"[^a-z0-9]+", "-", panel.where.lower()).strip("-")[:60]
    stem = "-".join(filter(None, (plot.name, where)))
    names = (f"{stem}.png", *(f"{stem}-{number}.png" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)
