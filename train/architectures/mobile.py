"""The design `mobile`: inverted bottlenecks with residuals, for colour images of 32 to 224 pixels."""

import math

import keras
from keras import layers

from .blocks import check_size, convolution, depthwise

_SMALLEST = 12
_MAP = 6  # height and width of the last map are at least this, and below twice as much
_EXPANSION = 3


def mobile(image: keras.KerasTensor, classes: int, *, dropout: float = 0.3) -> keras.KerasTensor:
    """Inverted bottlenecks, those of the first stage fused: 0.14 million parameters for ten classes.

    The blocks are those of M. Sandler et al., "MobileNetV2" (arXiv 1801.04381), which widen, convolve each channel by
    itself and narrow without an activation; where maps are large and channels few, the widening and the depthwise
    convolution are one ordinary convolution, which then takes less time, in training above all (M. Tan, Q. Le,
    "EfficientNetV2", arXiv 2104.00298). The activation is ReLU6, whose range int8 holds well. Images are halved until
    the last map has from 6 to 11 pixels on the shorter side: twice from 24 pixels on, five times from 192 on.

    Args:
        image: (N, H, W, C), at least 12×12 pixels.
        classes: Their number.
        dropout: The part of the features before the last layer that is dropped while training.

    Raises:
        InvalidInputError: If the images are too small.
    """
    check_size("mobile", image, _SMALLEST)
    halvings = min(5, int(math.log2(min(image.shape[1:3]) / _MAP)))
    x = convolution(image, 16, 3, strides=_stride(halvings > 2), activation="relu6", name="stem")
    for number in range(1, halvings - 2):  # the rest of what the two stages below leave
        x = _bottleneck(x, 16, strides=2, name=f"halving{number}")
    x = _fused_bottleneck(x, 24, strides=2, name="fused1")
    x = _fused_bottleneck(x, 24, name="fused2")
    x = _bottleneck(x, 64, strides=_stride(halvings > 1), name="block1")
    for number in range(2, 5):
        x = _bottleneck(x, 64, name=f"block{number}")
    x = convolution(x, 256, 1, activation="relu6", name="features")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, activation="softmax", name="output")(x)


def _stride(halve: bool) -> int:
    return 2 if halve else 1


def _bottleneck(x: keras.KerasTensor, channels: int, *, name: str, strides: int = 1) -> keras.KerasTensor:
    wide = convolution(x, _EXPANSION * x.shape[-1], 1, activation="relu6", name=f"{name}_expand")
    wide = depthwise(wide, 3, strides=strides, name=f"{name}_depthwise")
    return _residual(x, convolution(wide, channels, 1, activation=None, name=f"{name}_project"), name)


def _fused_bottleneck(x: keras.KerasTensor, channels: int, *, name: str, strides: int = 1) -> keras.KerasTensor:
    wide = convolution(x, _EXPANSION * x.shape[-1], 3, strides=strides, activation="relu6", name=f"{name}_expand")
    return _residual(x, convolution(wide, channels, 1, activation=None, name=f"{name}_project"), name)


def _residual(x: keras.KerasTensor, result: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Adds what a block was given to what it made, where both have the same shape."""
    return layers.Add(name=f"{name}_add")([x, result]) if x.shape == result.shape else result
