"""Draws the pictures of docs/quantization.md from the example bundle `fast`, and prints the figures in its text.

`python docs/site/pictures.py` writes them anew.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from liteport.benchmarks.reports.figures import BLUE, GREEN, GREY, ORANGE
from liteport.runtime.activations import Probe
from liteport.runtime.noise import snr_db
from liteport.train import load_dataset

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = ROOT / "docs" / "images"
BUNDLE = ROOT / "examples" / "fast"
KERNEL = "fast_1/conv2_1/convolution"
VALUES = "fast_1/conv2_relu_1/Relu"
ABOVE: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "frameon": False,
    "ncols": 2,
}
COUNT = 500  # images, as many as the export calibrates on


@contextmanager
def picture(name: str, width: float = 7.0, height: float = 2.6) -> Iterator[Axes]:
    """Gives axes to draw on, and writes an SVG that is the same each time."""
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})


def grid(values: NDArray[np.float32]) -> None:
    """What eight levels make of a few values, and which integers stand for them."""
    low, high, levels = 0.0, 1.75, 8
    scale = (high - low) / (levels - 1)
    rounded = np.clip(np.rint(values / scale), 0, levels - 1) * scale
    with picture("grid", height=2.0) as axes:
        for level in range(levels):
            axes.plot([level * scale] * 2, [-0.12, 0.12], color=GREY, linewidth=1)
            axes.text(level * scale, -0.2, f"{level - 4}\n{level * scale:.2f}", ha="center", va="top", color=GREY)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.plot(values, np.full(values.shape, 0.55), "o", color=BLUE, label="a value")
        axes.plot(rounded, np.zeros(values.shape), "s", color=ORANGE, label="what it is stored as")
        for value, stored in zip(values, rounded, strict=True):
            axes.annotate("", (stored, 0.06), (value, 0.5), arrowprops={"arrowstyle": "->", "color": GREY})
        axes.set(ylim=(-0.7, 0.75), yticks=[], xticks=[])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.legend(**ABOVE)


def channels(kernel: NDArray[np.float32]) -> None:
    """The largest weight of each output channel, beside the largest of all."""
    largest = np.sort(np.abs(kernel).reshape(len(kernel), -1).max(axis=1))[::-1]
    with picture("channels") as axes:
        axes.bar(np.arange(len(largest)), largest, color=BLUE, label="largest weight of the channel: its own range")
        axes.axhline(largest[0], color=ORANGE, linewidth=2, label="one range for the whole tensor")
        axes.set(xlabel="output channel, by size", ylabel="|weight|", xticks=[])
        axes.legend(**ABOVE)
    for bits in (8, 4):
        each = np.abs(kernel).reshape(len(kernel), -1).max(axis=1).reshape(-1, 1, 1, 1)
        for what, most in (("per tensor", np.abs(kernel).max()), ("per channel", each)):
            print(f"{bits} bits, {what}: {snr_db(symmetric(kernel, most, bits), kernel):.1f} dB")


def symmetric(kernel: NDArray[np.float32], most: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Rounds weights to integers of both signs, and back."""
    scale = most / (2 ** (bits - 1) - 1)
    return np.asarray(np.rint(kernel / scale) * scale, np.float32)


def calibration(values: NDArray[np.float32]) -> None:
    """How often each size of an activation occurs, and the ranges that two methods take."""
    high, rare = float(values.max()), float(np.percentile(values, 99.9))
    with picture("calibration") as axes:
        axes.hist(values[values > 0], bins=80, color=BLUE, log=True)
        for edge, colour, what in ((high, ORANGE, "maximum"), (rare, GREEN, "99.9th percentile")):
            axes.axvline(edge, color=colour, linewidth=2, label=f"{what}: {edge:.2f}, steps of {edge / 255:.4f}")
        axes.set(xlabel="activation above zero", ylabel="how often")
        axes.legend(**ABOVE)
    print(f"activations: maximum {high:.2f}, 99.9th percentile {rare:.2f}, zero {np.mean(values == 0):.0%}")


def main() -> None:
    """Draws all."""
    IMAGES.mkdir(exist_ok=True)
    digits = load_dataset("mnist").train.images[:COUNT].astype(np.float32) / 255
    with Probe((BUNDLE / "tflite-float32.tflite").read_bytes(), ".tflite") as probe:
        made = (probe.contents.tensors[op.outputs[0]].name for op in probe.contents.ops)
        values = next(name for name in made if name.startswith(VALUES))
        found = probe.run({"input": digits}, [KERNEL, values])
    drawn: list[tuple[Callable[[NDArray[np.float32]], None], NDArray[np.float32]]] = [
        (grid, np.array([0.07, 0.41, 0.6, 1.04, 1.31, 1.62], np.float32)),
        (channels, found[KERNEL]),
        (calibration, found[values]),
    ]
    for draw, values in drawn:
        draw(values)


if __name__ == "__main__":
    main()
