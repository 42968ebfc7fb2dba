from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from liteport.errors import ConversionError, InvalidInputError
from liteport.export.callable_model import of_keras
from liteport.export.onnx import OnnxOptions, QdqSession, convert
from liteport.export.tracing import Traced, trace

RNG = np.random.default_rng(0)
IMAGES = RNG.random((64, 10, 10, 4), np.float32)
layers = keras.layers


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((10, 10, 4)),
            layers.Conv2D(8, 3, activation="relu", name="one"),
            layers.Conv2D(8, 3, name="two"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(),
            layers.Dense(6, activation="relu", bias_initializer="normal", name="three"),
            layers.Dense(3, activation="softmax", bias_initializer="normal", name="four"),
        ]
    )
    return convert(trace(of_keras(model), tmp_path_factory.mktemp("saved")), None, OnnxOptions())


@pytest.fixture(scope="module")
def session(float_file: bytes) -> QdqSession:
    return QdqSession(float_file, {"input": IMAGES}, OnnxOptions())


def run(content: bytes) -> np.ndarray:
    model = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    answers: np.ndarray = model.run(None, {"input": IMAGES})[0]
    return answers


def quantized_layers(content: bytes) -> list[str]:
    """The weighted operations that take dequantized values, by what their weights are called."""
    graph = onnx.load_from_string(content).graph
    made = {name: node for node in graph.node for name in node.output}
    weighted = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    return [
        made[node.input[1]].input[0].split("/")[1].removesuffix("_1")
        for node in weighted
        if node.input[1] in made and made[node.input[0]].op_type == "DequantizeLinear"
    ]


def stored(content: bytes) -> Iterator[np.ndarray]:
    for tensor in onnx.load_from_string(content).graph.initializer:
        yield numpy_helper.to_array(tensor)


def test_everything_is_quantized_with_a_scale_per_channel(float_file: bytes, session: QdqSession) -> None:
    content = session.quantize()
    assert quantized_layers(content) == ["one", "two", "three", "four"]
    graph = onnx.load_from_string(content).graph
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            assert constants[node.input[0]].data_type in (onnx.TensorProto.INT8, onnx.TensorProto.INT32)
            assert list(constants[node.input[1]].dims) in ([8], [6], [3])
    # probabilities are near 1/3; three roundings to 1/256 of a range come to about a hundredth of that
    np.testing.assert_allclose(run(content), run(float_file), atol=0.02)


def test_probabilities_are_computed_from_logits_in_float(session: QdqSession) -> None:
    graph = onnx.load_from_string(session.quantize()).graph
    made = {name: node for node in graph.node for name in node.output}
    assert made["output"].op_type == "Softmax"
    assert made[made["output"].input[0]].op_type == "Gemm"


def test_layers_may_be_kept_in_float(float_file: bytes, session: QdqSession) -> None:
    values = [name for node in onnx.load_from_string(float_file).graph.node for name in node.output]
    activation = next(name for name in values if "one" in name and "Relu" in name)
    weighted = next(name for name in values if "three" in name)
    # an activation brings its layer, a layer its activation
    assert quantized_layers(session.quantize([activation])) == ["two", "three", "four"]
    assert quantized_layers(session.quantize([weighted])) == ["one", "two", "four"]
    assert quantized_layers(session.quantize()) == ["one", "two", "three", "four"]


def test_with_all_kept_in_float_nothing_is_lost(float_file: bytes, session: QdqSession) -> None:
    values = [name for node in onnx.load_from_string(float_file).graph.node for name in node.output]
    content = session.quantize(values)
    assert quantized_layers(content) == []
    np.testing.assert_allclose(run(content), run(float_file), atol=1e-6)  # float32 in another order


def test_a_value_that_is_not_there_is_named(session: QdqSession) -> None:
    with pytest.raises(InvalidInputError, match="unknown value to keep in float 'nothing'"):
        session.quantize(["nothing"])


