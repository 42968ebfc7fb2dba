from collections.abc import Callable
from typing import Any

import keras
import pytest

from liteport.errors import InvalidInputError
from liteport.export.tflite import require_integer
from liteport.train.architectures.mobile import mobile


def test_each_layer_has_an_integer_form(
    build: Callable[..., Any], to_int8: Callable[[Any], bytes], kinds: Callable[[bytes], list[str]]
) -> None:
    content = to_int8(build(mobile, (32, 32, 3)))
    require_integer(content)
    # normalizations and activations are part of the convolutions: what is left are these
    assert set(kinds(content)) == {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED", "SOFTMAX"}


def test_blocks_that_change_nothing_of_the_shape_have_a_residual(build: Callable[..., Any]) -> None:
    model = build(mobile)
    adds = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    assert [layer.name for layer in adds] == ["fused2_add", "block2_add", "block3_add", "block4_add"]
    for add in adds:
        assert add.input[0].shape == add.input[1].shape == add.output.shape


@pytest.mark.parametrize(
    ("size", "last_map"), [(12, 6), (23, 12), (24, 6), (28, 7), (32, 8), (64, 8), (96, 6), (128, 8), (224, 7)]
)
def test_larger_images_are_halved_more_often(size: int, last_map: int, build: Callable[..., Any]) -> None:
    assert build(mobile, (size, size + 1, 3), 3).get_layer("features").output.shape[1] == last_map


def test_too_small_an_image_is_refused(build: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInputError, match="design mobile: expected images of at least 12×12 pixels, found 11×30"):
        build(mobile, (11, 30, 3))
