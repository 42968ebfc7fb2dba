"""Images on their way into a model: order, scaling, augmentation, labels."""

import os

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .arrays import Split
from .augmentation import augmented
from .config import TrainConfig

SCALE = 1 / 255
"""What a raw pixel is multiplied by: [0, 255] becomes [0, 1]."""

_IN_PARALLEL = min(16, os.cpu_count() or 1)
_AHEAD = 2
"""Batches that are made at the same time, and that may wait to be trained with."""


class EpochPipeline:
    """Makes the batches of each epoch from (seed, epoch) alone, so that a resumed training sees what it would have.

    Args:
        split: The images to train with. An array is held once, as uint8; files are read batch by batch.
        classes: The depth of the one-hot labels.
        config: Batch size, augmentation and seed.
        teacher: A model whose answers to the same images are added to the labels.
    """

    def __init__(self, split: Split, classes: int, config: TrainConfig, teacher: keras.Model | None = None) -> None:
        self._images = tf.constant(split.images) if isinstance(split.images, np.ndarray) else split.images
        self._labels = tf.constant(split.labels)
        self._classes = classes
        self._config = config
        self._teacher = teacher

    @property
    def steps(self) -> int:
        """The number of batches of an epoch; the last one may be smaller."""
        return -(-len(self._labels) // self._config.batch_size)

    def batches(self, epoch: int) -> tf.data.Dataset:
        """Returns the batches of an epoch: float32 images (N, H, W, C) in [0, 1], and what is to be learned of them.

        That is float32 one-hot labels (N, classes), and with a teacher its probabilities behind them (N, 2 × classes).

        Args:
            epoch: From zero.
        """
        order = tf.constant(np.random.default_rng([self._config.seed, epoch]).permutation(len(self._labels)))
        size = self._config.batch_size
        augmentation = self._config.augmentation.of_epoch(epoch, self._config.epochs)
        epoch_seed = int(np.random.SeedSequence([self._config.seed, epoch]).generate_state(1)[0])

        def prepare(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen = order[number * size : (number + 1) * size]
            seed = tf.stack([tf.cast(epoch_seed, tf.int64), number])
            images = augmented(scaled(self._raw(chosen)), augmentation, seed)
            labels = tf.one_hot(tf.gather(self._labels, chosen), self._classes)
            if self._teacher is not None:
                labels = tf.concat([labels, self._teacher(images, training=False)], axis=1)
            return images, labels

        # The thread that tunes a pipeline sleeps for ever longer, and the end of an epoch waits until it wakes: in
        # TensorFlow 2.21 an epoch took up to twice its time.
        options = tf.data.Options()
        options.autotune.enabled = False
        numbers = tf.data.Dataset.range(self.steps)
        return numbers.map(prepare, num_parallel_calls=_IN_PARALLEL).prefetch(_AHEAD).with_options(options)

    def _raw(self, chosen: tf.Tensor) -> tf.Tensor:
        if isinstance(self._images, tf.Tensor):
            return tf.gather(self._images, chosen)
        read = tf.numpy_function(self._images.__getitem__, [chosen], tf.uint8, stateful=False)
        return tf.ensure_shape(read, [None, *self._images.shape[1:]])


def scaled(images: tf.Tensor | NDArray[np.uint8]) -> tf.Tensor:
    """Turns raw pixels into model input: uint8 (N, H, W, C) to float32 in [0, 1]."""
    return tf.cast(images, tf.float32) * SCALE
