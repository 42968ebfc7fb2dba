import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from liteport.runtime.paper import WORKING_SIZE, is_dark_on_light, prepare

Pixels = NDArray[np.uint8]


def on_paper(digit: Pixels, *, size: tuple[int, int] = (150, 200), frame: int = 110, corner: tuple[int, int] = (36, 15),
             light: float = 0.0, noise: float = 0.0) -> Pixels:  # fmt: skip
    """Writes a digit with ink that reflects 0.2 on paper of 230, whose light falls by a share to the right."""
    large = np.asarray(Image.fromarray(digit).resize((frame, frame), Image.Resampling.BICUBIC)) / 255
    ink = np.zeros(size)
    ink[corner[0] : corner[0] + frame, corner[1] : corner[1] + frame] = large
    bright = 230 * (1 - light * np.linspace(0, 1, size[1])) * (1 - 0.8 * ink)
    return np.clip(bright + np.random.default_rng(0).normal(0, 1, size) * noise, 0, 255).astype(np.uint8)


def prepared(gray: Pixels) -> Pixels:
    result = prepare(gray, 28, 28)
    assert result is not None
    return result


def apart(first: Pixels, second: Pixels) -> float:
    """The root of the mean square of the difference, in gray levels."""
    return float(np.sqrt(np.mean((first.astype(float) - second) ** 2)))


def test_light_on_dark_is_told_from_dark_on_light(digits: Pixels) -> None:
    assert not any(is_dark_on_light(digit) for digit in digits[:100])
    assert all(is_dark_on_light(255 - digit) for digit in digits[:100])
    assert all(is_dark_on_light(on_paper(digit, light=0.6, noise=5)) for digit in digits[:20])


@pytest.mark.parametrize("level", [0, 100, 156, 255])
def test_of_an_even_image_its_level_decides(level: int) -> None:
    assert is_dark_on_light(np.full((28, 28), level, np.uint8)) == (level > 127)


def test_a_negative_of_mnist_becomes_mnist(digits: Pixels) -> None:
    # Not the same pixels: shades are stretched so that ink is 255, and now and then a size or place is rounded the
    # other way. 12 levels are found on average; a shift of all digits by one pixel gives 48.
    assert np.mean([apart(prepared(255 - digit), digit) for digit in digits[:50]]) < 20


@pytest.mark.parametrize("light", [0.0, 0.5])
@pytest.mark.parametrize("noise", [0, 6])
def test_place_size_light_and_noise_do_not_matter(light: float, noise: float, digits: Pixels) -> None:
    differences = []
    for digit in digits[:10]:
        plain = prepared(on_paper(digit))
        moved = prepared(on_paper(digit, size=(200, 130), frame=90, corner=(10, 35), light=light, noise=noise))
        differences.append(apart(plain, moved))
    # Resampling differs along the edges. A place that is rounded the other way makes some 35, of one digit or two.
    assert np.median(differences) < 10
    assert max(differences) < 60  # two different digits are 92 apart on average


def test_ink_fits_the_box_and_its_centre_of_mass_the_middle(digits: Pixels) -> None:
    for digit in digits[:20]:
        image = prepared(on_paper(digit, light=0.3))
        for axis in (0, 1):
            amounts = image.sum(axis=1 - axis, dtype=float)
            centre = (amounts * np.arange(28)).sum() / amounts.sum()
            assert abs(centre - 14) <= 0.5 + 1e-9  # the place is a whole number
        assert max(np.ptp(np.flatnonzero(image.any(axis=axis))) for axis in (0, 1)) + 1 in (19, 20)  # an edge may be 0


def test_what_is_lopsided_stays_inside() -> None:
    """A heavy spot with a long, thin tail: its centre of mass cannot be in the middle."""
    gray = np.full((100, 200), 240, np.uint8)
    gray[40:60, 20:40] = 10
    gray[49:51, 40:180] = 10
    columns = np.flatnonzero(prepared(gray).any(axis=0))
    assert columns[-1] == 27  # shifted as far as it goes
    assert np.ptp(columns) + 1 == 20  # and whole


def test_the_box_scales_with_the_model(digits: Pixels) -> None:
    image = prepare(on_paper(digits[0]), 56, 84)
    assert image is not None
    assert image.shape == (56, 84)
    assert np.ptp(np.flatnonzero(image.any(axis=1))) + 1 in (39, 40)  # 20/28 of the shorter edge


def test_paper_becomes_zero_and_ink_keeps_its_shades(digits: Pixels) -> None:
    image = prepared(on_paper(digits[0], light=0.5))
    assert image[0].max() == image[-1].max() == 0
    assert image.max() > 240
    assert len(np.unique(image)) > 20


def test_dirt_is_left_out(digits: Pixels) -> None:
    clean = on_paper(digits[0])
    dirty = clean.copy()
    dirty[5:8, 5:8] = dirty[144:147, 190:193] = 40
    # The darkest ink is told from one percentile of what is inked, dirt included: one level of difference.
    np.testing.assert_allclose(prepared(dirty).astype(int), prepared(clean), atol=1)


@pytest.mark.parametrize("noise", [0, 8])
@pytest.mark.parametrize("light", [0.0, 0.5])
def test_blank_paper_has_no_ink(light: float, noise: float) -> None:
    assert prepare(on_paper(np.zeros((28, 28), np.uint8), light=light, noise=noise), 28, 28) is None


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(1, 40), st.integers(1, 40)
)
def test_any_pixels_give_an_image_or_none(gray: Pixels, height: int, width: int) -> None:
    is_dark_on_light(gray)
    image = prepare(gray, height, width)
    assert image is None or (image.shape == (height, width) and image.dtype == np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (1, WORKING_SIZE), (WORKING_SIZE, 1), (2, 300)])
def test_extreme_shapes_are_taken(shape: tuple[int, int]) -> None:
    gray = np.full(shape, 240, np.uint8)
    assert prepare(gray, 28, 28) is None
    gray[:, shape[1] // 2 :] = 20
    image = prepare(gray, 28, 28)
    assert image is None or image.shape == (28, 28)
