"""Data sets to train with, to calibrate with and to measure on.

`load_dataset` needs numpy alone, except for the sources that Keras downloads, so it also works on a device.
"""

import contextlib
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError, unknown_name
from liteport.terminal import quiet_import

from .arrays import RawArrays, Split, check_classes, checked_images, checked_labels, read_npz

VALIDATION_PART = 12
"""One training image in so many is held out for validation: 5,000 of MNIST's 60,000."""

# The package may be installed as links to the checkout, and only the checkout has the file: resolve the link.
EMBEDDED_MNIST = Path(__file__).resolve().parent / "data" / "mnist.npz"

_CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one shape with labels, in three splits.

    Attributes:
        name: A short name, such as `"mnist"`.
        source: What `load_dataset` takes to load it again: a name, or the absolute path of a file.
        train: What a model learns from.
        validation: Held out of the training images, for choices made while developing.
        test: For the last measurement only; no choice and no calibration may see it.
        class_names: The name of each class, in the labels' order.
        seed: Of the choice of validation images.
    """

    name: str
    source: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    seed: int = 0

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The shape (H, W, C) of one image."""
        _, height, width, channels = self.train.images.shape
        return height, width, channels

    @cached_property
    def digest(self) -> str:
        """SHA-256 over type, shape and bytes of every array, in hexadecimal: equal for equal splits."""
        digest = hashlib.sha256()
        for split in (self.train, self.validation, self.test):
            for array in split:
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def load_dataset(source: str | Path, *, seed: int = 0) -> Dataset:
    """Loads a data set and holds a twelfth of its training images out for validation.

    Args:
        source: `"mnist"`, `"fashion_mnist"`, or the path of an .npz file with `x_train`, `y_train`, `x_test` and
            `y_test`: uint8 images (N, H, W) or (N, H, W, C) with one or three channels, integer labels (N,) or
            (N, 1), and if wished `class_names`, an array of str.
        seed: Chooses the validation images.

    Raises:
        NotFoundError: If a path does not exist, or a download is needed and there is no connection.
        InvalidInputError: If the name is unknown, or the file is not as described above.
        MissingDependencyError: If the source comes with Keras, and that is not installed.
    """
    if isinstance(source, str) and source in SOURCES:
        return _split(source, source, SOURCES[source](), seed)
    path = Path(source)
    if not path.exists() and isinstance(source, str) and path.suffix == "" and path.name == source:
        raise unknown_name("data source", source, [*SOURCES, "the path of an .npz file"])
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; expected {', '.join(SOURCES)} or the path of an .npz file")
    return _split(path.stem, str(path.absolute()), read_npz(path), seed)


def _split(name: str, source: str, raw: RawArrays, seed: int) -> Dataset:
    images, labels = _checked(raw.train, "train")
    test_images, test_labels = _checked(raw.test, "test")
    if images.shape[1:] != test_images.shape[1:]:
        raise InvalidInputError(
            f"x_train and x_test differ in image shape: {images.shape[1:]} and {test_images.shape[1:]}"
        )
    class_names = check_classes(labels, test_labels, raw.class_names)
    held_out = _held_out(labels, seed)
    return Dataset(
        name=name,
        source=source,
        train=Split(images[~held_out], labels[~held_out].astype(np.int64)),
        validation=Split(images[held_out], labels[held_out].astype(np.int64)),
        test=Split(test_images, test_labels.astype(np.int64)),
        class_names=class_names,
        seed=seed,
    )


def _checked(
    pair: tuple[NDArray[np.generic], NDArray[np.generic]], split: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = checked_images(pair[0], f"x_{split}")
    return images, checked_labels(pair[1], len(images), f"y_{split}")


def _held_out(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Marks the validation images: seeded, and each class in its proportion."""
    if seed < 0:
        raise InvalidInputError(f"seed: expected 0 or more, found {seed}")
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    marks = np.zeros(len(labels), dtype=np.bool_)
    marks[by_class[::VALIDATION_PART]] = True
    return marks


def _mnist() -> RawArrays:
    if EMBEDDED_MNIST.is_file():
        return read_npz(EMBEDDED_MNIST)
    return _from_keras("mnist")


def _fashion_mnist() -> RawArrays:
    return _from_keras("fashion_mnist")._replace(class_names=_CLOTHES)


def _from_keras(name: str) -> RawArrays:
    """Loads a data set by Keras's own loader, which keeps its download under ~/.keras."""
    quiet_import("tensorflow", "train")
    keras = quiet_import("keras", "train")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its progress bar must not end up in what a command prints
            train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises the bare class for a failed download
        if not isinstance(error.__context__, URLError):
            raise
        raise NotFoundError(
            f"{name} is not on this machine and could not be downloaded ({error.__context__.reason}); "
            "connect to the internet once, or give the path of an .npz file"
        ) from error
    return RawArrays(train, test)


SOURCES: dict[str, Callable[[], RawArrays]] = {"mnist": _mnist, "fashion_mnist": _fashion_mnist}
"""The sources that have a name; any other is the path of a file."""
