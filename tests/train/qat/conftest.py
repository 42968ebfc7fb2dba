"""A small model with one of each sort of place that quantization-aware training treats in its own way."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from liteport.train.qat import quantize_aware


def lively(model: keras.Model) -> keras.Model:
    """Gives batch norm other figures than those it starts with, which would leave folding nothing to do."""
    random = np.random.default_rng(5)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights(
                [random.uniform(0.5, 2, weight.shape).astype(np.float32) for weight in layer.get_weights()]
            )
    return model


@pytest.fixture(scope="session")
def images() -> NDArray[np.float32]:
    """32 images of noise in [0, 1]."""
    return np.random.default_rng(1).random((32, 8, 8, 3), dtype=np.float32)


@pytest.fixture(scope="session")
def classifier() -> keras.Model:
    """Batch norm after a convolution, a depthwise one and a sum; a residual, dropout and pooling; softmax within."""
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 3), name="input")
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="spatial")(x)
    y = layers.ReLU(6.0, name="spatial_relu")(layers.BatchNormalization(name="spatial_norm")(y))
    y = layers.Conv2D(6, 1, name="project")(y)
    x = layers.Add(name="add")([x, layers.Dropout(0.2, name="drop")(y)])
    x = layers.BatchNormalization(name="add_norm")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return lively(keras.Model(image, layers.Dense(4, activation="softmax", name="output")(x), name="small"))


@pytest.fixture(scope="session")
def make_aware(classifier: keras.Model, images: NDArray[np.float32]) -> Callable[[int], Any]:
    """Makes a quantization-aware `classifier` of so many bits, which has seen the images once, as in training."""

    def make(bits: int) -> Any:
        model = quantize_aware(classifier, weight_bits=bits)
        model(images, training=True)
        return model

    return make


@pytest.fixture(scope="session")
def aware(make_aware: Callable[[int], Any]) -> Any:
    """Of 8 bits. Shared: do not train it."""
    return make_aware(8)
