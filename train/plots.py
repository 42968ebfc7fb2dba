"""Pictures of the data before a training and of its result after it.

Matplotlib's object interface keeps no global state and needs no display.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from liteport.files import replacing

from .arrays import Split
from .balance import imbalance
from .datasets import Dataset

if TYPE_CHECKING:  # it brings TensorFlow, which pictures of data need not wait for
    from .record import History

# Two colours of Okabe and Ito's palette (2008), and black: told apart by readers with any colour vision.
_BLUE, _ORANGE, _BLACK = "#0072B2", "#D55E00", "#000000"
_DPI = 120
_MOST_NAMED = 30  # above so many classes their names are no longer readable on an axis
_MOST_ROWS = 12
_COLUMNS = 10
_MOST_PIXELS = 128
_MOST_CELLS_WRITTEN = 15
_MOST_MISTAKES = 30


def save_data_plots(dataset: Dataset, folder: Path) -> None:
    """Writes `labels.png` and `samples.png` into a folder, which is made if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    _save(label_distribution(dataset), folder / "labels.png")
    _save(samples(dataset.train, dataset.class_names), folder / "samples.png")


def save_result_plots(history: "History", predicted: NDArray[np.float32], dataset: Dataset, folder: Path) -> None:
    """Writes `curves.png`, `confusion.png` and `mistakes.png` into a folder, which is made if it does not exist.

    Args:
        history: `loss`, `accuracy`, `val_loss` and `val_accuracy` of each epoch.
        predicted: Probabilities (N, classes) for the test split.
        dataset: The data.
        folder: Where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = confusion(dataset.test.labels, predicted.argmax(axis=1), len(dataset.class_names))
    _save(curves(history), folder / "curves.png")
    _save(confusion_matrix(counts, dataset.class_names), folder / "confusion.png")
    _save(worst_mistakes(predicted, dataset.test, dataset.class_names), folder / "mistakes.png")


def label_distribution(dataset: Dataset) -> Figure:
    """Draws the number of images of each class, one panel a split, with a line at their mean."""
    classes = len(dataset.class_names)
    figure = _figure(min(14.0, max(7.0, 1.5 + 0.45 * classes)), 7.5)
    panels = figure.subplots(3, 1, sharex=True)
    for axes, (name, split) in zip(panels, dataset.splits.items(), strict=True):
        mean = len(split.labels) / classes
        axes.bar(range(classes), np.bincount(split.labels, minlength=classes), color=_BLUE)
        axes.axhline(mean, color=_ORANGE, linestyle="--")
        axes.set_title(f"{name}: {len(split.labels):,} images, {mean:,.1f} a class (line)", loc="left", fontsize=10)
        axes.set_ylabel("images")
        _plain(axes)
    _name_classes(panels[-1], dataset.class_names, "x")
    ratio = imbalance(dataset).ratio
    figure.suptitle(f"{dataset.name}: images of each class, {ratio:.2f} : 1 from largest to smallest on train")
    return figure


def samples(split: Split, class_names: tuple[str, ...]) -> Figure:
    """Draws the first images of each class, one row a class, the first classes where there are many."""
    rows = min(len(class_names), _MOST_ROWS)
    _, full_height, full_width, channels = split.images.shape
    step = -(-max(full_height, full_width) // _MOST_PIXELS)  # no more than are shown
    height, width = -(-full_height // step), -(-full_width // step)
    gap = max(1, height // 14)
    paper = 0 if channels == 1 else 255  # in the grey map used here zero is white
    mosaic = np.full((rows * (height + gap), _COLUMNS * (width + gap), channels), paper, dtype=np.uint8)
    for label in range(rows):
        for column, index in enumerate(np.flatnonzero(split.labels == label)[:_COLUMNS]):
            top, left = label * (height + gap), column * (width + gap)
            mosaic[top : top + height, left : left + width] = split.images[index][::step, ::step]
    figure = _figure(9.0, 0.6 + 0.9 * rows * height / width)
    axes = figure.subplots()
    _bare(axes)
    _show(axes, mosaic)
    axes.set_yticks([label * (height + gap) + (height - 1) / 2 for label in range(rows)], class_names[:rows])
    axes.tick_params(axis="y", length=0)
    shown = "" if rows == len(class_names) else f" (the first {rows} of {len(class_names)} classes)"
    axes.set_title(f"Training images of each class{shown}", pad=12)
    return figure


def curves(history: "History") -> Figure:
    """Draws loss and accuracy after each epoch, for the train and the validation split."""
    figure = _figure(10.0, 4.2)
    epochs = range(1, len(history["loss"]) + 1)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, history[name], color=_BLUE, marker="o", linestyle="--", label="train (mean over the epoch)")
        axes.plot(epochs, history[f"val_{name}"], color=_ORANGE, marker="s", label="validation (after the epoch)")
        axes.set_title(name, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        _plain(axes)
    figure.axes[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    return figure


def confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts images by class and prediction: (classes, classes), rows are the true classes."""
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def confusion_matrix(counts: NDArray[np.int64], class_names: tuple[str, ...]) -> Figure:
    """Draws a confusion matrix; the colour is the part of the row, which shows rare confusions as well."""
    classes = len(class_names)
    size = 7.0 if classes <= _MOST_CELLS_WRITTEN else 9.0
    figure = _figure(size + 0.8, size)
    axes = figure.subplots()
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # the square root lifts the few percent off the diagonal, which are what one looks for
    image = axes.imshow(np.sqrt(parts), cmap="Blues", vmin=0, vmax=1)
    if classes <= _MOST_CELLS_WRITTEN:
        for row, column in zip(*np.nonzero(counts), strict=True):
            dark = parts[row, column] > 0.3
            axes.text(
                column, row, f"{counts[row, column]}", ha="center", va="center", color="white" if dark else _BLACK
            )
    ticks = np.array([0, 0.01, 0.1, 0.25, 0.5, 1])
    bar = figure.colorbar(image, ax=axes, ticks=np.sqrt(ticks), shrink=0.8, label="part of the true class")
    bar.ax.set_yticklabels([f"{tick:.0%}" for tick in ticks])
    _name_classes(axes, class_names, "x")
    _name_classes(axes, class_names, "y")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    total = int(counts.sum())
    axes.set_title(f"Test split: {int(np.trace(counts)):,} of {total:,} images right", loc="left")
    return figure


