import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liteport.runtime import Preprocessing, TensorSpec
from liteport.runtime.quantization import dequantize, pixel_table, pixel_writer, quantize

DTYPES = st.sampled_from(["int8", "uint8", "int16"])
SCALES = st.floats(2**-20, 1024, width=32)


@st.composite
def quantized_specs(draw: st.DrawFn) -> TensorSpec:
    dtype = draw(DTYPES)
    limits = np.iinfo(dtype)
    return TensorSpec("x", dtype, (None, 4), draw(SCALES), draw(st.integers(limits.min, limits.max)))


@given(spec=quantized_specs(), shares=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_there_and_back_is_at_most_half_a_step_off(spec: TensorSpec, shares: list[float]) -> None:
    limits = np.iinfo(spec.dtype)
    assert spec.scale is not None
    low, high = dequantize(np.array([limits.min, limits.max], spec.dtype), spec)
    values = np.float32(low) + np.array(shares, np.float32) * np.float32(high - low)
    values = np.clip(values, low, high)
    back = dequantize(quantize(values, spec), spec)
    # Beyond half a step: float32 rounds the result, by at most 2**-23 of the largest value in the range.
    slack = 2**-23 * max(abs(low), abs(high))
    assert np.abs(back.astype(float) - values).max() <= spec.scale / 2 + slack


@given(spec=quantized_specs())
def test_every_quantized_value_stands_for_itself(spec: TensorSpec) -> None:
    limits = np.iinfo(spec.dtype)
    grid = np.arange(limits.min, limits.max + 1, dtype=spec.dtype)
    np.testing.assert_array_equal(quantize(dequantize(grid, spec), spec), grid)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_values_beyond_the_range_saturate(dtype: str) -> None:
    limits = np.iinfo(dtype)
    spec = TensorSpec("x", dtype, (None, 2), 0.5, 3)
    extremes = np.array([-3e38, 3e38], np.float32)  # whose quotient by the scale float32 does not hold
    np.testing.assert_array_equal(quantize(extremes, spec), np.array([limits.min, limits.max], dtype))


def test_the_formula_is_the_papers() -> None:
    spec = TensorSpec("x", "int8", (None, 3), 0.5, -1)
    assert quantize(np.array([-0.5, 0.0, 1.0], np.float32), spec).tolist() == [-2, -1, 1]
    assert dequantize(np.array([-2, -1, 1], np.int8), spec).tolist() == [-0.5, 0.0, 1.0]
    assert quantize(np.array([0.25, 0.75], np.float32), spec).tolist() == [-1, 1]  # halves go to even: 0.5, 1.5


@st.composite
def preprocessings(draw: st.DrawFn, channels: int) -> Preprocessing:
    number = st.floats(-4, 4, width=32)
    each = st.tuples(*[number] * channels)
    return Preprocessing(draw(number | each), draw(number | each))


@given(st.data(), st.sampled_from([1, 3]), quantized_specs() | st.just(TensorSpec("x", "float32", (None, 4))))
def test_the_table_gives_what_computing_gives(data: st.DataObject, channels: int, spec: TensorSpec) -> None:
    preprocessing = data.draw(preprocessings(channels))
    seed = data.draw(st.integers(0, 2**32 - 1))
    images = np.random.default_rng(seed).integers(0, 256, (2, 3, 3, channels), dtype=np.uint8)
    real = (images * np.asarray(preprocessing.scale) + np.asarray(preprocessing.offset)).astype(np.float32)
    expected = real if spec.scale is None else quantize(real, spec)
    looked_up = np.zeros(images.shape, spec.dtype)
    pixel_writer(pixel_table(preprocessing, spec, channels), looked_up)(images)
    np.testing.assert_array_equal(looked_up, expected)


def test_one_table_serves_channels_that_are_treated_alike() -> None:
    spec = TensorSpec("x", "float32", (None, 4))
    assert pixel_table(Preprocessing((0.5, 0.5, 0.5), 1.0), spec, 3).shape == (256,)
    assert pixel_table(Preprocessing((0.5, 0.5, 0.25), 1.0), spec, 3).shape == (3, 256)


def test_raw_pixels_map_exactly_onto_int8() -> None:
    spec = TensorSpec("x", "int8", (None, 4), float(np.float32(1 / 255)), -128)
    table = pixel_table(Preprocessing(1 / 255), spec, 1)
    np.testing.assert_array_equal(table, np.arange(-128, 128))
