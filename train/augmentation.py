"""Random changes of training images, as operations of the training graph.

Every random number comes from a seed of its own, so that a batch can be made again.
"""

import math
from collections.abc import Iterator

import tensorflow as tf

from .config import Augmentation

_FIELD = 4
"""The elastic field is random at so many points along each side, and smooth between them."""

_ERASED_AREA = (0.02, 0.2)
_ERASED_ASPECT = (0.3, 1 / 0.3)


def augmented(images: tf.Tensor, how: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Changes each image of a batch in its own way.

    Args:
        images: float32 (N, H, W, C) in [0, 1].
        how: What is done, and how much.
        seed: Two integers; equal seeds give equal changes.

    Returns:
        float32 (N, H, W, C) in [0, 1].
    """
    seeds = _seeds(seed)
    changed = images
    if how.moves:
        changed = sampled(changed, *_sources(tf.shape(images), how, seeds))
        if how.augmented < 1:
            chosen = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], next(seeds)) < how.augmented
            changed = tf.where(chosen, changed, images)
    if how.erasing:
        changed = _erased(changed, how.erasing, seeds)
    return tf.ensure_shape(changed, images.shape)


def _seeds(seed: tf.Tensor) -> Iterator[tf.Tensor]:
    number = 0
    while True:
        yield tf.random.experimental.stateless_fold_in(seed, number)
        number += 1


def _sources(shape: tf.Tensor, how: Augmentation, seeds: Iterator[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns for each pixel where its value is taken from: rows and columns, float32 (N, H, W) each."""
    count = shape[0]
    size = tf.cast(shape[1:3], tf.float32)

    def uniform(most: float, columns: int = 1) -> tf.Tensor:
        return tf.random.stateless_uniform([count, columns], next(seeds), -most, most)

    turn = uniform(math.radians(how.rotation))[:, 0]
    slant = tf.tan(uniform(math.radians(how.shear))[:, 0])
    scale = 1.0 / (1.0 + uniform(how.zoom, 2))
    moved = uniform(how.shift, 2) * size
    mirrored = 1.0 - 2.0 * tf.cast(uniform(1.0)[:, 0] < 0, tf.float32) if how.flip else tf.ones([count])
    cosine, sine = tf.cos(turn), tf.sin(turn)
    middle = (size - 1) / 2
    down = tf.range(size[0])[:, tf.newaxis] - middle[0]
    right = tf.range(size[1])[tf.newaxis, :] - middle[1]

    def place(axis: int, by_row: tf.Tensor, by_column: tf.Tensor) -> tf.Tensor:
        start = middle[axis] + moved[:, axis]
        # a sum of what rows and what columns bring: one pass over all pixels
        return (_each(start) + _each(by_row) * down) + _each(by_column) * right

    # from right to left: scaled and mirrored, slanted like italics, turned
    rows = place(0, (cosine - sine * slant) * scale[:, 0], -sine * scale[:, 1] * mirrored)
    columns = place(1, (sine + cosine * slant) * scale[:, 0], cosine * scale[:, 1] * mirrored)
    if how.elastic:
        noise = tf.random.stateless_normal([count, _FIELD, _FIELD, 2], next(seeds), stddev=how.elastic)
        # by products with matrices, which take a part of the time that resizing the field takes
        field = tf.einsum("rh,cw,nrca->anhw", _bicubic(shape[1]), _bicubic(shape[2]), noise)
        rows += field[0] * size[0]
        columns += field[1] * size[1]
    return rows, columns


def _each(values: tf.Tensor) -> tf.Tensor:
    return values[:, tf.newaxis, tf.newaxis]


def _bicubic(size: tf.Tensor) -> tf.Tensor:
    """Returns what takes `_FIELD` points to so many between them: float32 (_FIELD, size)."""
    unit = tf.eye(_FIELD)[:, :, tf.newaxis, tf.newaxis]
    return tf.image.resize(unit, [size, 1], "bicubic")[:, :, 0, 0]


def sampled(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Reads images at places between pixels, by bilinear interpolation.

    Args:
        images: float32 (N, H, W, C).
        rows: float32 (N, H', W'): where each pixel of the result is taken from. Beyond the edge is the edge.
        columns: As `rows`.

    Returns:
        float32 (N, H', W', C).
    """
    shape = tf.shape(images)
    top, down = _split(rows, shape[1])
    left, right = _split(columns, shape[2])
    # each pixel beside its neighbours, so that one read gives all four
    below = tf.concat([images[:, 1:], images[:, -1:]], 1)
    both = tf.stack([images, below])
    corners = tf.stack([both, tf.concat([both[:, :, :, 1:], both[:, :, :, -1:]], 3)])
    four = tf.transpose(tf.reshape(corners, [4, -1, shape[3]]), [1, 0, 2])
    first = _each(tf.range(shape[0]) * (shape[1] * shape[2]))
    upper_left, lower_left, upper_right, lower_right = tf.unstack(
        tf.gather(four, first + top * shape[2] + left), num=4, axis=-2
    )
    upper = upper_left + (upper_right - upper_left) * right
    lower = lower_left + (lower_right - lower_left) * right
    return upper + (lower - upper) * down


def _split(places: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the pixel before each place, int32 (N, H, W), and how far behind it that is, float32 (N, H, W, 1)."""
    places = tf.clip_by_value(places, 0.0, tf.cast(size - 1, tf.float32))
    pixels = tf.cast(places, tf.int32)  # floor, as nothing is below zero
    return pixels, (places - tf.cast(pixels, tf.float32))[..., tf.newaxis]


def _erased(images: tf.Tensor, probability: float, seeds: Iterator[tf.Tensor]) -> tf.Tensor:
    """Paints one rectangle of some of the images over with a grey of its own."""
    shape = tf.shape(images)
    count, size = shape[0], tf.cast(shape[1:3], tf.float32)

    def uniform(low: float = 0.0, high: float = 1.0) -> tf.Tensor:
        return tf.random.stateless_uniform([count], next(seeds), low, high)

    area = uniform(*_ERASED_AREA)
    aspect = tf.exp(uniform(*map(math.log, _ERASED_ASPECT)))
    sides = tf.minimum(tf.stack([tf.sqrt(area * aspect), tf.sqrt(area / aspect)], axis=-1), 1.0) * size
    start = tf.stack([uniform(), uniform()], axis=-1) * (size - sides)
    rows = _within(tf.range(size[0]), start[:, :1], sides[:, :1])
    columns = _within(tf.range(size[1]), start[:, 1:], sides[:, 1:])
    chosen = (uniform() < probability)[:, tf.newaxis, tf.newaxis]
    inside = (rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :] & chosen)[..., tf.newaxis]
    return tf.where(inside, uniform()[:, tf.newaxis, tf.newaxis, tf.newaxis], images)


def _within(places: tf.Tensor, start: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return (places >= start) & (places < start + length)
