from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from liteport.errors import InvalidInputError
from liteport.train.qat.layers import (
    ROUNDED_FORM,
    FakeQuantize,
    rounded_by_channel,
)

KERNELS = {layers.Conv2D: (3, 3, 4, 6), layers.DepthwiseConv2D: (3, 3, 4, 2), layers.Dense: (20, 6)}


@pytest.fixture
def values() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("kind", KERNELS)
def test_kernels_are_codes_times_a_scale_by_channel(kind: type[Any], bits: int) -> None:
    kernel = np.random.default_rng(0).normal(size=KERNELS[kind]).astype(np.float32)
    axes = ROUNDED_FORM[kind]._channel_axes
    rounded = np.asarray(rounded_by_channel(kernel, bits, axes))

    most = 2 ** (bits - 1) - 1
    spatial = tuple(range(kernel.ndim - axes))
    scale = np.abs(kernel).max(axis=spatial, keepdims=True) / most
    codes = rounded / scale
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-4)  # of up to 127, a few roundings of float32
    np.testing.assert_array_equal(np.abs(np.round(codes)).max(axis=spatial), most)
    # half a step, and what float32 makes of a tie
    assert np.abs(rounded - kernel).max() <= (scale * 0.5001).max()
    assert rounded.shape == kernel.shape


def test_a_channel_of_zeros_stays_so() -> None:
    kernel = np.zeros((3, 2), np.float32)
    kernel[0, 0] = 0.7
    np.testing.assert_array_equal(rounded_by_channel(kernel, 8, 1), kernel)


def test_kernel_gradients_pass_roundings_whole() -> None:
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(rounded_by_channel(kernel, 4, 1) * np.arange(6.0, dtype=np.float32))
    # that of the largest weight of a channel too, which sets the scale
    np.testing.assert_array_equal(tape.gradient(loss, kernel), np.tile(np.arange(6.0), (20, 1)))


@pytest.mark.parametrize(
    ("plain", "shape"),
    [
        (layers.Conv2D(6, 3, strides=2, padding="same", activation="relu"), (2, 8, 8, 4)),
        (layers.Conv2D(6, 3, dilation_rate=2, use_bias=False, groups=2), (2, 8, 8, 4)),
        (layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, activation="relu6"), (2, 8, 8, 4)),
        (layers.Dense(6), (2, 5)),
        (layers.Dense(6), (2, 3, 5)),
    ],
)
def test_layers_compute_as_keras_own_with_a_rounded_kernel(plain: Any, shape: tuple[int, ...]) -> None:
    inputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    plain.build(shape)
    rounded = ROUNDED_FORM[type(plain)].from_config({**plain.get_config(), "weight_bits": 4})
    rounded.build(shape)
    rounded.set_weights(plain.get_weights())
    plain.set_weights([np.asarray(rounded.rounded_kernel()), *plain.get_weights()[1:]])
    np.testing.assert_allclose(rounded(inputs), plain(inputs), atol=1e-6)  # the same operations, fused or not


def test_a_range_is_learned_by_a_moving_average(values: NDArray[np.float32]) -> None:
    layer = FakeQuantize(momentum=0.75)
    np.testing.assert_array_equal(layer(values), values)  # nothing is learned yet

    layer(values, training=True)
    assert (float(layer.low), float(layer.high)) == (values.min(), values.max())
    layer(3 * values, training=True)
    # from x to 3 x by a quarter of the way
    np.testing.assert_allclose([layer.low, layer.high], [1.5 * values.min(), 1.5 * values.max()], rtol=1e-6)
    layer(9 * values)
    layer.trainable = False
    layer(9 * values, training=True)
    np.testing.assert_allclose([layer.low, layer.high], [1.5 * values.min(), 1.5 * values.max()], rtol=1e-6)


def test_a_shared_range_widens_at_once(values: NDArray[np.float32]) -> None:
    layer = FakeQuantize(shared=True, momentum=0.75)
    for factor in (1, 3, 2):
        layer(factor * values, training=True)
    np.testing.assert_allclose([layer.low, layer.high], [2.75 * values.min(), 2.75 * values.max()], rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 10.0, -10.0])
def test_values_are_rounded_to_256_with_zero_among_them(values: NDArray[np.float32], offset: float) -> None:
    layer = FakeQuantize()
    rounded = np.asarray(layer(values + np.float32(offset), training=True))

    low, high = float(layer.low), float(layer.high)
    assert low <= 0 < high
    step = (high - low) / 255
    codes = rounded / step
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)  # of up to 255, in float32
    assert codes.max() - codes.min() < 255.5
    # half a step, and as much again at the ends, which move for 0 to be a code
    assert np.abs(rounded - (values + offset)).max() <= 1.001 * step
    assert float(layer(np.zeros((1, 1), np.float32))[0, 0]) == 0


def test_nothing_but_zeros_has_a_range_too() -> None:
    layer = FakeQuantize()
    np.testing.assert_array_equal(layer(np.zeros((2, 3), np.float32), training=True), 0)
    assert float(layer.high) > 0


def test_gradients_pass_inside_the_range_alone() -> None:
    layer = FakeQuantize()
    layer(np.array([[-1.0, 1.0]], np.float32), training=True)
    given = tf.constant([[-1.5, -0.9, 0.0, 0.9, 1.5]])
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = tf.reduce_sum(layer(given))
    np.testing.assert_array_equal(tape.gradient(loss, given), [[0, 1, 1, 1, 0]])


def test_a_fixed_range_stays() -> None:
    layer = FakeQuantize(fixed=(0.0, 255 / 256))
    given = np.array([[0.0, 1 / 512 + 1e-4, 0.5, 2.0]], np.float32)
    np.testing.assert_allclose(layer(given, training=True), [[0, 1 / 256, 0.5, 255 / 256]], rtol=1e-6)
    again = FakeQuantize.from_config(layer.get_config())
    np.testing.assert_array_equal(again(given), layer(given))


def test_half_precision_is_refused() -> None:
    config = {**layers.Dense(2, name="dense").get_config(), "weight_bits": 8, "dtype": "mixed_bfloat16"}
    with pytest.raises(InvalidInputError, match=r"'dense': expected float32, found bfloat16.*with precision float32"):
        ROUNDED_FORM[layers.Dense].from_config(config)
    with pytest.raises(InvalidInputError, match="expected float32, found float16"):
        FakeQuantize.from_config({**FakeQuantize().get_config(), "dtype": "mixed_float16"})


def test_layers_are_known_to_keras_by_name() -> None:
    for layer in (FakeQuantize, *ROUNDED_FORM.values()):
        assert keras.saving.get_registered_name(layer) == f"liteport>{layer.__name__}"
