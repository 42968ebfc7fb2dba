"""Test images that variants disagree on, small enough to be kept in a report."""

import base64
import io
from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from liteport.errors import require
from liteport.train.arrays import Images

from .inputs import Subject
from .results import Picture, Row

MOST = 24
EDGE = 64  # pixels at most


def choose_pictures(rows: Iterable[Row], images: Images, digest: str) -> list[Picture]:
    """Returns the images that most variants see otherwise than their reference.

    Args:
        rows: What was measured on these images.
        images: (N, H, W, C) uint8, the test split.
        digest: The data set's SHA-256.

    Raises:
        MissingDependencyError: If Pillow, which comes with Matplotlib, is not installed.
    """
    measured = [row.measurement.answers for row in rows if row.measurement is not None]
    counts = Counter(entry.image for answers in measured if answers is not None for entry in answers.disagreements)
    chosen = sorted(counts, key=lambda image: (-counts[image], image))[:MOST]
    return [Picture(digest, image, base64.b64encode(_png(images[image])).decode()) for image in chosen]


def all_pictures(subjects: Collection[Subject], rows: tuple[Row, ...]) -> tuple[Picture, ...]:
    """Chooses pictures of each data set, once for all bundles that were asked about it."""
    found: list[Picture] = []
    for digest, data in {subject.data.digest: subject.data for subject in subjects if subject.data}.items():
        names = {subject.name for subject in subjects if subject.data and subject.data.digest == digest}
        found += choose_pictures([row for row in rows if row.bundle in names], data.test.images, digest)
    return tuple(found)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    image_module = require("PIL.Image", "image")
    image = image_module.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((EDGE, EDGE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
