"""A compiled model whose steps are taken by several replicas together."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .replicas import Replicas


class Spread:
    """Has each replica compute its part of each batch, and keeps what each holds for itself in order.

    Args:
        model: Made by `Replicas.placed` and compiled, with metrics that hold their variables already.
        replicas: Where it is trained.
    """

    def __init__(self, model: keras.Model, replicas: Replicas) -> None:
        self._replicas = replicas
        self._random = [variable for variable in model.variables if variable.name == "seed_generator_state"]
        if replicas.strategy is None:
            return
        for layer in _layers(model):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # over the whole batch, as on one device
        self._statistics = [
            variable
            for variable in model.non_trainable_variables
            if "float" in variable.dtype and variable.name != "seed_generator_state"
        ]
        self._average = tf.function(self._averaged)
        self._assign = tf.function(self._assigned)
        model.train_function = _train_function(model, replicas)

    def seed(self, seed: int, epoch: int) -> None:
        """Sets the generators of dropout and the like for an epoch, each replica's its own; no file holds their state.

        The first replica has the numbers that a training on one device has.
        """
        states = [
            [
                np.random.SeedSequence([seed, epoch, number, *own]).generate_state(2)
                for number in range(len(self._random))
            ]
            for own in ([], *([replica] for replica in range(1, self._replicas.count)))
        ]
        if self._replicas.strategy is None:
            for variable, state in zip(self._random, states[0], strict=True):
                variable.assign(state.astype(variable.dtype))
        elif self._random:
            self._replicas.strategy.run(
                self._assign, args=(tf.constant(np.array(states).astype(self._random[0].dtype)),)
            )

    def settle(self) -> None:
        """Gives the statistics that layers keep, such as batch norm's and ranges, their mean over the replicas.

        Each replica keeps them of the images it saw. With equal ones a training that goes on from the chief's files
        does what it would have done.
        """
        if self._replicas.strategy is not None and self._statistics:
            with self._replicas.heeding_others(), self._replicas.waiting():
                self._replicas.strategy.run(self._average)

    def _averaged(self) -> None:
        context = tf.distribute.get_replica_context()
        values = [tf.identity(variable.value) for variable in self._statistics]
        means = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
        for variable, mean in zip(self._statistics, means, strict=True):
            variable.assign(mean)

    def _assigned(self, states: tf.Tensor) -> None:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for number, variable in enumerate(self._random):
            variable.assign(tf.gather(states, replica)[number])


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _train_function(model: keras.Model, replicas: Replicas) -> Callable[[Iterator[Any]], dict[str, tf.Tensor]]:
    """Returns what Keras calls for each step of an epoch: it takes a whole batch from an iterator."""
    count = replicas.count
    strategy = replicas.strategy or tf.distribute.get_strategy()

    def on_replica(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return model.train_step(part_of(images, labels, replica, count))  # type: ignore[no-any-return]

    def step(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        logs = strategy.run(on_replica, args=(images, labels))
        return {name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for name, value in logs.items()}

    traced = tf.function(step, reduce_retracing=True)

    def train_function(batches: Iterator[Any]) -> dict[str, tf.Tensor]:
        images, labels = next(batches)  # its end ends the epoch
        with replicas.waiting():
            return traced(images, labels)  # type: ignore[no-any-return]

    return train_function


def part_of(
    images: tf.Tensor, labels: tf.Tensor, replica: tf.Tensor | int, count: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns a replica's part of a batch: images, labels, and weights of the images.

    Keras takes the mean loss over each part and then the mean over the replicas. The weights make that the mean over
    the batch where the parts differ in size. A replica for which nothing is left gets one image of weight zero.

    Args:
        images: (N, H, W, C).
        labels: (N, classes).
        replica: From zero.
        count: The number of replicas.
    """
    size = tf.shape(images)[0]
    start, end = size * replica // count, size * (replica + 1) // count
    weight = tf.cast((end - start) * count, tf.float32) / tf.cast(size, tf.float32)
    start = tf.minimum(start, size - 1)
    end = tf.maximum(end, start + 1)
    return images[start:end], labels[start:end], tf.fill([end - start], weight)
