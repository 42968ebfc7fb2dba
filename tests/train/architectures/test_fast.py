from collections.abc import Callable
from typing import Any

import pytest

from liteport.errors import InvalidInputError
from liteport.train import build_model
from liteport.train.architectures.fast import fast
from liteport.train.precision import multiply_accumulates


def test_has_few_operations_and_little_to_compute(
    build: Callable[..., Any], to_int8: Callable[[Any], bytes], kinds: Callable[[bytes], list[str]]
) -> None:
    model = build(fast)
    assert kinds(to_int8(model)) == ["CONV_2D"] * 4 + ["RESHAPE", "FULLY_CONNECTED", "SOFTMAX"]
    assert multiply_accumulates(model) < multiply_accumulates(build_model("baseline")) / 10


@pytest.mark.parametrize(
    ("shape", "last_map"), [((21, 21, 1), 1), ((28, 28, 1), 2), ((32, 40, 3), 3), ((64, 64, 3), 3), ((224, 224, 3), 2)]
)
def test_larger_images_are_halved_more_often(
    shape: tuple[int, int, int], last_map: int, build: Callable[..., Any]
) -> None:
    assert build(fast, shape, 3).get_layer("conv4").output.shape[1] == last_map


def test_too_small_an_image_is_refused(build: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInputError, match="design fast: expected images of at least 21×21 pixels, found 20×30"):
        build(fast, (20, 30, 1))
