"""Layers that compute in float32 as the exported integer file will: what is rounded there is rounded here.

The gradient takes roundings for the identity (straight through): Jacob et al. 2018, arXiv 1712.05877, section 3.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.typing import NDArray

from liteport.errors import InvalidInputError

_BITS = 8
_SMALLEST = 1e-6
"""The least upper end of a range, so that one of nothing but zeros has a scale too."""

MOMENTUM = 0.99
"""The part of a range that stays in a training step."""


@keras.saving.register_keras_serializable("liteport")
class FakeQuantize(layers.Layer):  # type: ignore[misc]
    """Rounds values to 8 bits with one scale and zero point for all.

    While training, the range follows the smallest and the largest value of each batch by a moving average; the first
    batch sets it. It holds 0 in any case, and 0 is one of the 256 values. Values outside are clipped and pass no
    gradient. A range that is not learned yet lets values through as they are. With `trainable` off it stays.

    Attributes:
        fixed: The range's ends, where the integer file's operation has them fixed; else None.
        shared: Whether the layer is used on several values, of which the range holds all: it then widens at once, and
            only narrows by the moving average.
        momentum: The part of the range that stays in a step.
        low: The range's lower end, a weight that no gradient changes.
        high: The upper end, likewise; 0 until the range is learned.
    """

    def __init__(
        self,
        fixed: tuple[float, float] | None = None,
        shared: bool = False,
        momentum: float = MOMENTUM,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = "float32",
    ) -> None:
        """Makes the layer; see the class for what is not told of every layer."""
        super().__init__(name=name, trainable=trainable, dtype=dtype)
        self.fixed = None if fixed is None else (float(fixed[0]), float(fixed[1]))
        self.shared = shared
        self.momentum = momentum
        self.low, self.high = (
            self.add_weight((), keras.initializers.Constant(end), trainable=False, name=part, aggregation="mean")
            for part, end in zip(("low", "high"), self.fixed or (0.0, 0.0), strict=True)
        )

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the values rounded; with `training`, the range follows them first."""
        if self.fixed:
            return self._rounded(inputs)
        if training and self.trainable:
            self._follow(inputs)
            return self._rounded(inputs)
        return ops.cond(self.high > 0, lambda: self._rounded(inputs), lambda: inputs)

    def _follow(self, inputs: tf.Tensor) -> None:
        stays = ops.where(self.high > 0, self.momentum, 0.0)
        for end, value, wider in (
            (self.low, ops.minimum(ops.min(inputs), 0.0), ops.minimum),
            (self.high, ops.maximum(ops.max(inputs), _SMALLEST), ops.maximum),
        ):
            moved = end * stays + value * (1 - stays)
            end.assign(wider(moved, value) if self.shared else moved)

    def _rounded(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.quantization.fake_quant_with_min_max_vars(inputs, self.low.value, self.high.value, num_bits=_BITS)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` takes."""
        return {**super().get_config(), "fixed": self.fixed, "shared": self.shared, "momentum": self.momentum}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Makes the layer again.

        Raises:
            InvalidInputError: If the config is of another precision than float32.
        """
        return _in_float32(super().from_config(config))


class _RoundedKernel(layers.Layer):  # type: ignore[misc]
    """A layer with a kernel that is rounded to few bits with a scale for each output channel.

    Attributes:
        weight_bits: Bits of a weight. The codes are symmetric: -127 to 127 of 8, -7 to 7 of 4.
    """

    weight_bits = _BITS
    _channel_axes = 1

    def rounded_kernel(self) -> tf.Tensor:
        """Returns the kernel as the integer file will have it: codes times scale."""
        return rounded_by_channel(self.kernel, self.weight_bits, self._channel_axes)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Applies the layer with the rounded kernel."""
        outputs = self._applied(inputs, self.rounded_kernel())
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` takes."""
        return {**super().get_config(), "weight_bits": self.weight_bits}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Makes the layer of its Keras counterpart's config and `weight_bits`.

        Raises:
            InvalidInputError: If the config is of another precision than float32.
        """
        config = dict(config)
        bits = config.pop("weight_bits")
        layer = super().from_config(config)
        layer.weight_bits = bits
        return _in_float32(layer)


@keras.saving.register_keras_serializable("liteport")
class FakeQuantizedConv2D(_RoundedKernel, layers.Conv2D):  # type: ignore[misc]
    """A Conv2D whose kernel is rounded."""

    def _applied(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return self.convolution_op(inputs, kernel)


@keras.saving.register_keras_serializable("liteport")
class FakeQuantizedDepthwiseConv2D(_RoundedKernel, layers.DepthwiseConv2D):  # type: ignore[misc]
    """A DepthwiseConv2D whose kernel is rounded."""

    _channel_axes = 2  # input channel and multiplier

    def _applied(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return ops.depthwise_conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)


@keras.saving.register_keras_serializable("liteport")
class FakeQuantizedDense(_RoundedKernel, layers.Dense):  # type: ignore[misc]
    """A Dense layer whose kernel is rounded."""

    def _applied(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return ops.matmul(inputs, kernel)


def rounded_by_channel(kernel: tf.Tensor, bits: int, channel_axes: int) -> tf.Tensor:
    """Rounds each channel of a kernel to multiples of its largest absolute value over 2^(bits-1) - 1.

    Args:
        kernel: Float32; its last axes make up the output channel.
        bits: At least 2.
        channel_axes: How many axes these are.

    Returns:
        The rounded kernel. Its gradient is that of the kernel as it is: nothing is clipped.
    """
    shape = kernel.shape
    columns = math.prod(shape[-channel_axes:])

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def straight_through(values: tf.Tensor) -> tuple[tf.Tensor, Any]:
        largest = tf.reduce_max(tf.abs(values), axis=0)
        rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            values, -largest, largest, num_bits=bits, narrow_range=True
        )
        return rounded, lambda upstream: upstream

    return ops.reshape(straight_through(ops.reshape(kernel, (-1, columns))), shape)


def scale_by_channel(kernel: NDArray[np.float32], bits: int, channel_axes: int) -> NDArray[np.float64]:
    """Returns the scale of each channel's codes; see `rounded_by_channel`. It is 0 for a channel of zeros."""
    columns = math.prod(kernel.shape[-channel_axes:])
    largest: NDArray[np.float64] = np.abs(kernel.reshape(-1, columns)).max(axis=0).astype(np.float64)
    largest /= 2 ** (bits - 1) - 1
    return largest


def _in_float32(layer: Any) -> Any:
    if layer.compute_dtype != "float32":
        raise InvalidInputError(
            f"quantization-aware layer {layer.name!r}: expected float32, found {layer.compute_dtype}, which has too "
            "few digits for 8 bits and a scale; train with precision float32"
        )
    return layer


ROUNDED_FORM: dict[type[layers.Layer], type[layers.Layer]] = {
    layers.Conv2D: FakeQuantizedConv2D,
    layers.DepthwiseConv2D: FakeQuantizedDepthwiseConv2D,
    layers.Dense: FakeQuantizedDense,
}
"""The layers with a kernel, and what stands for each while training."""
