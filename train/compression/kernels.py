"""The kernels of a Keras model, and the form that an optimizer keeps them in."""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from liteport.errors import InvalidInputError

from .clustering import other_axes

_OUTPUT = (-1,)

# Kernels by layer class, each with the axes that int8 exports have scales along.
_KERNELS: dict[tuple[type[keras.Layer], ...], dict[str, tuple[int, ...]]] = {
    (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D): {"kernel": _OUTPUT},
    (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose): {"kernel": (-2,)},
    (layers.DepthwiseConv1D, layers.DepthwiseConv2D): {"kernel": (-2, -1)},
    (layers.SeparableConv1D, layers.SeparableConv2D): {"depthwise_kernel": (-2, -1), "pointwise_kernel": _OUTPUT},
}


@dataclass(frozen=True)
class Kernel:
    """A trainable kernel.

    Attributes:
        variable: The model's.
        channels: The axes, negative, that an int8 export has scales along.
    """

    variable: keras.Variable
    channels: tuple[int, ...]


def kernels_of(model: keras.Model) -> list[Kernel]:
    """Finds the trainable kernels of dense layers and convolutions, also those of nested models, in their order.

    Raises:
        InvalidInputError: If there is none.
    """
    found = {id(kernel.variable): kernel for kernel in _walk(model)}  # a layer may be in several places
    if not found:
        raise InvalidInputError(f"the model {model.name!r} has no trainable dense layer or convolution to compress")
    return list(found.values())


def _walk(model: keras.Model) -> Iterator[Kernel]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _walk(layer)
            continue
        for classes, names in _KERNELS.items():
            if isinstance(layer, classes):
                kernels = (Kernel(getattr(layer, name), channels) for name, channels in names.items())
                yield from (kernel for kernel in kernels if kernel.variable.trainable)
                break


class Form:
    """A constraint for a kernel: the part of its weights that stays, or its codes times a scale for each channel.

    An optimizer calls it after each update, inside its graph, and assigns what it returns. Both are the orthogonal
    projection onto the kernels of this form. For plain gradient descent this makes a scale's update its own gradient,
    the sum of codes times weights' gradients, divided by the sum of the squared codes. Adam's moments are still of each
    weight by itself, and what is projected is its step.

    Its state is not the model's: no file of weights has it, and no copy of the model.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel.variable
        self._others = other_axes(len(self._kernel.shape), kernel.channels)
        # int8: 1 where a weight stays, or the codes
        self._pattern = tf.Variable(np.ones(self._kernel.shape, np.int8), trainable=False)
        self._holds_codes = tf.Variable(False, trainable=False)
        self._kernel.constraint = self

    def __call__(self, kernel: keras.Variable) -> tf.Tensor:
        """Returns the kernel in its form; a channel of zeros stays zero."""
        weights = tf.convert_to_tensor(kernel)
        pattern = tf.cast(self._pattern, weights.dtype)

        def masked() -> tf.Tensor:
            return tf.where(pattern != 0, weights, 0.0)  # a product would leave negative zeros, of other bytes

        def shared() -> tf.Tensor:
            squares = tf.reduce_sum(tf.square(pattern), self._others, keepdims=True)
            scale = tf.math.divide_no_nan(tf.reduce_sum(weights * pattern, self._others, keepdims=True), squares)
            return tf.where(pattern != 0, scale * pattern, 0.0)

        return tf.cond(self._holds_codes, shared, masked)

    @property
    def values(self) -> NDArray[np.float32]:
        """The kernel."""
        return np.asarray(self._kernel, dtype=np.float32)

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Sets all weights to zero, from now on, but those where `mask` is true."""
        self._set(mask, holds_codes=False)

    def share(self, codes: NDArray[np.int8]) -> None:
        """Moves each weight, from now on, to its code times its channel's scale."""
        self._set(codes, holds_codes=True)

    def _set(self, pattern: NDArray[np.bool_] | NDArray[np.int8], *, holds_codes: bool) -> None:
        self._pattern.assign(pattern.astype(np.int8))
        self._holds_codes.assign(holds_codes)
        self._kernel.assign(self(self._kernel))
