"""The figure of test images that variants and their reference see differently."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liteport.errors import InvalidInputError

from ..results import Disagreement, Picture
from .figures import BLUE, ORANGE, Plot, class_name, new_figure, set_title, short
from .panels import Panel

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST = 12
_COLUMNS = 2
_MOST_NAMES = 5
_LINE = 0.145  # inches


@dataclass(frozen=True)
class Disputed:
    """A test image, and who answers what.

    Attributes:
        image: Its index in the test split.
        label: The right class.
        reference: The reference's answer.
        answers: Other answers, each with the variants that give it.
    """

    image: int
    label: int
    reference: int
    answers: dict[int, list[str]]


def disputed(panel: Panel) -> list[Disputed]:
    """Returns the images with a picture on which most variants disagree with the reference, those first."""
    shown = {picture.image for picture in _own(panel)}
    found: dict[int, list[tuple[str, Disagreement]]] = {}
    for row, measurement in panel.measured:
        for entry in measurement.answers.disagreements if measurement.answers else ():
            if entry.image in shown:
                found.setdefault(entry.image, []).append((row.variant, entry))
    images = sorted(found, key=lambda image: (-len(found[image]), image))
    return [_together(found[image]) for image in images]


def _own(panel: Panel) -> list[Picture]:
    return [picture for picture in panel.pictures if picture.data_digest == panel.bundle.data_digest]


def _together(entries: list[tuple[str, Disagreement]]) -> Disputed:
    first = entries[0][1]
    answers: dict[int, list[str]] = {}
    for variant, entry in entries:
        answers.setdefault(entry.answer, []).append(variant)
    return Disputed(first.image, first.label, first.reference, answers)


def disagreements(panel: Panel) -> Figure | None:
    """Draws those images in a grid, each beside its right class, the reference's answer and the others'."""
    entries = disputed(panel)[:_MOST]
    if not entries:
        return None
    pictures = {picture.image: picture for picture in _own(panel)}
    rows = -(-len(entries) // _COLUMNS)
    texts = [_text(panel, entry) for entry in entries]
    heights = [
        max(0.9, 0.1 + _LINE * max(len(text) for text in texts[row * _COLUMNS : (row + 1) * _COLUMNS]))
        for row in range(rows)
    ]
    figure = new_figure(0.55 + sum(heights) + 0.2 * bool(panel.where))
    grid = figure.subplots(rows, 2 * _COLUMNS, squeeze=False, height_ratios=heights, width_ratios=(1, 1.9) * _COLUMNS)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (entry, text) in enumerate(zip(entries, texts, strict=True)):
        left, right = grid[number // _COLUMNS, 2 * (number % _COLUMNS) :][:2]
        _show(left, _pixels(pictures[entry.image]))
        _write(right, text)
    total = len(disputed(panel))
    some = f", {len(entries)} of {total}" if len(entries) < total else ""
    set_title(figure, panel, f"Images that variants see differently{some}")
    return figure


def _text(panel: Panel, entry: Disputed) -> list[tuple[str, str]]:
    """Returns lines and their colours."""
    lines = [(f"image {entry.image:,}", "#555555")]
    answers = {entry.reference: ["the reference"], **entry.answers}
    for answer, variants in {entry.label: answers.get(entry.label, ["nobody here"]), **answers}.items():
        right = answer == entry.label
        lines.append((f"{class_name(panel, answer)}{' (right)' * right}", BLUE if right else ORANGE))
        lines += [(f"  {short(name)}", "black") for name in variants[:_MOST_NAMES]]
        if len(variants) > _MOST_NAMES:
            lines.append((f"  and {len(variants) - _MOST_NAMES} more", "black"))
    return lines


def _write(axes: Axes, lines: list[tuple[str, str]]) -> None:
    for number, (text, colour) in enumerate(lines):
        axes.annotate(
            text,
            (0, 1),
            (0, -72 * _LINE * number),
            xycoords="axes fraction",
            textcoords="offset points",
            va="top",
            color=colour,
            fontsize=7.5,
            fontweight="bold" if colour in (BLUE, ORANGE) else "normal",
            annotation_clip=False,
        )


def _show(axes: Axes, pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_anchor("N")


def _pixels(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    from matplotlib.image import imread
    from PIL import UnidentifiedImageError

    try:
        return imread(io.BytesIO(base64.b64decode(picture.png, validate=True)), format="png")
    except (binascii.Error, UnidentifiedImageError, SyntaxError, OSError) as error:
        raise InvalidInputError(
            f"the picture of test image {picture.image} is no PNG in base64 ({error}); make the report anew"
        ) from error


PLOTS = (
    Plot(
        "disagreements",
        "Images that variants see differently",
        "What the reference and the variants answer: blue is right, orange is wrong. "
        "Those on which most variants disagree with the reference come first.",
        disagreements,
    ),
)
