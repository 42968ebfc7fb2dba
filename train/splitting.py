"""Which images a model learns from, which are held out for choices, and which for the last measurement."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.pixels import resized

from .arrays import FILES, Images, Part, RawData, check_classes, checked_images, checked_labels
from .sources.image_files import ScannedImages

VALIDATION_PART = 12
"""One training image in so many is held out for validation: 5,000 of MNIST's 60,000."""

TEST_PART = 6
"""One image in so many is the test split of data that comes without one."""

_TEST_SEED = 0
_FEWEST = 3  # two to train with, one to test with


class Divided(NamedTuple):
    """A data set's parts, checked.

    Attributes:
        train: Images and labels.
        validation: The same.
        test: The same.
        class_names: By label.
    """

    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]


def divide(raw: RawData, seed: int, image_size: tuple[int, int] | None) -> Divided:
    """Checks what a source gives, and takes from its training images the splits that it lacks.

    Args:
        raw: What it gives.
        seed: Chooses the validation images.
        image_size: Height and width that arrays are brought to; None leaves them as they are.

    Raises:
        InvalidInputError: If images, labels and classes do not fit each other; see `arrays`.
    """
    given = {"train": raw.train, "validation": raw.validation, "test": raw.test}
    parts = {split: _checked(part, split, image_size) for split, part in given.items() if part is not None}
    _check_one_shape({f"x_{split}": images.shape[1:] for split, (images, _) in parts.items()})
    images, labels = parts["train"]
    identities = images.identities if isinstance(images, ScannedImages) else np.arange(len(labels))
    if "test" not in parts:
        marks = part_for_test(labels, identities, raw.class_names or ())
        parts["test"], (images, labels) = _taken(images, labels, marks), _taken(images, labels, ~marks)
        identities = identities[~marks]
    named = ("y_train", "y_test") if raw.class_names is None or raw.kind != FILES else ("train", "test")
    different = np.unique(identities, return_index=True)[1]
    class_names = check_classes(labels[different], parts["test"][1], raw.class_names, named)
    if "validation" not in parts:
        marks = held_out(labels, seed, identities)
        parts["validation"], (images, labels) = _taken(images, labels, marks), _taken(images, labels, ~marks)
    return Divided((images, labels), parts["validation"], parts["test"], class_names)


def held_out(labels: NDArray[Any], seed: int, identities: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks the validation images: seeded, and each class in its proportion.

    Args:
        labels: (N,) integers.
        seed: Chooses them.
        identities: Equal numbers for images that are the same: they stay together, on one side.

    Returns:
        (N,), true for about one in `VALIDATION_PART`.
    """
    _, first, back = np.unique(identities, return_index=True, return_inverse=True)
    labels = labels[first]
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    marks = np.zeros(len(labels), dtype=np.bool_)
    marks[by_class[::VALIDATION_PART]] = True
    return marks[back.reshape(-1)]


def part_for_test(
    labels: NDArray[Any], identities: NDArray[np.int64], class_names: tuple[str, ...]
) -> NDArray[np.bool_]:
    """Marks the test images of data without a test split: each class in its proportion, at least one of each.

    It does not depend on a training's seed: what one training has not seen is new to all trainings on the same data.

    Args:
        labels: (N,) integers.
        identities: As for `held_out`.
        class_names: By label.

    Returns:
        (N,), true for about one in `TEST_PART`.

    Raises:
        InvalidInputError: If a class has too few different images.
    """
    _, first, back = np.unique(identities, return_index=True, return_inverse=True)
    counts = np.bincount(labels[first], minlength=len(class_names))
    if counts.min() < _FEWEST:
        label = int(counts.argmin())
        raise InvalidInputError(
            f"class {class_names[label]!r} has {counts[label]} different images; expected at least {_FEWEST}: "
            "two to train with and one for the test split, which is taken from them as there is no test folder"
        )
    marks = np.zeros(len(first), np.bool_)
    shuffled = np.random.default_rng(_TEST_SEED).permutation(len(first))
    for label, count in enumerate(counts):
        of_class = shuffled[labels[first][shuffled] == label]
        marks[of_class[: max(1, round(count / TEST_PART))]] = True
    return marks[back.reshape(-1)]


def _checked(part: Part, split: str, image_size: tuple[int, int] | None) -> Part:
    images, labels = part
    if isinstance(images, ScannedImages):
        return part
    images = checked_images(images, f"x_{split}")
    labels = checked_labels(labels, len(images), f"y_{split}")
    return images if image_size is None else resized(images, *image_size), labels


def _check_one_shape(shapes: dict[str, tuple[int, ...]]) -> None:
    if len(set(shapes.values())) > 1:
        raise InvalidInputError(
            f"{' and '.join(shapes)} differ in image shape: {' and '.join(map(str, shapes.values()))}"
        )


def _taken(images: NDArray[np.uint8] | ScannedImages, labels: NDArray[Any], marks: NDArray[np.bool_]) -> Part:
    indices = np.flatnonzero(marks)
    return images.take(indices) if isinstance(images, ScannedImages) else images[indices], labels[indices]


def shown(images: NDArray[np.uint8] | ScannedImages) -> Images:
    """Returns what `Split` holds: pixels, or what reads them."""
    return images.images() if isinstance(images, ScannedImages) else images