@pytest.mark.parametrize(
    ("options", "activations", "largest"),
    [
        (OnnxOptions(), np.uint8, 127),
        (OnnxOptions(target="arm"), np.int8, 127),
        (OnnxOptions(vnni=False), np.uint8, 64),  # 7 bits: from -64 to 64
    ],
)
def test_targets_differ_in_activations_and_weights(
    float_file: bytes, options: OnnxOptions, activations: type, largest: int
) -> None:
    content = QdqSession(float_file, {"input": IMAGES}, options).quantize()
    assert (
        max(np.abs(array.astype(int)).max() for array in stored(content) if array.dtype == np.int8 and array.size > 99)
        == largest
    )
    zero_points = {array.dtype.type for array in stored(content) if array.ndim == 0 and array.dtype.kind in "iu"}
    assert zero_points == {activations}
    np.testing.assert_allclose(run(content), run(float_file), atol=0.03)  # 7 bits are twice as coarse as 8


@pytest.mark.parametrize(("target", "expected"), [("x86", None), ("arm", "DequantizeLinear")])
def test_the_first_convolution_of_grey_images_stays_in_float_on_x86(
    tiny_run: Path, tmp_path: Path, target: str, expected: str | None
) -> None:
    model = keras.models.load_model(tiny_run / "model.keras", compile=False)
    images = RNG.random((8, 28, 28, 1), np.float32)
    options = OnnxOptions("int8", target=target)  # type: ignore[arg-type]
    graph = onnx.load_from_string(convert(trace(of_keras(model), tmp_path), {"input": images}, options)).graph
    first, second = (node for node in graph.node if node.op_type == "Conv")
    made = {name: node.op_type for node in graph.node for name in node.output}
    assert made.get(first.input[1]) == expected
    assert made[second.input[1]] == "DequantizeLinear"


@pytest.mark.parametrize("bits", [8, 4])
def test_learned_ranges_and_weights_are_taken_over(aware_traced: dict[int, Traced], bits: int) -> None:
    traced = aware_traced[bits]
    assert traced.learned is not None
    ranges = traced.learned.of_values(convert(traced, None, OnnxOptions()), ".onnx")
    model = onnx.load_from_string(
        convert(traced, None, OnnxOptions(scheme="int8", target="arm" if bits == 4 else "x86"))
    )
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    steps = {"uint8": 0, "int8": -128}
    seen = set()
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in ranges:
            continue  # what a pooling or a ReLU takes over
        low, high = ranges[node.input[0]]
        scale, zero = constants[node.input[1]], constants[node.input[2]]
        assert scale == pytest.approx((high - low) / 255, rel=1e-6)  # single precision
        assert zero == round(steps[str(zero.dtype)] - low / scale)
        seen.add((low, high))
    # Not those of the image and the first layer, which stay in float on x86, nor fixed ones that equal one another.
    assert len(seen) >= len(set(ranges.values())) - 3
    codes = [
        constants[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    ]
    weights = [values for values in codes if values.dtype == np.int8]
    assert weights
    assert {int(np.abs(values.astype(int)).max()) for values in weights} == {{8: 127, 4: 7}[bits]}


def test_learned_logits_are_rounded_as_in_training(aware_traced: dict[int, Traced]) -> None:
    graph = onnx.load_from_string(convert(aware_traced[8], None, OnnxOptions(scheme="int8"))).graph
    softmax = next(node for node in graph.node if node.op_type == "Softmax")
    assert next(node for node in graph.node if softmax.input[0] in node.output).op_type == "DequantizeLinear"


def test_a_relu_that_shares_a_range_with_signed_values_stays(aware_traced: dict[int, Traced]) -> None:
    graph = onnx.load_from_string(convert(aware_traced[8], None, OnnxOptions(scheme="int8", target="arm"))).graph
    # Rounding to a range from 0 does what a ReLU does, but "left" is concatenated with a sum.
    assert [node.output[0].split("/")[1] for node in graph.node if node.op_type in ("Relu", "Clip")] == ["left_1"]


def test_without_samples_or_learned_ranges_there_is_nothing_to_go_by(float_file: bytes) -> None:
    with pytest.raises(ConversionError, match="int8 activations need calibration data"):
        QdqSession(float_file, None, OnnxOptions())
