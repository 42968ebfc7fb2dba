"""The design `tiny`: the smallest file, for microcontrollers."""

import keras
from keras import layers

from .blocks import check_size, convolution

_SMALLEST = 8
_HALVED_FROM = 21  # the first convolution leaves 14 of MNIST's 28 pixels


def tiny(image: keras.KerasTensor, classes: int, *, dropout: float = 0.0) -> keras.KerasTensor:
    """Five narrow convolutions and the average of each channel: 11 thousand parameters for MNIST.

    In an int8 file each output channel of a layer takes 28 bytes beside its weights (bias, scales, zero points) and
    each operation some 600: five ordinary convolutions are smaller than as many depthwise-separable ones of twice the
    channels. The first one halves the image, since two neighbouring values of full size are what needs the most
    working memory. Larger images are halved more often, by one more convolution each time.

    Args:
        image: (N, H, W, C), at least 8×8 pixels.
        classes: Their number.
        dropout: The part of the averages that is dropped while training; 0 is best, there is nothing to spare.

    Raises:
        InvalidInputError: If the images are too small.
    """
    check_size("tiny", image, _SMALLEST)
    x = convolution(image, 12, 3, strides=2, name="conv1")
    halvings = 0
    while min(x.shape[1:3]) >= _HALVED_FROM:
        halvings += 1
        x = convolution(x, 12, 3, strides=2, name=f"halving{halvings}")
    x = convolution(x, 16, 3, name="conv2")
    x = convolution(x, 16, 3, name="conv3")
    x = convolution(x, 20, 3, strides=2, name="conv4")
    x = convolution(x, 20, 3, name="conv5")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, activation="softmax", name="output")(x)
