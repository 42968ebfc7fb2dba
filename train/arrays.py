"""The arrays that a data set is made of: reading them from an .npz file, and checking them."""

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, NotFoundError

from .sources.image_files import ImageFiles, ScannedImages

ARRAY_NAMES = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
FILES = "image files"

# What numpy and zipfile raise for a member that is truncated, altered, encrypted, pickled or lies about its size.
_DAMAGE = (
    ValueError,
    TypeError,
    EOFError,
    OSError,  # a seek to where no file can reach
    MemoryError,
    RuntimeError,  # encrypted; NotImplementedError, an unknown compression, is one too
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


Images = NDArray[np.uint8] | ImageFiles
"""uint8 (N, H, W, C): in memory, or read from files when indexed."""


class Split(NamedTuple):
    """Images and their labels.

    Attributes:
        images: uint8 (N, H, W, C), raw pixels.
        labels: int64 (N,), indices of classes.
    """

    images: Images
    labels: NDArray[np.int64]


Part = tuple[NDArray[Any] | ScannedImages, NDArray[Any]]
"""Images and labels, as a source gives them."""


class RawData(NamedTuple):
    """What a source gives, before it is checked and split.

    Attributes:
        train: What to train with; other splits are taken from it where the source has none.
        test: None where the source has none.
        class_names: None where the source has none.
        validation: None where the source has none.
        kind: What the source is, in words.
        sizes: How many images there are of each height and width, before they were resized; empty where all are as
            they were.
        skipped: Images that could not be read and were left out, and why.
    """

    train: Part
    test: Part | None
    class_names: tuple[str, ...] | None = None
    validation: Part | None = None
    kind: str = "arrays"
    sizes: Mapping[tuple[int, int], int] = {}
    skipped: tuple[str, ...] = ()


def read_npz(path: Path) -> RawData:
    """Reads `x_train`, `y_train`, `x_test`, `y_test` and, where there is one, `class_names`.

    Args:
        path: An .npz file.

    Raises:
        NotFoundError: If there is no such file.
        InvalidInputError: If it is not an .npz, is damaged, lacks an array or holds pickled objects.
    """
    if not path.exists():
        raise NotFoundError(f"{path} does not exist")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise InvalidInputError(f"{path} is not an .npz file (numpy.savez writes one)")
    with path.open("rb") as file:  # numpy leaves a file that it opened itself open when it is damaged
        try:
            archive = np.load(file, allow_pickle=False)
        except _DAMAGE as error:
            raise InvalidInputError(f"{path} is damaged: {_first_line(error)}") from error
        with archive:
            missing = [name for name in ARRAY_NAMES if name not in archive.files]
            if missing:
                raise InvalidInputError(
                    f"{path} lacks {', '.join(missing)}; expected {', '.join(ARRAY_NAMES)}, "
                    f"found {', '.join(map(repr, archive.files)) or 'nothing'}"
                )
            names = _member(path, archive, "class_names") if "class_names" in archive.files else None
            x_train, y_train, x_test, y_test = (_member(path, archive, name) for name in ARRAY_NAMES)
    return RawData((x_train, y_train), (x_test, y_test), None if names is None else _class_names(path, names))


def _member(path: Path, archive: Any, name: str) -> NDArray[Any]:
    try:
        value = archive[name]
    except _DAMAGE as error:
        if "allow_pickle" in str(error):
            raise InvalidInputError(
                f"{name} of {path} holds pickled objects, which could run code; save it as a plain array"
            ) from error
        raise InvalidInputError(f"{name} of {path} is damaged: {_first_line(error)}") from error
    if not isinstance(value, np.ndarray):  # a member without the .npy header comes back as bytes
        raise InvalidInputError(f"{name} of {path} is not a numpy array")
    return value


def _class_names(path: Path, names: NDArray[Any]) -> tuple[str, ...]:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise InvalidInputError(
            f"class_names of {path}: expected a one-dimensional array of str, found {_described(names)}"
        )
    return printable_names(tuple(str(name) for name in names), f"class_names of {path}")


def printable_names(names: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Returns the names of classes as they are.

    Raises:
        InvalidInputError: If one is empty, not printable or there twice.
    """
    if len(set(names)) != len(names) or not all(name and name.isprintable() for name in names):
        raise InvalidInputError(f"{where} are not distinct, printable and non-empty: {names}")
    return names


def checked_images(images: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Returns images as (N, H, W, C), without a copy.

    Args:
        images: uint8 (N, H, W) or (N, H, W, C), C one or three.
        name: What to call the array in an error.

    Raises:
        InvalidInputError: If type or shape is another, or there is no pixel.
    """
    if images.dtype != np.uint8:
        raise InvalidInputError(f"{name}: expected uint8 pixels from 0 to 255, found {images.dtype}")
    shaped = images[..., np.newaxis] if images.ndim == 3 else images
    if shaped.ndim != 4 or shaped.shape[-1] not in CHANNELS:
        raise InvalidInputError(
            f"{name}: expected images (N, H, W) or (N, H, W, C) with one or three channels, found {_described(images)}"
        )
    if shaped.size == 0:
        raise InvalidInputError(f"{name}: expected at least one image with pixels, found {_described(images)}")
    return shaped


def checked_labels(labels: NDArray[Any], count: int, name: str) -> NDArray[Any]:
    """Returns labels as (N,), of the integer type they have.

    Args:
        labels: Integers (N,) or (N, 1), from zero.
        count: The number of images.
        name: What to call the array in an error.

    Raises:
        InvalidInputError: If type or shape is another, the number differs from that of the images, or one is negative.
    """
    if labels.dtype.kind not in "iu":
        raise InvalidInputError(f"{name}: expected integer labels, found {labels.dtype}")
    if labels.shape not in {(count,), (count, 1)}:
        raise InvalidInputError(f"{name}: expected {count} labels, one an image, found {_described(labels)}")
    flat = labels.reshape(count)
    if flat.min() < 0:
        raise InvalidInputError(f"{name}: label {flat.min()} is out of range; labels count classes from 0")
    return flat


def check_classes(
    train: NDArray[Any],
    test: NDArray[Any],
    class_names: tuple[str, ...] | None,
    named: tuple[str, str] = ("y_train", "y_test"),
) -> tuple[str, ...]:
    """Checks the labels against the classes and returns the classes' names: their numbers where there are none.

    Args:
        train: Labels (N,) of the train split, none negative.
        test: Labels (N,) of the test split, none negative.
        class_names: The names, in the labels' order.
        named: What to call the labels in an error.

    Raises:
        InvalidInputError: If a label has no class, there is only one class, or a class has less than two training
            images (one of them may be held out for validation).
    """
    present, counts = np.unique(train, return_counts=True)
    classes = int(present[-1]) + 1 if class_names is None else len(class_names)
    known = f"{named[0] if class_names is None else 'class_names'} has {classes} classes, from 0"
    _check_below(classes, train, named[0], known)
    if classes < 2:
        raise InvalidInputError(f"{named[0]}: expected at least two classes, found one")
    # The labels present are sorted, so the first that is not its own index follows a gap. No array of `classes`
    # entries is made before this: a stray label of 2**40 must not ask for terabytes.
    gap = next((i for i in range(classes) if i >= len(present) or present[i] != i), None)
    lone = gap if gap is not None else next((i for i in range(classes) if counts[i] < 2), None)
    if lone is not None:
        found = 0 if gap is not None else 1
        told = f"class {lone}" if class_names is None else f"class {lone} ({class_names[lone]!r})"
        raise InvalidInputError(
            f"{named[0]}: {told} of {classes} has {found} images; expected at least two of each class, "
            "as one may be held out for validation"
        )
    _check_below(classes, test, named[1], known)
    return class_names or tuple(str(i) for i in range(classes))


def _check_below(classes: int, labels: NDArray[Any], name: str, known: str) -> None:
    highest = int(labels.max())
    if highest >= classes:
        raise InvalidInputError(f"{name}: label {highest} is out of range; {known}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _described(array: NDArray[Any]) -> str:
    return f"{array.dtype} {array.shape}"
