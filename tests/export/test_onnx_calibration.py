import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator

from liteport.errors import ConversionError, InvalidInputError
from liteport.export.onnx_calibration import activation_ranges, entropy_range, percentile_range

RNG = np.random.default_rng(0)
BINS = 2048
DATA = RNG.normal(size=(50, 40)).astype(np.float32)


def model(batch: int | str = "N") -> onnx.ModelProto:
    """A dense layer with ReLU."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["product"]), helper.make_node("Relu", ["product"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 30])],
        [numpy_helper.from_array(RNG.normal(size=(40, 30)).astype(np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._rows = iter(DATA)

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self._rows, None)
        return None if row is None else {"x": row[None]}


@pytest.mark.parametrize(
    ("method", "theirs", "options"),
    [
        ("minmax", CalibrationMethod.MinMax, {}),
        ("percentile", CalibrationMethod.Percentile, {"symmetric": False, "percentile": 99.99, "num_bins": BINS}),
    ],
)
def test_ranges_are_those_of_onnxruntime(tmp_path: Path, method: str, theirs: CalibrationMethod, options: dict) -> None:
    made = model()
    onnx.save(made, tmp_path / "model.onnx")
    logging.disable(logging.WARNING)
    calibrator = create_calibrator(
        tmp_path / "model.onnx", None, str(tmp_path / "more.onnx"), theirs, extra_options=options
    )
    calibrator.collect_data(Reader())
    expected = calibrator.compute_data()
    logging.disable(logging.NOTSET)
    found = activation_ranges(made, {"x": DATA}, method)
    assert set(found) == {"x", "product", "y"}
    for name in ("product", "y"):
        low, high = found[name]
        # Sums of 40 products in another order; and their bins are up to twice as wide, being symmetric about zero,
        # so a percentile may fall two of ours apart.
        close = 1e-5 if method == "minmax" else 4 * float(high - low) / BINS
        np.testing.assert_allclose([low, high], np.ravel(expected[name].range_value), atol=close)


def test_the_end_of_the_data_counts_where_the_batch_is_fixed() -> None:
    free, fixed = (activation_ranges(model(batch), {"x": DATA}, "minmax")["x"] for batch in ("N", 16))
    assert free == fixed == (DATA.min(), DATA.max())


def histogram(values: np.ndarray) -> tuple[np.ndarray, np.float32, np.float32]:
    counts, _ = np.histogram(values, BINS)
    return counts, np.float32(values.min()), np.float32(values.max())


def test_percentile_cuts_the_rarest_ends() -> None:
    values = np.concatenate([RNG.uniform(-1, 2, 100_000), [-50, 90]])
    low, high = percentile_range(*histogram(values))
    bin_width = 140 / BINS
    assert -1 - bin_width <= low <= -0.9
    assert 1.9 <= high <= 2 + bin_width


def test_percentile_keeps_all_of_an_even_distribution() -> None:
    values = np.linspace(0, 1, 100_001)
    np.testing.assert_allclose(percentile_range(*histogram(values)), [0, 1], atol=2 / BINS)  # a bin, where it is cut


def test_entropy_clips_a_long_tail() -> None:
    values = np.concatenate([np.abs(RNG.normal(size=100_000)), [40]])
    low, high = entropy_range(*histogram(values))
    assert low == 0 or low == pytest.approx(0, abs=40 / BINS)
    assert 3 < high < 20  # of 100,000 normal values the largest is about 4.4


def test_entropy_does_not_clip_an_even_distribution() -> None:
    values = np.linspace(-1, 1, 100_001)
    np.testing.assert_allclose(entropy_range(*histogram(values)), [-1, 1], atol=0.02)  # a step of the search


@pytest.mark.parametrize("pick", [percentile_range, entropy_range])
def test_what_is_constant_keeps_its_value(pick: object) -> None:
    counts = np.zeros(BINS, np.int64)
    counts[-1] = 5
    assert pick(counts, np.float32(3), np.float32(3)) == (3, 3)  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(wrong: float) -> None:
    broken = DATA.copy()
    broken[-1, 0] = wrong
    with pytest.raises(InvalidInputError, match="a value of x that is not finite"):
        activation_ranges(model(), {"x": broken}, "minmax")


def test_activations_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ConversionError, match="product is not finite"):
        activation_ranges(model(), {"x": np.full((1, 40), 3e38, np.float32)}, "minmax")


def test_no_samples_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no samples"):
        activation_ranges(model(), {"x": DATA[:0]}, "minmax")
