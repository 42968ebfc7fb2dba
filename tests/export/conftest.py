"""Models and calibration data that are nobody's MNIST: colours, other sizes, layers of all kinds."""

import os
from collections.abc import Callable
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow says when it is imported is no test's output

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.export.learned import aware_of, learned
from liteport.export.tracing import Traced, trace
from liteport.train.qat import quantize_aware

layers = keras.layers


def _mobile() -> keras.Model:
    """RGB, batch norm, depthwise convolution, a residual, swish, global average; ends in logits."""
    image = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu6")(x)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.BatchNormalization()(y)
    x = layers.Activation("swish")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(5)(x), name="mobile")


def _rescaling() -> keras.Model:
    """Takes pixels from 0 to 255 and scales them itself."""
    return keras.Sequential(
        [
            keras.Input((20, 16, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ],
        name="rescaling",
    )


def _transposed() -> keras.Model:
    """A transposed convolution; ends in a sigmoid."""
    image = keras.Input((16, 16, 1))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)
    return keras.Model(image, layers.Dense(2, activation="sigmoid")(layers.GlobalMaxPooling2D()(x)), name="transposed")


class _Subclassed(keras.Model):
    """Written as a class; has neither `inputs` nor `outputs`."""

    def __init__(self) -> None:
        super().__init__(name="subclassed")
        self.steps = [layers.Conv2D(8, 3, activation="relu"), layers.Flatten(), layers.Dense(3, activation="softmax")]

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        for step in self.steps:
            x = step(x)
        return x


def _subclassed() -> keras.Model:
    model = _Subclassed()
    model(np.zeros((1, 12, 12, 3), np.float32))
    return model


MODELS: dict[str, Callable[[], keras.Model]] = {
    "mobile": _mobile,
    "rescaling": _rescaling,
    "transposed": _transposed,
    "subclassed": _subclassed,
}


@pytest.fixture(scope="session", params=MODELS)
def foreign_model(request: pytest.FixtureRequest) -> keras.Model:
    """A model whose weights are drawn, not trained: its answers mean nothing, but they must survive the export."""
    keras.utils.set_random_seed(2)
    return MODELS[request.param]()


def _aware(bits: int) -> keras.Model:
    """Quantization-aware, with ranges of noise: a residual, what TensorFlow Lite gives one range, what it fixes."""
    keras.utils.set_random_seed(8)
    image = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="stem")(image)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu6", bias_initializer="normal", name="spatial")(x)
    x = layers.Add(name="add")([x, layers.Conv2D(8, 1, bias_initializer="normal", name="project")(y)])
    x = layers.Concatenate(name="joined")([layers.Conv2D(4, 1, activation="relu", name="left")(x), x])
    x = layers.Conv2D(8, 2, padding="same", activation="swish", name="curved")(layers.MaxPooling2D(2)(x))
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D(name="mean")(x))
    model = quantize_aware(
        keras.Model(image, layers.Dense(4, activation="softmax", name="output")(x), name="aware"), weight_bits=bits
    )
    model(np.random.default_rng(2).random((16, 10, 10, 3), np.float32), training=True)  # as a step of training would
    return model


@pytest.fixture(scope="session")
def aware_models() -> dict[int, keras.Model]:
    """Quantization-aware models with weights of 8 and of 4 bits."""
    return {bits: _aware(bits) for bits in (8, 4)}


@pytest.fixture(scope="session")
def aware_traced(aware_models: dict[int, keras.Model], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Traced]:
    """Their rounded forms with the learned ranges, as the integer formats take them."""
    traced = {}
    for bits, model in aware_models.items():
        found = aware_of(model)
        assert found is not None
        form = trace(found.rounded, tmp_path_factory.mktemp("rounded"))
        traced[bits] = replace(form, learned=learned(found, batch=None))
    return traced


@pytest.fixture(scope="session")
def noise() -> NDArray[np.float32]:
    """Model input of `aware_models`, none of which they have seen."""
    return np.random.default_rng(3).random((100, 10, 10, 3), np.float32)
