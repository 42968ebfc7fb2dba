"""The probe's files compute what they should in the engines, and the roofline is put together from what they reach."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from liteport.benchmarks.limits import onnx_probe, probe, tflite_probe
from liteport.benchmarks.limits.costs import count_costs
from liteport.benchmarks.limits.probe import measure_roofline
from liteport.runtime.backends import ENGINES, choose_engine
from liteport.runtime.contents import check_structure

ROWS, DEPTH, COLUMNS = 24, 40, 36


def weights_of(dtype: str) -> np.ndarray:
    generator = np.random.default_rng(5)
    if dtype == "int8":
        return generator.integers(-128, 128, (COLUMNS, DEPTH), np.int8)
    return generator.standard_normal((COLUMNS, DEPTH), np.float32)


def run(content: bytes, suffix: str, data: np.ndarray) -> np.ndarray:
    check_structure(content, suffix)
    backend = choose_engine(suffix).load(content, 1)
    assert (backend.inputs[0].shape, backend.inputs[0].dtype) == (data.shape, data.dtype)
    (result,) = backend.run([data])
    return result


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_engines_multiply_float_matrices(suffix: str) -> None:
    weights = weights_of("float32")
    data = np.random.default_rng(6).standard_normal((ROWS, DEPTH), np.float32)
    if suffix == ".onnx":
        content = onnx_probe.product_file(np.ascontiguousarray(weights.T), ROWS)
    else:
        content = tflite_probe.product_file(weights, ROWS)
    # Sums of 40 products of about 1 in float32, in another order: some 1e-6.
    np.testing.assert_allclose(run(content, suffix, data), data @ weights.T, atol=1e-4)


def test_onnx_engines_multiply_integers() -> None:
    weights = weights_of("int8")
    data = np.random.default_rng(6).integers(0, 256, (ROWS, DEPTH), np.uint8)
    result = run(onnx_probe.product_file(np.ascontiguousarray(weights.T), ROWS), ".onnx", data)
    np.testing.assert_array_equal(result, data.astype(np.int32) @ weights.T.astype(np.int32))


def test_tflite_engines_multiply_integers() -> None:
    weights = weights_of("int8")
    data = np.random.default_rng(6).integers(-128, 128, (ROWS, DEPTH), np.int8)
    result = run(tflite_probe.product_file(weights, ROWS), ".tflite", data)
    exact = (data.astype(np.int32) @ weights.T.astype(np.int32)) / 128  # in steps of the output
    # Rounded to the nearest step; engines may round halves either way.
    np.testing.assert_allclose(result, np.clip(exact, -128, 127), atol=0.5)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_each_file_holds_the_product_that_is_counted(dtype: str) -> None:
    weights = weights_of(dtype)
    files = {
        ".tflite": tflite_probe.product_file(weights, ROWS),
        ".onnx": onnx_probe.product_file(np.ascontiguousarray(weights.T), ROWS),
    }
    for suffix, content in files.items():
        (layer,) = count_costs(content, suffix)
        assert (layer.macs, layer.compute) == (ROWS * DEPTH * COLUMNS, dtype)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe of one small product and small sets."""
    monkeypatch.setattr(probe, "SIZES", ((8, 32, 32),))
    monkeypatch.setattr(probe, "LARGEST_SET", 1 << 20)
    monkeypatch.setattr(probe, "_TURN_S", 0.001)


@pytest.mark.usefixtures("quick")
def test_measures_a_roofline() -> None:
    found = measure_roofline(1)
    assert [peak.compute for peak in found.peaks] == ["float32", "int8"]
    assert all(peak.macs_per_second > 0 and peak.engine for peak in found.peaks)
    assert [point.working_set_bytes for point in found.bandwidths] == [1 << 18, 1 << 19, 1 << 20]
    assert all(point.bytes_per_second > 0 for point in found.bandwidths)


@pytest.mark.usefixtures("quick")
def test_uses_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "installed", lambda engine: engine.package == "onnxruntime")
    assert {peak.engine for peak in measure_roofline(1).peaks} == {"onnxruntime"}
    monkeypatch.setattr(probe, "installed", lambda engine: False)
    assert measure_roofline(1).peaks == ()


@pytest.mark.usefixtures("quick")
def test_reads_no_more_than_a_quarter_of_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2 << 20}))
    monkeypatch.setattr(probe, "installed", lambda engine: False)
    assert [point.working_set_bytes for point in measure_roofline(1).bandwidths] == [1 << 18, 1 << 19]


@pytest.mark.usefixtures("quick")
def test_each_thread_reads_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "installed", lambda engine: False)
    assert all(point.bytes_per_second > 0 for point in measure_roofline(3).bandwidths)


def test_takes_the_fastest_engine_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"slow": [2.0, 4.0], "fast": [3.0, 1.0]}
    made = [probe._Multiplier(name, "int8", lambda size, name=name: lambda: name) for name in seconds]
    monkeypatch.setattr(probe, "SIZES", ((1, 10, 10),))
    monkeypatch.setattr(probe, "_multipliers", lambda threads: iter(made))
    monkeypatch.setattr(probe, "_times", lambda run: seconds[run()])
    monkeypatch.setattr(probe, "_bandwidths", lambda threads: ())
    (peak,) = measure_roofline(1).peaks
    assert (peak.engine, peak.macs_per_second) == ("fast", 100.0)


def test_slow_machines_are_spared_large_products(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def prepare(size: tuple[int, int, int]) -> Callable[[], Any]:
        tried.append(size)
        return lambda: size

    # A million multiplications a second: 0.5 s for the smallest product, and so 6 s for the next.
    monkeypatch.setattr(probe, "_times", lambda run: [np.prod(run()) / 1e6])
    assert probe._peak(probe._Multiplier("slow", "float32", prepare)) == pytest.approx(1e6)
    assert tried == [probe.SIZES[0]]


def test_engines_are_those_of_the_runtime() -> None:
    made = list(probe._multipliers(1))
    assert {multiplier.engine for multiplier in made} <= {engine.package for engine in ENGINES}
    assert {multiplier.compute for multiplier in made} == {"float32", "int8"}
