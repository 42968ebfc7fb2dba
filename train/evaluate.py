"""What a model is worth on images with known labels."""

from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from .arrays import Images, Split
from .pipeline import scaled

_PIXELS_AT_ONCE = 400_000  # 500 images of MNIST
_SMALLEST = 1e-7  # what Keras's own cross-entropy clips a probability to


class Metrics(NamedTuple):
    """Figures of a model on a split.

    Attributes:
        loss: Mean cross-entropy, in nats, without label smoothing.
        accuracy: The part of the images whose most probable class is the right one.
    """

    loss: float
    accuracy: float


def probabilities(model: keras.Model, images: Images) -> NDArray[np.float32]:
    """Returns the model's output (N, classes) for raw pixels (N, H, W, C), read some at a time."""
    step = max(1, _PIXELS_AT_ONCE // (images.shape[1] * images.shape[2]))
    # called directly: Model.predict would trace a new graph for each model and size of the last batch
    parts = [model(scaled(images[i : i + step]), training=False) for i in range(0, len(images), step)]
    return np.concatenate([np.asarray(part, dtype=np.float32) for part in parts])


def metrics(predicted: NDArray[np.float32], labels: NDArray[np.int64]) -> Metrics:
    """Compares probabilities (N, classes) with labels (N,)."""
    right = predicted[np.arange(len(labels)), labels].astype(np.float64)
    loss = -np.log(np.maximum(right, _SMALLEST)).mean()
    return Metrics(float(loss), float((predicted.argmax(axis=1) == labels).mean()))


def evaluate(model: keras.Model, split: Split) -> Metrics:
    """Measures a model on a split."""
    return metrics(probabilities(model, split.images), split.labels)
