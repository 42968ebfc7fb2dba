"""What the workers are asked, as files that they map into their memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.terminal import ProgressCallback
from liteport.train import Dataset

from .blocks import read_blocks, write_npy
from .lone_files.foreign import ForeignFile, ForeignFiles
from .results import Settings
from .robustness import ALTERATIONS, alter

FEW_IMAGES = 32
TEST = "test"


@dataclass(frozen=True)
class Asked:
    """What a variant is asked.

    Attributes:
        few: What single inferences take in turn: a .npy file of images for `Model.predict`; or an .npz file with an
            array for each input, for `Model.run`.
        sets: Images to be classified, by name: "test", and each alteration. They stand in a random order, so that
            the first of them are a sample. Empty where there are no labels.
        order: Index in the test split of each image of "test".
        labels: The right class of each of them.
        class_names: By class.
        source: Where the arrays come from that lone files are asked.
        outputs: For each output of the first of lone files, the index of this one's own.
    """

    few: Path
    sets: dict[str, Path] = field(default_factory=dict)
    order: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    class_names: Sequence[str] = ()
    source: str = ""
    outputs: tuple[int, ...] = ()


def ask_images(data: Dataset, settings: Settings, folder: Path, progress: ProgressCallback) -> Asked:
    """Writes a test split in a random order, and altered copies of its first images.

    Args:
        data: The data set.
        settings: How to measure.
        folder: Where to write; it is made.
        progress: Called as work proceeds.
    """
    folder.mkdir()
    order = _order(len(data.test.images), settings.seed)
    sets = {TEST: folder / "test.npy"}
    _save_in_order(sets[TEST], data.test.images.__getitem__, order)
    _save(folder / "few.npy", data.test.images[order[:FEW_IMAGES]])
    names = list(ALTERATIONS) if settings.robustness else []
    images = data.test.images[order[: settings.robustness]] if names else data.test.images[:0]
    for done, name in enumerate(names):
        progress("altered copies", done, len(names), name)
        sets[name] = folder / f"{name}.npy"
        _save(sets[name], alter(images, name, settings.seed))
    if names:
        progress("altered copies", len(names), len(names), ", ".join(names))
    labels = np.asarray(data.test.labels, np.int64)[order]
    return Asked(folder / "few.npy", sets, order, labels, data.class_names)


def ask_file(file: ForeignFile, files: ForeignFiles, settings: Settings, folder: Path) -> Asked:
    """Writes what a lone file is asked: all items where their labels are known, in a random order; else its inputs.

    Args:
        file: The file.
        files: It, and those that it is compared with.
        settings: How to measure.
        folder: Where to write; it is made.
    """
    folder.mkdir()
    if files.labels is None:
        file.save_inputs(folder / "few.npz")
        return Asked(folder / "few.npz", source=files.source, outputs=file.output_order)
    order = _order(len(files.labels), settings.seed)
    _save_in_order(folder / "test.npy", file.items, order)
    _save(folder / "few.npy", file.items(order[:FEW_IMAGES]))
    names = files.data.class_names if files.data else tuple(map(str, range(int(files.labels.max()) + 1)))
    return Asked(folder / "few.npy", {TEST: folder / "test.npy"}, order, files.labels[order], names, files.source)


def _save(path: Path, values: NDArray[Any]) -> None:
    _save_in_order(path, values.__getitem__, np.arange(len(values)))


def _save_in_order(path: Path, read: Callable[[NDArray[np.int64]], NDArray[Any]], order: NDArray[np.int64]) -> None:
    try:
        with path.open("wb") as file:
            write_npy(file, read_blocks(read, order), len(order))
    except OSError as error:
        reason = error.strerror or "No space left for what the variants are asked; name a larger folder: TMPDIR"
        raise OSError(error.errno or ENOSPC, reason, str(path)) from error


def _order(count: int, seed: int) -> NDArray[np.int64]:
    order: NDArray[np.int64] = np.random.default_rng(seed).permutation(count)
    return order
