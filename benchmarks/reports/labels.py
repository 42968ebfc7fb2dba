"""Writing names beside points so that none covers another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

# Where a label may stand beside its point, right and up of it in typographic points: level with it, or in a stack of
# labels that lines fan out to. The nearest free place wins.
_BESIDE = 8
_PLACES = sorted(
    [(side * _BESIDE, 0) for side in (1, -1)]
    + [
        (side * right, up * level * 12)
        for side in (1, -1)
        for right in (16, 30)
        for level in range(1, 13)
        for up in (1, -1)
    ],
    key=lambda place: abs(place[0]) + abs(place[1]),
)
_POINT_RADIUS = 4.0  # typographic points
_LINE_STEPS = 20


@dataclass(frozen=True)
class Label:
    """What to write at a point, in the axes' units, and in which colour."""

    text: str
    x: float
    y: float
    colour: str


def place_labels(axes: Axes, labels: list[Label]) -> None:
    """Writes each label at the nearest place where it covers no point, no other label and no line to one.

    The layout must be final: draw the canvas before.
    """
    points = axes.transData.transform([(label.x, label.y) for label in labels])
    radius = _POINT_RADIUS * axes.figure.dpi / 72
    marks = [_around(x, y, radius) for x, y in points]
    texts: list[Bbox] = []
    lines: list[Bbox] = []
    for label, point in sorted(zip(labels, points, strict=True), key=lambda pair: (pair[0].x, pair[0].y)):
        # In a crowd without such a place lines may cross; texts never do while there is room at all.
        box = (
            _place(axes, label, tuple(point), marks + texts + lines, texts)
            or _place(axes, label, tuple(point), marks + texts, [])
            or _place(axes, label, tuple(point), texts, [])
            or _text_box(_annotate(axes, label, _PLACES[0]))
        )
        texts.append(box)
        lines += _along(tuple(point), box)


def _place(
    axes: Axes, label: Label, point: tuple[float, float], not_under_text: list[Bbox], not_under_line: list[Bbox]
) -> Bbox | None:
    """Writes a label at the nearest place that leaves these boxes free, and returns its text's box."""
    frame = axes.get_window_extent()
    text = _annotate(axes, label, _PLACES[0])
    for place in _PLACES:
        _move(text, place)
        box = _text_box(text)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        crosses = any(step.overlaps(other) for step in _along(point, box) for other in not_under_line)
        if inside and not crosses and not any(box.overlaps(other) for other in not_under_text):
            text.remove()
            return _text_box(_annotate(axes, label, place))
    text.remove()
    return None


def _move(text: Annotation, place: tuple[int, int]) -> None:
    text.xyann = place
    text.set_horizontalalignment("left" if place[0] > 0 else "right")


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
        fontsize=8.5,
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


def _around(x: float, y: float, radius: float) -> Bbox:
    from matplotlib.transforms import Bbox

    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _along(point: tuple[float, float], box: Bbox) -> list[Bbox]:
    """Returns small boxes along the way from a point to the nearest place of a text's box."""
    x, y = point
    to_x, to_y = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
    steps = [step / _LINE_STEPS for step in range(_LINE_STEPS)]
    return [_around(x + (to_x - x) * step, y + (to_y - y) * step, 1) for step in steps]
