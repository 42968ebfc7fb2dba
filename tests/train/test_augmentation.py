import math

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from liteport.train import NO_AUGMENTATION, Augmentation
from liteport.train.augmentation import augmented, sampled

SEED = tf.constant([1, 2], tf.int64)
OFF = dict.fromkeys(("shift", "rotation", "zoom", "shear", "elastic", "erasing"), 0.0)
# Float32: places of some tens of pixels are known to about 4e-6, which moves a value of 1 by so much.
ROUNDING = 1e-5


def only(**changes: float) -> Augmentation:
    return Augmentation(**{**OFF, **changes})


def apply(images: NDArray[np.float32], how: Augmentation) -> NDArray[np.float32]:
    return np.asarray(augmented(tf.constant(images), how, SEED))


def blobs(count: int, row: float, column: float, size: int = 41) -> NDArray[np.float32]:
    """Images of one smooth spot each."""
    places = np.arange(size)
    spot = np.exp(-((places[:, None] - row) ** 2 + (places - column) ** 2) / 8)
    return np.repeat(spot[None, :, :, None], count, axis=0).astype(np.float32)


def centres(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row and column of each image's spot (N, 2), from the middle."""
    weight = images[..., 0].astype(np.float64)
    places = np.arange(images.shape[1]) - (images.shape[1] - 1) / 2
    total = weight.sum(axis=(1, 2))
    return np.stack([(weight.sum(2) * places).sum(1) / total, (weight.sum(1) * places).sum(1) / total], axis=1)


def random_images(channels: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((6, 12, 17, channels), np.float32)


def test_nothing_is_changed_when_all_is_off() -> None:
    images = random_images()
    np.testing.assert_array_equal(apply(images, NO_AUGMENTATION), images)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [*OFF, "flip"])
def test_each_changes_images_by_their_seed_alone_and_stays_in_range(name: str, channels: int) -> None:
    images, how = random_images(channels), only(**{name: {"rotation": 20.0, "shear": 20.0}.get(name, 0.5)})
    first, other = apply(images, how), np.asarray(augmented(tf.constant(images), how, SEED + 1))
    np.testing.assert_array_equal(first, apply(images, how))
    assert first.shape == images.shape
    assert (first != images).any()
    assert (first != other).any()
    assert first.min() >= 0
    assert first.max() <= 1 + ROUNDING


def test_reading_at_the_pixels_themselves_gives_them_and_beyond_the_edge_the_edge() -> None:
    images = random_images()
    grid = np.stack(np.meshgrid(np.arange(12), np.arange(17), indexing="ij")).astype(np.float32)
    places = np.repeat(grid[:, None], 6, axis=1)  # rows and columns
    np.testing.assert_array_equal(np.asarray(sampled(images, *places)), images)
    np.testing.assert_array_equal(np.asarray(sampled(images, *(places - 100))), images[:, :1, :1] + 0 * images)
    between = np.asarray(sampled(images, *(places[:, :, :-1, :-1] + np.float32(0.5))))
    mean = (images[:, 1:, 1:] + images[:, :-1, 1:] + images[:, 1:, :-1] + images[:, :-1, :-1]) / 4
    np.testing.assert_allclose(between, mean, atol=ROUNDING)


def test_shift_moves_up_to_its_part_and_in_all_directions() -> None:
    moved = centres(apply(blobs(500, 20, 20), only(shift=0.1)))
    # of 500 draws the largest is below 98 % of the limit once in 24,000 seeds, and this seed is fixed
    assert 0.98 * 4.1 < np.abs(moved).max() < 4.1 + 0.01
    assert (np.abs(moved.mean(axis=0)) < 0.4).all()  # four standard errors of 4.1/√3/√500


def test_rotation_turns_about_the_middle_up_to_its_angle() -> None:
    turned = centres(apply(blobs(500, 20, 30), only(rotation=30.0)))
    np.testing.assert_allclose(np.hypot(*turned.T), 10, rtol=0.02)  # interpolation blurs the spot, evenly
    angles = np.degrees(np.arctan2(turned[:, 0], turned[:, 1]))
    assert 0.98 * 30 < np.abs(angles).max() < 30.3
    assert angles.min() < -25 < 25 < angles.max()


def test_zoom_scales_both_sides_by_themselves() -> None:
    scaled = centres(apply(blobs(300, 25, 25), only(zoom=0.2))) / 5
    assert 0.79 < scaled.min() < 0.82
    assert 1.18 < scaled.max() < 1.21
    assert np.abs(np.corrcoef(scaled.T)[0, 1]) < 4 / math.sqrt(300)  # four standard errors of no correlation


def test_shear_moves_rows_along_themselves() -> None:
    slanted = centres(apply(blobs(300, 30, 20), only(shear=20.0)))
    rows, columns = np.abs(slanted - [10, 0]).max(axis=0)
    assert rows < 0.05  # interpolation leaves the spot where it is
    assert 3.5 < columns < 3.65  # up to 10 · tan 20° = 3.64 pixels


def test_elastic_bends_smoothly() -> None:
    bent = centres(apply(blobs(400, 20, 20), only(elastic=0.05)))
    # 0.05 of 41 pixels at the random points, less between them: smoothing takes up to a half away
    assert 1.0 < bent.std() < 2.1
    # a ramp stays a ramp: the displacement changes by 0.82 pixels over about ten, four times that in the worst place
    ramp = np.broadcast_to(np.arange(41, dtype=np.float32)[:, None] / 40, (50, 41, 41))[..., None].copy()
    slopes = np.diff(apply(ramp, only(elastic=0.02))[:, 8:-8], axis=1) * 40
    assert 1 - 0.7 < slopes.min() < slopes.max() < 1 + 0.7


def test_erasing_paints_rectangles_of_one_grey_on_some_images() -> None:
    images = np.full((400, 32, 32, 3), 2.0, np.float32)  # lighter than any grey
    erased = apply(images, only(erasing=0.5))
    painted = (erased != 2).all(axis=-1)
    parts = painted.mean(axis=(1, 2))
    assert 0.4 < (parts > 0).mean() < 0.6  # four standard errors of a half: 0.1
    assert parts[parts > 0].min() > 0.01  # 2 % of the area, in whole pixels
    assert parts.max() < 0.23
    for image, mask in zip(erased[parts > 0], painted[parts > 0], strict=True):
        assert len(np.unique(image[mask])) == 1
        assert mask.any(1).sum() * mask.any(0).sum() == mask.sum()


def test_flip_mirrors_half_of_the_images() -> None:
    images = random_images()[:1].repeat(400, axis=0)
    flipped = apply(images, only(flip=True))
    same = np.isclose(flipped, images, atol=ROUNDING).all(axis=(1, 2, 3))
    mirrored = np.isclose(flipped, images[:, :, ::-1], atol=ROUNDING).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.mean() < 0.6  # four standard errors of a half: 0.1


def test_some_images_stay_as_sharp_as_they_were() -> None:
    images = np.random.default_rng(0).random((2000, 6, 6, 1), np.float32)
    same = (apply(images, only(shift=0.2, augmented=0.7)) == images).all(axis=(1, 2, 3))
    # 0.3 of 2,000 have a standard deviation of 0.01; four of them
    assert same.mean() == pytest.approx(0.3, abs=0.04)
    np.testing.assert_array_equal(apply(images, only(shift=0.2, augmented=0.0)), images)
