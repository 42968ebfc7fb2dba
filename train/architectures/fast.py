"""The design `fast`: the lowest latency with int8 weights and activations."""

import keras
from keras import layers

from .blocks import check_size, convolution, halved

_SMALLEST = 21  # the first convolution leaves 9 of it, and the last one 1
_HALVED_FROM = 19  # 9 again


def fast(image: keras.KerasTensor, classes: int, *, dropout: float = 0.0) -> keras.KerasTensor:
    """Four convolutions, two of them strided, without padding: 40 thousand parameters for MNIST.

    Each operation has a cost of its own, and integer kernels compute 16 output channels at once (8 on Arm): nothing
    here but convolutions of multiples of 16 channels and one dense layer. The kernels also read several input channels
    at once, and the first convolution has but one to give: it halves the image, to have fewer places to compute. Larger
    images are halved more often, by one more convolution each time.

    Args:
        image: (N, H, W, C), at least 21×21 pixels.
        classes: Their number.
        dropout: The part of the features before the last layer that is dropped while training.

    Raises:
        InvalidInputError: If the images are too small.
    """
    check_size("fast", image, _SMALLEST)
    x = convolution(image, 16, 5, strides=2, padding="valid", name="conv1")
    x = halved(x, 16, below=_HALVED_FROM)
    x = convolution(x, 16, 3, padding="valid", name="conv2")
    x = convolution(x, 48, 3, strides=2, padding="valid", name="conv3")
    x = convolution(x, 64, 3, padding="valid", name="conv4")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, activation="softmax", name="output")(x)
