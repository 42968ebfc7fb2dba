from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.train.compression.clustering import clustered_codes, codes_of, k_means, other_axes


@pytest.fixture(scope="module")
def kernel() -> NDArray[np.float32]:
    """Channels of very different magnitudes, as batch norm leaves them."""
    random = np.random.default_rng(0)
    return (random.normal(size=(3, 3, 16, 8)) * np.geomspace(0.01, 10, 8)).astype(np.float32)


def test_codes_are_those_of_an_exported_file(tiny_run: Path, tiny_bundle: Path) -> None:
    import keras
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(next(tiny_bundle.glob("*int8.tflite"))))
    interpreter.allocate_tensors()
    exported = [
        interpreter.get_tensor(one["index"])
        for one in interpreter.get_tensor_details()
        if one["dtype"] == np.int8 and len(one["quantization_parameters"]["scales"]) > 1
    ]
    model = keras.models.load_model(tiny_run / "model.keras", compile=False)
    kernels = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")]
    for kernel in kernels:
        codes = np.moveaxis(codes_of(kernel, (-1,)), -1, 0)  # TFLite has the channels first
        assert any(codes.shape == other.shape and (codes == other).all() for other in exported)


@pytest.mark.parametrize("clusters", [3, 16, 255])
def test_a_kernel_has_few_codes_which_reach_both_ends(kernel: NDArray[np.float32], clusters: int) -> None:
    codes = clustered_codes(kernel, (-1,), clusters)
    assert codes.dtype == np.int8
    assert len(np.unique(codes)) <= clusters
    assert (np.abs(codes).max(axis=(0, 1, 2)) == 127).all()  # so each channel keeps its scale


def test_codes_times_scales_have_these_codes_again(kernel: NDArray[np.float32]) -> None:
    codes = clustered_codes(kernel, (-1,), 16)
    scales = np.geomspace(1e-4, 3, 8).astype(np.float32)
    np.testing.assert_array_equal(codes_of(codes * scales, (-1,)), codes)


def test_more_clusters_lie_closer(kernel: NDArray[np.float32]) -> None:
    values = kernel * (127 / np.abs(kernel).max(axis=(0, 1, 2)))
    errors = [np.abs(clustered_codes(kernel, (-1,), k) - values).mean() for k in (4, 8, 16, 32, 64)]
    assert errors == sorted(errors, reverse=True)


def test_zeros_stay_and_are_one_of_the_codes(kernel: NDArray[np.float32]) -> None:
    pruned = np.where(np.abs(kernel) < np.median(np.abs(kernel), axis=(0, 1, 2)), 0, kernel)
    pruned[..., 0] = 0  # a whole channel
    codes = clustered_codes(pruned, (-1,), 16)
    assert (codes[pruned == 0] == 0).all()
    assert len(np.unique(codes)) <= 16


def test_channels_are_those_of_the_layer() -> None:
    depthwise = np.arange(1, 19, dtype=np.float32).reshape(3, 3, 2, 1)
    codes = codes_of(depthwise, (-2, -1))
    assert (codes.max(axis=(0, 1)) == 127).all()
    assert other_axes(4, (-2, -1)) == (0, 1)
    assert other_axes(2, (-1,)) == (0,)


def test_levels_are_the_means_of_what_they_stand_for() -> None:
    groups: Any = [np.full(5, -127.0), np.array([-31.0, -29.0]), np.full(9, 10.0), np.array([127.0])]
    levels = k_means(np.concatenate(groups), 4)
    # the two in the middle start at -42 and 42
    np.testing.assert_allclose(levels, [-127, -30, 10, 127])


def test_a_level_without_values_stays() -> None:
    np.testing.assert_allclose(k_means(np.array([-127.0, 127.0]), 3), [-127, 0, 127])
