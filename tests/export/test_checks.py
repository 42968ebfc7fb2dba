import warnings

import numpy as np
import pytest

from liteport.errors import InvalidInputError, LiteportWarning
from liteport.export.checks import (
    check_number,
    check_preprocessing,
    checked_labels,
    warn_of_range,
    with_fitting_labels,
)
from liteport.export.given_data import Samples
from liteport.runtime import Preprocessing, TensorSpec
from liteport.runtime.card import InputInfo


def test_labels_may_be_any_names_in_any_container() -> None:
    names = ("数字", "🙂", "e\u0301 \u202e", "crane")
    assert checked_labels(iter(names), 4) == names
    assert checked_labels(np.array(names), 4) == names
    assert len(checked_labels((f"class {number}" for number in range(10_000)), 10_000)) == 10_000


@pytest.mark.parametrize(
    "name", ["", " ", "two\nlines", "two\u2028lines", "nul\0", "half \udcff", "\x1b[31mred", "x" * 5000]
)
def test_a_label_that_some_format_cannot_hold_is_named(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"label 1 is .*; expected one line of text"):
        checked_labels(["fine", name], 2)


def test_a_wrong_number_of_labels_is_told_in_few_words() -> None:
    with pytest.raises(InvalidInputError, match=r"labels are \['x', .*\]; expected 10 names, .* found 5000") as raised:
        checked_labels(["x"] * 5000, 10)
    assert len(str(raised.value)) < 200
    with pytest.raises(InvalidInputError, match=r"labels are \[\]; expected 10 names"):
        checked_labels([], 10)


def test_labels_that_stand_twice_are_told() -> None:
    with pytest.warns(LiteportWarning, match=r"twice: \['crane'\]"):
        assert checked_labels(["crane", "drake", "crane"], 3) == ("crane", "drake", "crane")


@pytest.mark.parametrize("value", [-1, 1.0, "1", None, True])
def test_what_is_no_number_of_the_kind_is_named(value: object) -> None:
    with pytest.raises(InvalidInputError, match=r"seed is .*; expected a whole number from 0"):
        check_number("seed", value, 0)
    check_number("seed", np.int64(0), 0)


@pytest.mark.parametrize(("scale", "offset"), [(0.0, 0.0), (1e-46, 0.0), ((1.0, 0.0), 0.0)])
def test_preprocessing_that_single_precision_cannot_do_is_refused(
    scale: float | tuple[float, ...], offset: float
) -> None:
    with pytest.raises(InvalidInputError, match="expected a scale that is not 0"):
        check_preprocessing(Preprocessing(scale, offset))
    check_preprocessing(Preprocessing((1 / 255, -1.0), (0.0, 128.0)))
    for numbers in ({"scale": 1e300}, {"offset": 1e39}):
        with pytest.raises(InvalidInputError, match="needs finite numbers"):
            Preprocessing.of(numbers)


def pixels_times(factor: float, dtype: str = "float32") -> Samples:
    values = (np.arange(256).reshape(4, 8, 8, 1) * factor).astype(dtype)
    return Samples({"input": values}, None, "x", "given")


def image(preprocessing: Preprocessing) -> InputInfo:
    return InputInfo("input", (None, 8, 8, 1), "NHWC", "grayscale", preprocessing)


@pytest.mark.parametrize(
    ("samples", "preprocessing", "ends"),
    [
        (pixels_times(1), Preprocessing(1 / 255), "0 to 255, but pixels become 0 to 1 "),
        (pixels_times(1 / 255), Preprocessing(), "0 to 1, but pixels become 0 to 255 "),
        (pixels_times(1), Preprocessing(-1 / 127.5, 1.0), "0 to 255, but pixels become -1 to 1 "),
    ],
)
def test_values_that_preprocessing_does_not_make_are_told(
    samples: Samples, preprocessing: Preprocessing, ends: str
) -> None:
    with pytest.warns(LiteportWarning, match=f"calibration values for 'input' go from {ends}"):
        warn_of_range(samples, [image(preprocessing)], "calibration")


@pytest.mark.parametrize(
    ("samples", "preprocessing"),
    [
        (pixels_times(1 / 255), Preprocessing(1 / 255)),
        (pixels_times(1 / 1000), Preprocessing(1 / 255)),  # dark images
        (pixels_times(1, "uint8"), Preprocessing(1 / 255)),  # raw pixels
        (pixels_times(0), Preprocessing()),  # of a constant nothing can be said
    ],
)
def test_values_that_may_well_be_meant_are_not(samples: Samples, preprocessing: Preprocessing) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_range(samples, [image(preprocessing)], "calibration")


@pytest.mark.parametrize(
    ("labels", "shape", "fits"),
    [
        ([0, 9], (None, 10), True),
        ([0, 10], (None, 10), False),
        ([-1, 3], (None, 10), False),
        ([0, 1], (None, 1), True),
        ([0, 2], (None, 1), False),
        ([0, 9], (None, 1, 1, 10), True),
    ],
)
def test_labels_beyond_the_models_classes_are_left_out_and_told(
    labels: list[int], shape: tuple[int | None, ...], fits: bool
) -> None:
    samples = Samples({"input": np.zeros((2, 1))}, np.array(labels), "mine", "given")
    output = TensorSpec("output", "float32", shape)
    if fits:
        assert with_fitting_labels(samples, output) is samples
        return
    with pytest.warns(LiteportWarning, match=rf"labels of mine .* to {labels[1]}, but .* accuracy is not measured"):
        assert with_fitting_labels(samples, output).labels is None
