import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.benchmarks.robustness import ALTERATIONS, Pixels, alter
from liteport.errors import InvalidInputError


def blob(side: int, channels: int = 1, count: int = 40) -> Pixels:
    """Bright discs on black, in the middle and as large as a digit."""
    distance = np.hypot(*np.indices((side, side)) - (side - 1) / 2)
    disc = np.where(distance < side / 4, 200, 0).astype(np.uint8)
    return np.broadcast_to(disc[None, :, :, None], (count, side, side, channels)).copy()


def bar(side: int, count: int = 40) -> Pixels:
    """Bright upright bars on black, through the middle."""
    images = np.zeros((count, side, side, 1), np.uint8)
    images[:, side // 8 : -(side // 8), side * 3 // 7 : side * 4 // 7] = 200
    return images


def centres(images: Pixels) -> NDArray[np.float64]:
    """Centre of brightness less the image's middle, as a share of the side: (N, 2)."""
    weights = images[..., 0].astype(np.float64)
    rows, columns = np.indices(weights.shape[1:])
    total = weights.sum((1, 2))
    found = np.stack([(weights * rows).sum((1, 2)), (weights * columns).sum((1, 2))], 1) / total[:, None]
    return (found - (weights.shape[1] - 1) / 2) / weights.shape[1]


@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize("shape", [(3, 28, 28, 1), (2, 40, 24, 3)])
def test_copies_repeat_by_their_seed(name: str, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = images.copy()
    altered = alter(images, name, 5)
    assert (altered.shape, altered.dtype) == (shape, np.uint8)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(alter(images, name, 5), altered)
    np.testing.assert_array_equal(alter(images[:1], name, 5), altered[:1])
    assert (alter(images, name, 6) != altered).any()
    assert (altered != images).any()


@pytest.mark.parametrize("name", ALTERATIONS)
def test_images_are_altered_each_in_its_own_way(name: str) -> None:
    altered = alter(blob(64) if name != "rotated" else bar(64), name, 0)
    assert len({image.tobytes() for image in altered}) > 20  # of 40; whole pixels leave room for some alike


@pytest.mark.parametrize("name", ["shifted", "rotated", "blurred"])
def test_plain_images_stay_plain(name: str) -> None:
    plain = np.broadcast_to(np.array([10, 120, 250], np.uint8), (5, 20, 30, 3)).copy()
    np.testing.assert_array_equal(alter(plain, name, 0), plain)  # no border of another colour comes in


@pytest.mark.parametrize("side", [28, 224])
def test_shifts_go_by_the_size(side: int) -> None:
    found = centres(alter(blob(side), "shifted", 0))
    assert np.abs(found).max() <= 0.5 / side + 0.075  # rounded to whole pixels
    assert (np.abs(found).max(0) > 0.05).all()  # among 40 images one at least goes far, down or up and sideways
    assert (found.min(0) < 0).all()
    assert (found.max(0) > 0).all()


@pytest.mark.parametrize("side", [28, 224])
def test_rotations_are_about_the_centre(side: int) -> None:
    altered = alter(bar(side), "rotated", 0)
    # Rounded to whole values, which weighs some pixels at the bar's edges differently: well below a pixel.
    assert np.abs(centres(altered)).max() < 0.1 / side
    weights = altered[..., 0].astype(np.float64)
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    slope = (weights * rows * columns).sum((1, 2)) / (weights * rows**2).sum((1, 2))
    # The slope is the angle's tangent, but for the bar's width, which takes some of it off.
    assert 10 < np.degrees(np.arctan(np.abs(slope).max())) <= 15
    assert slope.min() < 0 < slope.max()


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_has_the_strength_told(channels: int) -> None:
    plain = np.full((4, 50, 50, channels), 128, np.uint8)
    noise = alter(plain, "noisy", 0) - 128.0
    # 8 % of 255; the deviation of 10,000 values or more is known to 0.7 %, and their mean to 0.2.
    assert noise.std() == pytest.approx(20.4, rel=0.03)
    assert abs(noise.mean()) < 0.7
    if channels == 3:
        correlation = np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]
        assert abs(correlation) < 0.03  # three standard deviations, one over the root of 10,000


def test_noise_is_clipped_and_does_not_wrap() -> None:
    altered = alter(np.array([0, 255], np.uint8).repeat(5000).reshape(1, 100, 100, 1), "noisy", 0)
    assert altered[:, :50].max() < 128 < altered[:, 50:].min()  # six standard deviations


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (224, 3)])
def test_blur_goes_by_the_size(side: int, channels: int) -> None:
    images = np.zeros((8, side, side, channels), np.uint8)
    images[:, :, side // 2 :] = 200
    altered = alter(images, "blurred", 0).astype(np.float64)
    # An edge becomes the normal distribution, whose slope at the middle tells the deviation: 200 / (slope √2π).
    slope = altered[:, 0, side // 2, 0] - altered[:, 0, side // 2 - 1, 0]
    expected = 200 / (slope * np.sqrt(2 * np.pi)) / side
    # The difference of two pixels is flatter than the slope between them, by half at 0.35 pixels.
    assert 0.0125 <= expected.min() < expected.max() <= (0.027 if side == 28 else 0.0255)
    np.testing.assert_array_equal(altered[..., 0], altered[..., -1])  # no colour runs into another


@pytest.mark.parametrize(
    ("images", "name", "message"),
    [
        (np.zeros((1, 4, 4, 1), np.uint8), "blured", "did you mean 'blurred'"),
        (np.zeros((1, 4, 4, 1), np.float32), "noisy", "expected uint8 images"),
        (np.zeros((4, 4, 1), np.uint8), "noisy", r"got uint8 of shape \(4, 4, 1\)"),
    ],
)
def test_refuses(images: Pixels, name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        alter(images, name, 0)
