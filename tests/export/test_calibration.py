from pathlib import Path

import numpy as np
import pytest

from liteport.errors import InvalidInputError
from liteport.export.calibration import Samples, describe, gather, prepared
from liteport.runtime import Preprocessing
from liteport.train import load_dataset

SHAPE = (None, 28, 28, 1)


def drawn(calibration: object, verify: object = None, **changes: object) -> tuple[Samples | None, Samples | None]:
    options = {"shape": SHAPE, "count": 100, "verify_count": 50, "seed": 0, **changes}
    return gather(calibration, verify, **options)  # type: ignore[arg-type]


def test_a_data_set_gives_train_images_evenly_over_the_classes(tiny_data: Path) -> None:
    dataset = load_dataset(tiny_data)
    calibration, verification = drawn(dataset)
    assert calibration is not None
    assert (calibration.split, len(calibration)) == ("train", 100)
    assert np.bincount(calibration.labels).tolist() == [10] * 10
    assert verification is not None
    assert (verification.split, len(verification)) == ("validation", 50)
    train = {image.tobytes() for image in dataset.train.images}
    assert all(image.tobytes() in train for image in calibration.images)
    held_out = {image.tobytes() for image in dataset.validation.images}
    assert all(image.tobytes() in held_out for image in verification.images)


def test_of_a_data_set_to_verify_on_the_validation_split_is_taken(tiny_data: Path) -> None:
    verification = drawn(None, load_dataset(tiny_data))[1]
    assert verification is not None
    assert (verification.source, verification.split) == ("tiny", "validation")


def test_the_seed_decides_which_images(tiny_data: Path) -> None:
    first, again, other = (drawn(load_dataset(tiny_data), seed=seed)[0] for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert describe(first, 1) == describe(again, 1)
    assert describe(first, 1).sha256 != describe(other, 2).sha256


def test_classes_with_few_images_give_all_they_have() -> None:
    images = np.zeros((23, 28, 28, 1), np.uint8)
    labels = np.array([0] * 20 + [1] * 3)
    _, verification = drawn(None, (images, labels), verify_count=10)
    assert verification is not None
    assert np.bincount(verification.labels).tolist() == [7, 3]


def test_what_is_not_drawn_from_an_array_is_held_out() -> None:
    images = np.arange(30, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    calibration, verification = drawn(images, count=20)
    assert calibration is not None
    assert verification is not None
    values = [set(samples.images[:, 0, 0, 0].tolist()) for samples in (calibration, verification)]
    assert len(values[0]) == 20
    assert values[0] | values[1] == set(range(30))
    assert not values[0] & values[1]


def test_labels_that_come_with_an_array_balance_it_and_go_with_its_images() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    images = labels[:, None, None].astype(np.uint8) * np.ones((1, 28, 28), np.uint8)
    calibration, verification = drawn((images, labels), count=20)
    assert calibration is not None
    assert verification is not None
    assert np.bincount(calibration.labels).tolist() == [10, 10]
    for samples in (calibration, verification):
        np.testing.assert_array_equal(samples.images[:, 0, 0, 0], samples.labels)


def test_an_array_drawn_whole_holds_nothing_out() -> None:
    assert drawn(np.zeros((5, 28, 28), np.uint8))[1] is None


def test_pixels_are_prepared_as_the_runtime_does_and_floats_left_alone() -> None:
    pixels = np.array([[[[0]], [[255]], [[51]]]], np.uint8)
    result = prepared(pixels, Preprocessing(scale=1 / 255))
    assert result.dtype == np.float32
    # one rounding in float64 and one to float32: half a unit in the last place of 1.0
    np.testing.assert_allclose(result[..., 0].ravel(), [0, 1, 0.2], atol=6e-8)
    floats = np.random.default_rng(0).random((2, 3, 1, 1), np.float32)
    assert prepared(floats, Preprocessing(scale=1 / 255)) is floats


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((4, 32, 32, 3), np.uint8), r"shape \(4, 32, 32, 3\); expected \(28, 28, 1\)"),
        (np.zeros((4, 28, 28), np.int64), "dtype int64; expected uint8"),
        (np.full((4, 28, 28), np.nan, np.float32), "NaN or infinity"),
        (np.zeros((0, 28, 28, 1), np.uint8), "holds no images"),
    ],
    ids=["shape", "dtype", "nan", "empty"],
)
def test_unusable_images_are_refused(given: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        drawn(given)


def test_labels_must_be_as_many_as_images() -> None:
    with pytest.raises(InvalidInputError, match=r"3 images but labels of shape \(2,\)"):
        drawn(None, (np.zeros((3, 28, 28), np.uint8), [1, 2]))


def test_a_count_of_zero_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="sample counts are 0 and 50"):
        drawn(None, count=0)
