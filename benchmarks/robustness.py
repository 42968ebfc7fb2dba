"""Altered copies of test images: quantization may cost nothing on clean images and much on those that users take.

Strengths go by the size of the image, so that an alteration looks alike at 28 and at 224 pixels, and are mild: a person
still sees what it is. Each image gets its own, drawn by a seed. What an alteration moves in from beyond an edge is the
edge's nearest pixel, so a black border stays black.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from liteport.errors import InvalidInputError, require, unknown_name

_FARTHEST_SHIFT = 0.075  # of a side: 2 of 28 pixels, 17 of 224
_WIDEST_ANGLE = 15.0
_NOISE = 0.08  # as in the mildest of D. Hendrycks and T. Dietterich, ICLR 2019 (arXiv 1903.12261)
_BLUR = (0.0125, 0.025)  # of the shorter side: up to 0.7 of 28 pixels, 5.6 of 224

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Alteration:
    """Something that is done to an image.

    Attributes:
        strength: How much, in words.
        apply: Makes the altered copy of an image, (H, W, C), with what chance the generator gives.
    """

    strength: str
    apply: Callable[[Pixels, np.random.Generator], Pixels]


def alter(images: Pixels, name: str, seed: int) -> Pixels:
    """Makes an altered copy of each image.

    The same seed gives the same copies, and an image's copy does not depend on how many images follow it.

    Args:
        images: Raw pixels, (N, H, W, C).
        name: Of the alteration, a key of `ALTERATIONS`.
        seed: Of what is drawn for each image.

    Returns:
        Raw pixels of the same shape.

    Raises:
        InvalidInputError: If the name is unknown, or `images` are no raw pixels.
        MissingDependencyError: If SciPy is not installed.
    """
    if name not in ALTERATIONS:
        raise unknown_name("alteration", name, ALTERATIONS)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InvalidInputError(f"expected uint8 images (N, H, W, C), got {images.dtype} of shape {images.shape}")
    rng = np.random.default_rng([seed, *name.encode()])  # so that alterations do not share what they draw
    altered = np.empty_like(images)
    for copy, image in zip(altered, images, strict=True):
        copy[...] = ALTERATIONS[name].apply(image, rng)
    return altered


def _shifted(image: Pixels, rng: np.random.Generator) -> Pixels:
    height, width, _ = image.shape
    down, right = (round(side * rng.uniform(-_FARTHEST_SHIFT, _FARTHEST_SHIFT)) for side in (height, width))
    rows = (np.arange(height) - down).clip(0, height - 1)
    columns = (np.arange(width) - right).clip(0, width - 1)
    shifted: Pixels = image[rows[:, np.newaxis], columns]
    return shifted


def _rotated(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Turns about the centre, interpolating between the four pixels around."""
    ndimage = require("scipy.ndimage", "benchmarks")
    angle = radians(rng.uniform(-_WIDEST_ANGLE, _WIDEST_ANGLE))
    turn = np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])
    centre = (np.array(image.shape[:2]) - 1) / 2
    turned = np.empty_like(image)
    for channel in range(image.shape[2]):
        turned[..., channel] = ndimage.affine_transform(
            image[..., channel], turn, centre - turn @ centre, order=1, mode="nearest"
        )
    return turned


def _noisy(image: Pixels, rng: np.random.Generator) -> Pixels:
    return _to_pixels(image + 255 * _NOISE * rng.standard_normal(image.shape, dtype=np.float32))


def _blurred(image: Pixels, rng: np.random.Generator) -> Pixels:
    ndimage = require("scipy.ndimage", "benchmarks")
    width = min(image.shape[:2]) * rng.uniform(*_BLUR)
    return _to_pixels(ndimage.gaussian_filter(image, (width, width, 0), mode="nearest", output=np.float32))


def _to_pixels(values: NDArray[np.float32]) -> Pixels:
    return np.rint(values).clip(0, 255).astype(np.uint8)


ALTERATIONS: dict[str, Alteration] = {
    "shifted": Alteration("up to ±7.5 % of width and height", _shifted),
    "rotated": Alteration("up to ±15°", _rotated),
    "noisy": Alteration("Gaussian, standard deviation 8 % of the range", _noisy),
    "blurred": Alteration("Gaussian, standard deviation 1.25 to 2.5 % of the shorter side", _blurred),
}
"""What `alter` does, by name."""
