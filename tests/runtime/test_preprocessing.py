from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteport.errors import InvalidInputError
from liteport.runtime.preprocessing import expected_shapes, to_batch

GRAY = (None, 4, 5, 1)
RGB = (None, 4, 5, 3)


@pytest.mark.parametrize(
    ("given_shape", "shape", "batch"),
    [
        ((4, 5), GRAY, (1, 4, 5, 1)),
        ((4, 5, 1), GRAY, (1, 4, 5, 1)),
        ((2, 4, 5), GRAY, (2, 4, 5, 1)),
        ((2, 4, 5, 1), GRAY, (2, 4, 5, 1)),
        ((0, 4, 5), GRAY, (0, 4, 5, 1)),
        ((4, 5, 3), RGB, (1, 4, 5, 3)),
        ((2, 4, 5, 3), RGB, (2, 4, 5, 3)),
        ((7,), (None, 7), (1, 7)),
        ((2, 7), (None, 7), (2, 7)),
        ((6, 8, 3), (None, None, None, 3), (1, 6, 8, 3)),
        ((6, 8), (None, None, None, 1), (1, 6, 8, 1)),
        ((6, 8, 1), (None, None, None, 1), (1, 6, 8, 1)),  # one image, not six of 8 by 1
        ((9, 4, 5, 1), (2, 4, 5, 1), (9, 4, 5, 1)),  # a file's own batch size is the model's business
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
def test_each_form_becomes_a_batch(given_shape: Any, shape: Any, batch: Any, dtype: str) -> None:
    array = np.arange(np.prod(given_shape, dtype=int)).reshape(given_shape).astype(dtype)
    made = to_batch(array, shape)
    assert made.shape == batch
    assert made.dtype == ("uint8" if dtype == "uint8" else "float32")
    np.testing.assert_array_equal(made.ravel(), array.ravel())


@pytest.mark.parametrize(
    ("given_shape", "shape"),
    [
        ((), GRAY),
        ((0,), GRAY),
        ((5, 4), GRAY),
        ((4, 5, 3), GRAY),
        ((1, 1, 4, 5, 1), GRAY),
        ((4, 5), RGB),
        ((4, 5, 1), RGB),
        ((2, 3, 4, 5), RGB),  # channels first
        ((8,), (None, 7)),
    ],
)
def test_any_other_shape_is_refused_by_name(given_shape: Any, shape: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        to_batch(np.zeros(given_shape, np.uint8), shape, "the pictures")
    assert str(caught.value) == f"the pictures have shape {given_shape}; expected {expected_shapes(shape)}"


def test_the_shapes_that_would_do_are_listed() -> None:
    assert expected_shapes(GRAY) == "(4, 5, 1) or (N, 4, 5, 1) or (4, 5) or (N, 4, 5)"
    assert expected_shapes(RGB) == "(4, 5, 3) or (N, 4, 5, 3)"
    assert expected_shapes((None, 7)) == "(7,) or (N, 7)"


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint16", "complex64", "object", "U1", "datetime64[s]"])
def test_other_dtypes_are_refused(dtype: str) -> None:
    with pytest.raises(InvalidInputError, match=r"images have dtype .*; expected uint8 \(raw pixels\) or floating"):
        to_batch(np.zeros((4, 5), dtype), GRAY)


@pytest.mark.parametrize("value", [None, "text", 3, [[1, 2], [3]], [], {"a": 1}, [[None]]])
def test_what_is_no_image_at_all_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^images (have|are) .*; expected "):
        to_batch(value, GRAY)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_must_be_finite(value: float) -> None:
    array = np.zeros((4, 5))
    array[1, 2] = value
    with pytest.raises(InvalidInputError, match="NaN or infinity"):
        to_batch(array, GRAY)


def test_a_wish_for_another_float_is_met_or_refused() -> None:
    assert to_batch(np.full((4, 5), 0.1), GRAY, dtype="float64")[0, 0, 0, 0] == 0.1
    with pytest.raises(InvalidInputError, match="beyond float16"):
        to_batch(np.full((4, 5), 1e6), GRAY, dtype="float16")


@given(item=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(2, 4)), count=st.integers(0, 4), data=st.data())
def test_an_item_is_the_batch_of_one(item: tuple[int, int, int], count: int, data: st.DataObject) -> None:
    values = data.draw(st.integers(0, 2**32 - 1))
    images = np.random.default_rng(values).integers(0, 256, (count, *item), dtype=np.uint8)
    batch = to_batch(images, (None, *item))
    assert batch.shape == images.shape
    for i in range(count):
        np.testing.assert_array_equal(to_batch(images[i], (None, *item))[0], batch[i])
