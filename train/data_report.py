"""What is in a data set: pixels, and images that are there more than once."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liteport.terminal import ProgressCallback, no_progress

from .arrays import Images
from .datasets import Dataset

_BYTES_AT_ONCE = 1 << 24
_ORDER = ("train", "validation", "test")


class Place(NamedTuple):
    """Where an image is.

    Attributes:
        split: The split's name.
        number: Its index there.
    """

    split: str
    number: int


@dataclass(frozen=True)
class DataReport:
    """Figures of a data set.

    Attributes:
        mean: Of the train split's pixels, by channel, of 0 to 255.
        deviation: Their standard deviation.
        leaks: Images of validation and test whose very pixels are in a split before: the image, and the first such one.
        contradictions: Images of the same pixels and different labels: the first of them, and the first with another.
        repeated: How many training images are there before them already.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    leaks: tuple[tuple[Place, Place], ...]
    contradictions: tuple[tuple[Place, Place], ...]
    repeated: int

    def leaked(self, split: str) -> int:
        """Returns how many images of a split are in another before it."""
        return sum(place.split == split for place, _ in self.leaks)


def examine(dataset: Dataset, progress: ProgressCallback = no_progress) -> DataReport:
    """Looks at every pixel once.

    Args:
        dataset: The data.
        progress: Called as work proceeds.
    """
    channels = dataset.input_shape[2]
    sums, squares = np.zeros(channels), np.zeros(channels)
    places: defaultdict[bytes, list[Place]] = defaultdict(list)
    total, done = sum(len(split.labels) for split in dataset.splits.values()), 0
    for name in _ORDER:
        for start, images in blocks(dataset.splits[name].images):
            if name == "train":
                # exact: sums of integers, each below 2**53
                sums += images.sum(axis=(0, 1, 2), dtype=np.uint64)
                squares += np.square(images, dtype=np.uint32).sum(axis=(0, 1, 2), dtype=np.uint64)
            for number, image in enumerate(images):
                places[hashlib.blake2b(image.tobytes(), digest_size=16).digest()].append(Place(name, start + number))
            done += len(images)
            if dataset.streamed:
                progress("comparing images", done, total, "")
    count = len(dataset.train.labels) * dataset.input_shape[0] * dataset.input_shape[1]
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    same = [found for found in places.values() if len(found) > 1]
    return DataReport(
        mean=tuple(map(float, mean)),
        deviation=tuple(map(float, deviation)),
        leaks=tuple(leak for found in same for leak in _leaks(found)),
        contradictions=tuple(pair for found in same for pair in _contradiction(dataset, found)),
        repeated=sum(max(0, sum(place.split == "train" for place in found) - 1) for found in same),
    )


def blocks(images: Images) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yields images some at a time, and the index of the first of them.

    Args:
        images: (N, H, W, C).
    """
    step = max(1, _BYTES_AT_ONCE // int(np.prod(images.shape[1:])))
    for start in range(0, len(images), step):
        yield start, images[start : start + step]


def describe_place(dataset: Dataset, place: Place) -> str:
    """Names an image: its file where it has one, and what it is."""
    label = dataset.class_names[dataset.splits[place.split].labels[place.number]]
    if dataset.files is None:
        return f"{place.split}[{place.number}] ({label!r})"
    return f"{dataset.files[place.split].paths[place.number]} ({place.split})"


def _leaks(found: list[Place]) -> Iterator[tuple[Place, Place]]:
    for place in found:
        if place.split != found[0].split:  # the places are in the splits' order
            yield place, found[0]


def _contradiction(dataset: Dataset, found: list[Place]) -> Iterator[tuple[Place, Place]]:
    labels = [int(dataset.splits[place.split].labels[place.number]) for place in found]
    other = next((place for place, label in zip(found, labels, strict=True) if label != labels[0]), None)
    if other is not None:
        yield found[0], other
