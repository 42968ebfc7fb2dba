"""The design `fast`: the lowest latency with int8 weights and activations."""

import keras
from keras import layers

from .blocks import check_size, convolution

_SMALLEST = 25  # the first convolution leaves 11 of it, and the last one 1
_HALVED_FROM = 23  # 11 again


def fast(image: keras.KerasTensor, classes: int, *, dropout: float = 0.3) -> keras.KerasTensor:
    """Five convolutions, two of them strided, without padding: 0.13 million parameters for MNIST.

    Integer kernels work on 16 channels at once, so that few wide layers take less time than many narrow ones; and an
    operation has its own cost, some half a microsecond: nothing here but convolutions and one dense layer. The first
    convolution halves the image at once. Larger images are halved more often, by one more convolution each time.

    Args:
        image: (N, H, W, C), at least 25×25 pixels.
        classes: Their number.
        dropout: The part of the features before the last layer that is dropped while training.

    Raises:
        InvalidInputError: If the images are too small.
    """
    check_size("fast", image, _SMALLEST)
    x = convolution(image, 32, 5, strides=2, padding="valid", name="conv1")
    halvings = 0
    while min(x.shape[1:3]) >= _HALVED_FROM:
        halvings += 1
        x = convolution(x, 32, 3, strides=2, padding="valid", name=f"halving{halvings}")
    x = convolution(x, 32, 3, padding="valid", name="conv2")
    x = convolution(x, 48, 3, padding="valid", name="conv3")
    x = convolution(x, 64, 3, strides=2, padding="valid", name="conv4")
    x = convolution(x, 128, 3, padding="valid", name="conv5")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, activation="softmax", name="output")(x)
