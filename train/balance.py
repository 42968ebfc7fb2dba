"""How evenly a data set's classes are filled."""

from typing import NamedTuple

import numpy as np

from .datasets import Dataset

IMBALANCED = 3.0
"""A largest class with more than so many times the images of the smallest is worth a remark."""

_FEW = 5


class Imbalance(NamedTuple):
    """The largest and the smallest class of the train split.

    Attributes:
        largest: Its name.
        smallest: Its name.
        most: Images of the largest.
        fewest: Images of the smallest, at least one.
    """

    largest: str
    smallest: str
    most: int
    fewest: int

    @property
    def ratio(self) -> float:
        """How many images the largest class has for one of the smallest."""
        return self.most / self.fewest

    @property
    def text(self) -> str:
        """The same in a sentence."""
        if self.most == self.fewest:
            return f"classes are balanced: {self.most:,} training images each"
        return (
            f"classes have {self.fewest:,} ({self.smallest!r}) to {self.most:,} ({self.largest!r}) training images, "
            f"{self.ratio:.2f} : 1"
        )


def imbalance(dataset: Dataset) -> Imbalance:
    """Finds the largest and the smallest class of the train split; of equal ones the first."""
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.class_names))
    most, fewest = int(counts.argmax()), int(counts.argmin())
    names = dataset.class_names
    return Imbalance(names[most], names[fewest], int(counts[most]), max(1, int(counts[fewest])))


def remarks(dataset: Dataset) -> tuple[str, ...]:
    """Returns what is to be known of the classes before a training: a sentence each, none where all is well."""
    found = []
    balance = imbalance(dataset)
    if balance.ratio > IMBALANCED:
        found.append(
            f"{balance.text}: a model does best on the large ones, and accuracy hides that; see each class in "
            "confusion.png, or gather more of the small ones"
        )
    for split in ("validation", "test"):
        counts = np.bincount(dataset.splits[split].labels, minlength=len(dataset.class_names))
        absent = [name for name, count in zip(dataset.class_names, counts, strict=True) if count == 0]
        if absent:
            more = f" and {len(absent) - _FEW:,} more" if len(absent) > _FEW else ""
            found.append(
                f"{split} has no images of {', '.join(map(repr, absent[:_FEW]))}{more}: "
                "its figures say nothing of those classes"
            )
    if dataset.skipped:
        found.append(
            f"images left out, as they cannot be read: {len(dataset.skipped):,}; the first: {dataset.skipped[0]}"
        )
    return tuple(found)
