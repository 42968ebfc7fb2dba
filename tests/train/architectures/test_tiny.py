from collections.abc import Callable
from typing import Any

import pytest

from liteport.errors import InvalidInputError
from liteport.export.micro_interpreter import smallest_arena
from liteport.train.architectures.tiny import tiny

# What the export adds to a file, with ten labels of a digit each: 1.6 kB.
_METADATA = 1700


def test_fits_a_microcontroller(
    build: Callable[..., Any], to_int8: Callable[[Any], bytes], kinds: Callable[[bytes], list[str]]
) -> None:
    content = to_int8(build(tiny))
    assert kinds(content) == ["CONV_2D"] * 5 + ["MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert len(content) + _METADATA <= 20_000
    assert smallest_arena(content) <= 8_000


@pytest.mark.parametrize(
    ("shape", "last_map"), [((21, 21, 1), 1), ((28, 28, 1), 4), ((32, 40, 3), 6), ((64, 64, 3), 6), ((224, 224, 3), 4)]
)
def test_larger_images_are_halved_more_often(
    shape: tuple[int, int, int], last_map: int, build: Callable[..., Any]
) -> None:
    assert build(tiny, shape, 3).get_layer("conv5").output.shape[1] == last_map


def test_too_small_an_image_is_refused(build: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInputError, match="design tiny: expected images of at least 21×21 pixels, found 24×20"):
        build(tiny, (24, 20, 1))
