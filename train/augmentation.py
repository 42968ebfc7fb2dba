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
        changed = sampled(changed, _sources(tf.shape(images), how, seeds))
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


def _sources(shape: tf.Tensor, how: Augmentation, seeds: Iterator[tf.Tensor]) -> tf.Tensor:
    """Returns for each pixel where its value is taken from: float32 (N, H, W, 2), row and column."""
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
    # from right to left: scaled and mirrored, slanted like italics, turned
    matrix = tf.stack(
        [
            tf.stack([(cosine - sine * slant) * scale[:, 0], -sine * scale[:, 1] * mirrored], axis=-1),
            tf.stack([(sine + cosine * slant) * scale[:, 0], cosine * scale[:, 1] * mirrored], axis=-1),
        ],
        axis=1,
    )
    rows, columns = tf.range(size[0]), tf.range(size[1])
    grid = tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=-1)
    middle = (size - 1) / 2
    turned = tf.matmul(tf.reshape(grid - middle, [1, -1, 2]), matrix, transpose_b=True)
    places = tf.reshape(turned, [count, shape[1], shape[2], 2]) + (middle + moved)[:, tf.newaxis, tf.newaxis]
    if how.elastic:
        noise = tf.random.stateless_normal([count, _FIELD, _FIELD, 2], next(seeds), stddev=how.elastic)
        places += tf.image.resize(noise, shape[1:3], "bicubic") * size
    return places


def sampled(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Reads images at places between pixels, by bilinear interpolation.

    Args:
        images: float32 (N, H, W, C).
        places: float32 (N, H', W', 2): row and column, one each for a pixel of the result. Beyond the edge is the edge.

    Returns:
        float32 (N, H', W', C).
    """
    shape = tf.shape(images)
    last = shape[1:3] - 1
    places = tf.clip_by_value(places, 0.0, tf.cast(last, tf.float32))
    low = tf.cast(places, tf.int32)  # floor, as nothing is below zero
    part = places - tf.cast(low, tf.float32)
    # each pixel beside its neighbours, so that one read gives all four: four reads were measured to take twice as long
    both = tf.concat([images, tf.concat([images[:, :, 1:], images[:, :, -1:]], 2)], -1)
    four = tf.concat([both, tf.concat([both[:, 1:], both[:, -1:]], 1)], -1)
    first = tf.range(shape[0])[:, tf.newaxis, tf.newaxis] * (shape[1] * shape[2])
    index = first + low[..., 0] * shape[2] + low[..., 1]
    read = tf.gather(tf.reshape(four, [-1, 4 * shape[3]]), index)
    down, right = part[..., :1], part[..., 1:]
    upper_left, upper_right, lower_left, lower_right = tf.split(read, 4, axis=-1)
    upper = upper_left + (upper_right - upper_left) * right
    lower = lower_left + (lower_right - lower_left) * right
    return upper + (lower - upper) * down


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
