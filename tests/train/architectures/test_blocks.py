import keras
import pytest

from liteport.errors import InvalidInputError
from liteport.train.architectures.blocks import check_size, convolution, depthwise, halved


def _layers(output: keras.KerasTensor, image: keras.KerasTensor) -> list[tuple[str, str]]:
    return [(type(layer).__name__, layer.name) for layer in keras.Model(image, output).layers[1:]]


def test_a_convolution_is_three_layers_named_after_it() -> None:
    image = keras.Input((9, 8, 1))
    result = convolution(image, 5, 3, name="conv", strides=2)
    assert result.shape == (None, 5, 4, 5)
    assert _layers(result, image) == [
        ("Conv2D", "conv"),
        ("BatchNormalization", "conv_norm"),
        ("Activation", "conv_relu"),
    ]
    assert convolution(image, 5, 3, name="conv", padding="valid").shape == (None, 7, 6, 5)


def test_the_activation_can_be_left_out() -> None:
    image = keras.Input((9, 8, 1))
    result = convolution(image, 5, 1, name="conv", activation=None)
    assert _layers(result, image)[-1] == ("BatchNormalization", "conv_norm")


def test_a_depthwise_convolution_keeps_the_channels() -> None:
    image = keras.Input((9, 8, 6))
    result = depthwise(image, 3, name="deep", strides=2)
    assert result.shape == (None, 5, 4, 6)
    assert _layers(result, image)[0] == ("DepthwiseConv2D", "deep")


def test_an_image_too_small_is_refused_with_what_is_needed() -> None:
    check_size("some", keras.Input((9, 12, 1)), 9)
    with pytest.raises(InvalidInputError, match="design some: expected images of at least 10×10 pixels, found 9×12"):
        check_size("some", keras.Input((9, 12, 1)), 10)


def test_large_maps_are_halved_until_they_are_small() -> None:
    image = keras.Input((41, 60, 2))
    assert halved(image, 3, below=42) is image
    result = halved(image, 3, below=20)
    assert result.shape == (None, 9, 14, 3)
    assert [name for _, name in _layers(result, image) if "_" not in name] == ["halving1", "halving2"]
