"""The images that integer variants are calibrated on, and those that every variant is verified on.

Calibration data fixes the ranges of activations, so it must look like what the model will see: it is drawn from the
train split (or from what the user gives), never made up, and never from the test split. Verification uses images that
neither training nor calibration has seen, where there are any.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.runtime.manifest import CalibrationInfo, Preprocessing, TensorSpec
from liteport.runtime.preprocessing import to_batch
from liteport.runtime.quantization import pixel_encoder, pixel_table
from liteport.train import Dataset

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Samples:
    """Images with or without labels.

    Attributes:
        images: (N, H, W, C): uint8 raw pixels, or float32 prepared model input.
        labels: (N,) integers, or None.
        source: The data set's name.
        split: Which part of it.
    """

    images: NDArray[Any]
    labels: NDArray[np.integer] | None
    source: str
    split: str

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.intp]) -> "Samples":
        """Returns the samples at these indices."""
        labels = None if self.labels is None else self.labels[indices]
        return Samples(self.images[indices], labels, self.source, self.split)


def prepared(images: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Returns model input, float32, as the runtime makes it from raw pixels; floating images pass as they are."""
    if images.dtype != np.uint8:
        return images
    channels = images.shape[-1]
    table = pixel_table(preprocessing, TensorSpec("input", "float32", (None, *images.shape[1:])), channels)
    return pixel_encoder(table)(images).astype(np.float32, copy=False)


def gather(
    calibration: Any, verify: Any, *, shape: Shape, count: int, verify_count: int, seed: int
) -> tuple[Samples | None, Samples | None]:
    """Draws calibration and verification data from what the user gives.

    Args:
        calibration: A `Dataset`, an array of images, a pair (images, labels), or None.
        verify: The same; None for what `calibration` holds out: a data set's validation split, or the images of an
            array that were not drawn.
        shape: The model's input shape, batch first.
        count: How many images to calibrate on; fewer if there are fewer.
        verify_count: How many images to verify on.
        seed: Which ones are drawn.

    Returns:
        Calibration data and verification data; None where nothing was given for it.

    Raises:
        InvalidInputError: If images do not fit the model, or none are there.
    """
    if count < 1 or verify_count < 1:
        raise InvalidInputError(f"sample counts are {count} and {verify_count}, expected at least 1")
    pools = None if calibration is None else _pools(calibration, "calibration", shape)
    drawn = rest = None
    if pools is not None:
        order = _balanced_order(pools[0], seed)
        drawn = pools[0].take(order[:count])
        rest = pools[1] or pools[0].take(order[count:])
    if verify is not None:
        pool, validation = _pools(verify, "verification", shape)
        rest = validation or pool
    if rest is not None and not len(rest):
        rest = None
    return drawn, rest.take(_balanced_order(rest, seed)[:verify_count]) if rest is not None else None


def describe(samples: Samples, seed: int) -> CalibrationInfo:
    """Returns what the manifest says of calibration data; the digest covers the images in their order."""
    digest = hashlib.sha256(f"{samples.images.dtype.str}{samples.images.shape}".encode())
    digest.update(np.ascontiguousarray(samples.images).data)
    return CalibrationInfo(samples.source, samples.split, len(samples), seed, digest.hexdigest())


def _pools(given: Any, what: str, shape: Shape) -> tuple[Samples, Samples | None]:
    """Returns the images to draw from, and the held-out ones where the data has a split of its own for that."""
    if isinstance(given, Dataset):
        return (
            _checked(given.train.images, given.train.labels, given.name, "train", shape),
            _checked(given.validation.images, given.validation.labels, given.name, "validation", shape),
        )
    images, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    return _checked(images, None if labels is None else np.asarray(labels), what, "given", shape), None


def _checked(images: Any, labels: NDArray[Any] | None, source: str, split: str, shape: Shape) -> Samples:
    batch = to_batch(images, shape, f"{source} images")
    if not len(batch):
        raise InvalidInputError(f"{source} ({split}) holds no images")
    if labels is not None and labels.shape != (len(batch),):
        raise InvalidInputError(f"{source} ({split}) has {len(batch)} images but labels of shape {labels.shape}")
    return Samples(batch, labels, source, split)


def _balanced_order(samples: Samples, seed: int) -> NDArray[np.intp]:
    """An order of all samples whose every beginning holds the classes as evenly as there are images of them."""
    order = np.random.default_rng(seed).permutation(len(samples))
    if samples.labels is None:
        return order
    labels = samples.labels[order]
    by_class = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_class], labels[by_class], side="left")
    turn = np.empty(len(order), np.intp)  # how many of its class come before it
    turn[by_class] = np.arange(len(order)) - starts
    return order[np.argsort(turn, kind="stable")]
