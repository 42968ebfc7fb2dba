import warnings
from pathlib import Path

import numpy as np
import pytest

from liteport.errors import InvalidInputError, LiteportWarning
from liteport.export.calibration import describe, gather, halves, prepared
from liteport.export.given_data import Samples
from liteport.runtime import Preprocessing, TensorSpec
from liteport.train import load_dataset

SPECS = (TensorSpec("input", "float32", (None, 28, 28, 1)),)


def drawn(calibration: object, verify: object = None, **changes: object) -> tuple[Samples | None, Samples | None]:
    options = {"specs": SPECS, "count": 100, "verify_count": 50, "seed": 0, **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LiteportWarning)  # small numbers are told, which has a test of its own
        return gather(calibration, verify, **options)  # type: ignore[arg-type]


def images(samples: Samples | None) -> np.ndarray:
    assert samples is not None
    return samples.inputs["input"]


def test_a_data_set_gives_train_images_evenly_over_the_classes(tiny_data: Path) -> None:
    dataset = load_dataset(tiny_data)
    calibration, verification = drawn(dataset)
    assert calibration is not None
    assert (calibration.split, len(calibration)) == ("train", 100)
    assert np.bincount(calibration.labels).tolist() == [10] * 10
    assert verification is not None
    assert (verification.split, len(verification)) == ("validation", 50)
    train = {image.tobytes() for image in dataset.train.images}
    assert all(image.tobytes() in train for image in images(calibration))
    held_out = {image.tobytes() for image in dataset.validation.images}
    assert all(image.tobytes() in held_out for image in images(verification))


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
    pictures = np.zeros((23, 28, 28, 1), np.uint8)
    labels = np.array([0] * 20 + [1] * 3)
    _, verification = drawn(None, (pictures, labels), verify_count=10)
    assert verification is not None
    assert np.bincount(verification.labels).tolist() == [7, 3]


def test_what_is_not_drawn_from_an_array_is_held_out() -> None:
    pictures = np.arange(30, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    calibration, verification = drawn(pictures, count=20)
    values = [set(images(samples)[:, 0, 0, 0].tolist()) for samples in (calibration, verification)]
    assert len(values[0]) == 20
    assert values[0] | values[1] == set(range(30))
    assert not values[0] & values[1]


def test_labels_that_come_with_an_array_balance_it_and_go_with_its_images() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    pictures = labels[:, None, None].astype(np.uint8) * np.ones((1, 28, 28), np.uint8)
    calibration, verification = drawn((pictures, labels), count=20)
    assert calibration is not None
    assert verification is not None
    assert np.bincount(calibration.labels).tolist() == [10, 10]
    for samples in (calibration, verification):
        np.testing.assert_array_equal(images(samples)[:, 0, 0, 0], samples.labels)


def test_an_array_drawn_whole_holds_nothing_out() -> None:
    assert drawn(np.zeros((5, 28, 28), np.uint8))[1] is None


def test_few_samples_are_told_with_their_number() -> None:
    with pytest.warns(LiteportWarning, match="calibrating on 99 samples; .* at least 100"):
        gather(np.zeros((99, 28, 28), np.uint8), None, specs=SPECS, count=500, verify_count=10, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gather(np.zeros((100, 28, 28), np.uint8), None, specs=SPECS, count=500, verify_count=10, seed=0)


def test_halves_share_no_sample_and_are_balanced() -> None:
    labels = np.repeat(np.arange(10), 10)
    values = np.arange(100, dtype=np.float32)[:, None]
    first, second = halves(Samples({"input": values}, labels, "made", "up"))
    assert set(images(first)[:, 0]) | set(images(second)[:, 0]) == set(range(100))
    assert len(first) == len(second) == 50
    for half in (first, second):
        assert np.bincount(half.labels).tolist() == [5] * 10


def test_pixels_are_prepared_as_the_runtime_does_and_floats_left_alone() -> None:
    specs = (TensorSpec("input", "float32", (None, 3, 1, 1)), TensorSpec("side", "float32", (None, 1)))
    pixels, side = np.array([[[[0]], [[255]], [[51]]]], np.uint8), np.array([[7.0]], np.float32)
    samples = Samples({"input": pixels, "side": side}, None, "made", "up")
    result = prepared(samples, specs, {"input": Preprocessing(scale=1 / 255), "side": Preprocessing(scale=1 / 255)})
    assert result["input"].dtype == np.float32
    # one rounding in float64 and one to float32: half a unit in the last place of 1.0
    np.testing.assert_allclose(result["input"].ravel(), [0, 1, 0.2], atol=6e-8)
    np.testing.assert_array_equal(result["side"], side)


def test_a_count_of_zero_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="sample counts are 0 and 50"):
        drawn(None, count=0)
