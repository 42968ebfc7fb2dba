"""The design `tiny`: the smallest file, for microcontrollers."""

import keras
from keras import layers

from .blocks import check_size, convolution, halved

_SMALLEST = 21  # the first convolution leaves 9 of it, and the last one 1
_HALVED_FROM = 19  # 9 again


def tiny(image: keras.KerasTensor, classes: int, *, dropout: float = 0.0) -> keras.KerasTensor:
    """Five narrow convolutions without padding and the average of each channel: 11 thousand parameters for MNIST.

    In an int8 file each output channel takes 28 bytes beside its weights (bias, scales, zero points) and each operation
    some 500: ordinary convolutions make a smaller file than as many depthwise-separable ones of twice the channels. The
    first one halves the image, as two values of full size would need the most working memory, and from there the maps
    shrink as the channels grow. Larger images are halved more often, by one more convolution each time.

    Args:
        image: (N, H, W, C), at least 21×21 pixels.
        classes: Their number.
        dropout: The part of the averages that is dropped while training.

    Raises:
        InvalidInputError: If the images are too small.
    """
    check_size("tiny", image, _SMALLEST)
    x = convolution(image, 12, 5, strides=2, padding="valid", name="conv1")
    x = halved(x, 12, below=_HALVED_FROM)
    for number, channels in enumerate((12, 16, 20, 24), start=2):
        x = convolution(x, channels, 3, padding="valid", name=f"conv{number}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, activation="softmax", name="output")(x)
