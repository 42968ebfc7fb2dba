"""Limits by made-up machines and layers, so that each floor can be worked out by hand."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from liteport.benchmarks.limits.costs import count_costs
from liteport.benchmarks.limits.delegation import left_to_built_in_kernels
from liteport.benchmarks.limits.limit import find_limit, reading_rate, working_set
from liteport.benchmarks.results import Bandwidth, Engine, LayerCost, Limit, Peak, Roofline
from liteport.errors import BackendError

FLOAT, INT = Peak("float32", "numpy", 1e9), Peak("int8", "onnxruntime", 4e9)
CACHED, UNCACHED = Bandwidth(1 << 20, 8e9), Bandwidth(1 << 24, 1e9)
MACHINE = Roofline((FLOAT, INT), (CACHED, UNCACHED))
XNNPACK = Engine("ai-edge-litert", "2.3.0", "XNNPACK")
BUILT_IN = Engine("ai-edge-litert", "1.0", "built-in kernels")


def layer(macs: int, compute: str = "float32", constants: int = 0, values: int = 0, kind: str = "CONV_2D") -> LayerCost:
    return LayerCost("layer", kind, compute if macs else "", macs, constants, values)


@pytest.fixture(scope="module")
def int8_file(tiny_bundle: Path) -> bytes:
    return (tiny_bundle / "tflite-int8.tflite").read_bytes()


def limit_of(
    content: bytes,
    layers: Sequence[LayerCost],
    p50_ns: float = 1e6,
    batch: int = 1,
    roofline: Roofline = MACHINE,
    features: Sequence[str] = (),
) -> Limit | None:
    return find_limit(content, ".tflite", layers, roofline, p50_ns, batch, XNNPACK, features)


def reason_of(
    content: bytes,
    layers: Sequence[LayerCost],
    engine: Engine = XNNPACK,
    p50_ns: float = 1e9,
    left: dict[str, int] | None = None,
) -> str:
    found = find_limit(content, ".tflite", layers, MACHINE, p50_ns, 1, engine, left=left)
    assert found is not None
    assert found.share < 0.2
    assert found.reason is not None
    return found.reason


def test_a_layer_takes_as_long_as_the_longer_of_computing_and_reading(int8_file: bytes) -> None:
    computing = layer(400_000, constants=8_000)  # 400 µs against 1 µs
    reading = layer(1_000, constants=800_000)  # 1 µs against 100 µs
    found = limit_of(int8_file, [computing, reading])
    assert found is not None
    assert found.floor_ns == pytest.approx(500_000)
    assert (found.share, found.bound, found.reason) == (pytest.approx(0.5), "compute", None)
    found = limit_of(int8_file, [layer(50_000), reading], p50_ns=200_000)
    assert found is not None
    assert (found.floor_ns, found.bound) == (pytest.approx(150_000), "memory")


def test_a_batch_multiplies_work_and_values_but_not_constants(int8_file: bytes) -> None:
    found = limit_of(int8_file, [layer(1_000, constants=800_000, values=8_000)], batch=10)
    assert found is not None
    assert found.floor_ns == pytest.approx(100_000 + 10 * 1_000)


def test_what_multiplies_nothing_takes_no_time(int8_file: bytes) -> None:
    alone = limit_of(int8_file, [layer(300_000)])
    assert alone is not None
    assert limit_of(int8_file, [layer(300_000), layer(0, values=500_000)]) == alone
    assert limit_of(int8_file, [layer(0, values=500_000)]) is None


@pytest.mark.parametrize(
    ("compute", "features", "floor_us"),
    [
        ("float32", (), 400),
        ("int8", (), 100),
        ("int16", (), 100),
        ("float16", (), 400),
        ("float16", ("neon", "asimdhp"), 200),
        ("float64", ("asimdhp",), 400),
    ],
)
def test_each_type_has_a_peak(compute: str, features: Sequence[str], floor_us: float, int8_file: bytes) -> None:
    found = limit_of(int8_file, [layer(400_000, compute)], p50_ns=500_000, features=features)
    assert found is not None
    assert found.floor_ns == pytest.approx(1000 * floor_us)


def test_there_is_no_limit_without_costs_or_a_peak(int8_file: bytes) -> None:
    assert limit_of(int8_file, []) is None
    float_alone = Roofline((FLOAT,), MACHINE.bandwidths)
    assert limit_of(int8_file, [layer(400_000, "int8")], roofline=float_alone) is None
    assert limit_of(int8_file, [layer(400_000)], roofline=float_alone) is not None
    assert limit_of(int8_file, [layer(400_000)], roofline=Roofline((FLOAT,), ())) is None


def test_reads_as_fast_as_the_nearest_sizes() -> None:
    assert [reading_rate(MACHINE, size) for size in (0, 1 << 10, 1 << 20, 1 << 24, 1 << 30)] == [
        8e9,
        8e9,
        8e9,
        1e9,
        1e9,
    ]
    assert reading_rate(MACHINE, 1 << 22) == pytest.approx(4.5e9)  # half-way, by the logarithm


def test_the_working_set_holds_all_constants_and_the_largest_layers_values() -> None:
    assert working_set([layer(1, constants=100, values=30), layer(1, constants=50, values=40)], 2) == 150 + 80


def test_says_that_int16_has_reference_kernels(tiny_bundle: Path) -> None:
    content = (tiny_bundle / "tflite-int16x8.tflite").read_bytes()
    reason = reason_of(content, count_costs(content, ".tflite"), BUILT_IN)
    assert (
        reason
        == "3 of 3 operations that multiply do so in int16, for which ai-edge-litert has reference kernels alone."
    )


def test_says_that_there_is_no_delegate(int8_file: bytes) -> None:
    assert reason_of(int8_file, [layer(10_000)], BUILT_IN).startswith("It runs on ai-edge-litert's built-in kernels")


def test_says_what_a_delegate_leaves(int8_file: bytes) -> None:
    layers = [*[layer(10_000, "int8")] * 30, layer(10_000, "int8", kind="TRANSPOSE_CONV")]
    found = reason_of(int8_file, layers, left={"SOFTMAX": 1, "TRANSPOSE_CONV": 1})
    assert found == "XNNPACK leaves 2 operations to built-in kernels: 1 TRANSPOSE_CONV, 1 SOFTMAX."
    assert "leaves" not in reason_of(int8_file, layers, left={"SOFTMAX": 1})


def test_says_that_calls_cost_more_than_work(int8_file: bytes) -> None:
    layers = [layer(1_000, "int8")] * 100  # 0.25 µs each, and 131 µs are what a call may cost on a machine so slow
    assert reason_of(int8_file, layers, p50_ns=5_000_000).startswith(
        "Its 100 operations and the call around them take 5000.0 µs for 25.00 µs of work"
    )
    assert "calling" not in reason_of(int8_file, layers, p50_ns=50_000_000)


def test_says_that_most_is_depthwise(int8_file: bytes) -> None:
    layers = [layer(10_000, "int8", kind="DEPTHWISE_CONV_2D"), layer(10_000, "int8")]
    assert reason_of(int8_file, layers).startswith("1 of 2 operations that multiply are depthwise")


def test_says_what_is_converted_at_each_call(tiny_bundle: Path) -> None:
    content = (tiny_bundle / "tflite-dynamic.tflite").read_bytes()
    reason = reason_of(content, count_costs(content, ".tflite"))
    assert "2 operations quantize their input anew at each call" in reason
    assert re.search(r"2 operations are left in float: 1 CONV_2D, 1 SOFTMAX", reason)


def test_says_that_the_file_is_larger_than_the_caches(int8_file: bytes) -> None:
    reason = reason_of(int8_file, [layer(10_000, "int8", constants=16_000_000)])
    assert reason.startswith("It goes through 16.0 MB, beyond the caches: the machine reads so much at 1.1 GB/s")


def test_says_that_channels_are_narrow() -> None:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    constants = [numpy_helper.from_array(np.ones((count, 1, 3, 3), np.float32), f"w{count}") for count in (8, 64)]
    nodes = [helper.make_node("Conv", ["x", f"w{count}"], [f"y{count}"]) for count in (8, 64)]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 5, 5])
    outputs = [helper.ValueInfoProto(name=f"y{count}") for count in (8, 64)]
    content = helper.make_model(
        helper.make_graph(nodes, "g", [x], outputs, constants), ir_version=8
    ).SerializeToString()
    found = find_limit(
        content, ".onnx", count_costs(content, ".onnx"), MACHINE, 1e9, 1, Engine("onnxruntime", "1", "CPU")
    )
    assert found is not None
    assert found.reason is not None
    assert found.reason.startswith("1 of 2 convolutions have fewer than 16 output channels")


def test_admits_that_nothing_is_known(int8_file: bytes) -> None:
    assert reason_of(int8_file, [layer(10_000, "int8")]) == "Nothing that is known to slow a model down was found."


def test_finds_what_xnnpack_leaves(tiny_bundle: Path) -> None:
    # XNNPACK has no quantized softmax; the float file is its own altogether, and int16 is none of its business.
    assert left_to_built_in_kernels((tiny_bundle / "tflite-int8.tflite").read_bytes()) == {"SOFTMAX": 1}
    assert left_to_built_in_kernels((tiny_bundle / "tflite-float32.tflite").read_bytes()) == {}
    assert left_to_built_in_kernels((tiny_bundle / "tflite-int16x8.tflite").read_bytes()) == {}
    with pytest.raises(BackendError, match="refuses this model"):
        left_to_built_in_kernels(b"no model at all")