def worst_mistakes(predicted: NDArray[np.float32], test: Split, class_names: tuple[str, ...]) -> Figure:
    """Draws the wrongly classified images whose true class got the lowest probability, the worst first."""
    answers = predicted.argmax(axis=1)
    wrong = np.flatnonzero(answers != test.labels)
    worst = wrong[np.argsort(predicted[wrong, test.labels[wrong]], kind="stable")][:_MOST_MISTAKES]
    rows = max(1, -(-len(worst) // 6))
    figure = _figure(10.0, 0.6 + 1.9 * rows)
    grid = figure.subplots(rows, 6, squeeze=False).ravel()
    for axes in grid:
        _bare(axes)
    for axes, index in zip(grid, worst, strict=False):
        _show(axes, test.images[index])
        true, answer = int(test.labels[index]), int(answers[index])
        axes.set_title(
            f"true {_short(class_names[true], 9)}, {predicted[index, true]:.1%}\n"
            f"predicted {_short(class_names[answer], 9)}, {predicted[index, answer]:.1%}",
            fontsize=8,
        )
    figure.suptitle(f"The worst {len(worst)} of {len(wrong):,} mistakes on {len(test.labels):,} test images")
    return figure


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.06))
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as beside:
        figure.savefig(beside, bbox_inches="tight", pad_inches=0.15)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    if image.shape[-1] == 1:
        axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=255)
    else:
        axes.imshow(image)


def _short(name: str, most: int = 12) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _name_classes(axes: Axes, class_names: tuple[str, ...], which: str) -> None:
    """Puts the names at an axis; where there are too many for that, leaves numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if len(class_names) > _MOST_NAMED:
        axis.set_major_locator(MaxNLocator(integer=True))
        axis.set_label_text("class")
        return
    axis.set_ticks(range(len(class_names)))
    axis.set_ticklabels([_short(name) for name in class_names])
    if which == "x" and max(map(len, class_names)) > 3:
        axes.tick_params(axis="x", labelrotation=45)
