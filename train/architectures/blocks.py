"""What the designs share: convolutions with their normalization, and the check of an image's size."""

import keras
from keras import layers

from liteport.errors import InvalidInputError

# Keras's 0.99 needs some 500 steps to forget where it started, which is more than the first epochs of a small data set.
_MOMENTUM = 0.9


def convolution(
    x: keras.KerasTensor,
    channels: int,
    kernel: int,
    *,
    name: str,
    strides: int = 1,
    padding: str = "same",
    activation: str | None = "relu",
) -> keras.KerasTensor:
    """Convolution, normalization and activation: one operation once they are converted.

    Args:
        x: (N, H, W, C).
        channels: Those of the result.
        kernel: Height and width of the kernel.
        name: The convolution's; what follows it is called after it.
        strides: Steps of the kernel, the same in both directions.
        padding: `"same"` or `"valid"`.
        activation: None leaves it out.

    Returns:
        (N, H', W', channels).
    """
    x = layers.Conv2D(channels, kernel, strides=strides, padding=padding, use_bias=False, name=name)(x)
    return normalized(x, name, activation)


def depthwise(
    x: keras.KerasTensor, kernel: int, *, name: str, strides: int = 1, activation: str | None = "relu6"
) -> keras.KerasTensor:
    """A convolution of each channel by itself, with normalization and activation; see `convolution`."""
    x = layers.DepthwiseConv2D(kernel, strides=strides, padding="same", use_bias=False, name=name)(x)
    return normalized(x, name, activation)


def halved(x: keras.KerasTensor, channels: int, *, below: int) -> keras.KerasTensor:
    """As many convolutions of stride 2, without padding, as make the shorter side smaller than so many pixels."""
    halvings = 0
    while min(x.shape[1:3]) >= below:
        halvings += 1
        x = convolution(x, channels, 3, strides=2, padding="valid", name=f"halving{halvings}")
    return x


def normalized(x: keras.KerasTensor, name: str, activation: str | None) -> keras.KerasTensor:
    """Batch normalization, which the converters fold into the layer before it, and an activation or none."""
    x = layers.BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm")(x)
    return x if activation is None else layers.Activation(activation, name=f"{name}_{activation}")(x)


def check_size(design: str, image: keras.KerasTensor, smallest: int) -> None:
    """Checks that an image is large enough for a design.

    Raises:
        InvalidInputError: If it is not.
    """
    _, height, width, _ = image.shape
    if min(height, width) < smallest:
        raise InvalidInputError(
            f"design {design}: expected images of at least {smallest}×{smallest} pixels, found {height}×{width}"
        )
