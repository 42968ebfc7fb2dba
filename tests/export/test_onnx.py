from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from liteport.errors import ConversionError, InvalidInputError
from liteport.export.callable_model import of_keras
from liteport.export.onnx import OnnxOptions, convert
from liteport.export.onnx_options import OPSETS
from liteport.export.tracing import Traced, trace
from liteport.runtime import load

VARIANTS = ["onnx-float32", "onnx-float16", "onnx-int8"]
RNG = np.random.default_rng(0)
layers = keras.layers


@contextmanager
def traced(model: keras.Model, batch: int | None = None) -> Iterator[Traced]:
    with TemporaryDirectory() as folder:
        yield trace(of_keras(model), Path(folder), batch)


def run(content: bytes, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def sizes(value: Any) -> list[str | int]:
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_are_valid_with_named_edges_and_a_free_batch(tiny_bundle: Path, variant: str) -> None:
    model = onnx.load(tiny_bundle / f"{variant}.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert ("", 17) in [(entry.domain, entry.version) for entry in model.opset_import]
    assert (model.graph.input[0].name, sizes(model.graph.input[0])) == ("input", ["N", 28, 28, 1])
    assert (model.graph.output[0].name, sizes(model.graph.output[0])) == ("output", ["N", 10])
    with load(tiny_bundle, variant) as loaded:
        assert [spec.dtype for spec in (*loaded.inputs, *loaded.outputs)] == ["float32", "float32"]


def test_files_say_what_made_them(tiny_bundle: Path) -> None:
    model = onnx.load(tiny_bundle / "onnx-int8.onnx")
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert model.producer_name == "liteport"
    assert model.producer_version
    assert (facts["scheme"], facts["opset"], facts["target"], facts["calibration_method"]) == (
        "int8",
        "17",
        "x86",
        "minmax",
    )
    assert facts["converter"].startswith("tf2onnx ")
    assert facts["quantizer"].startswith("onnxruntime ")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_convolutional_classifier_has_no_transpose_and_no_computed_shape(tiny_bundle: Path, variant: str) -> None:
    kinds = {node.op_type for node in onnx.load(tiny_bundle / f"{variant}.onnx").graph.node}
    assert not kinds & {"Transpose", "Shape", "Gather", "Slice", "Concat", "MatMul", "Add"}
    assert {"Conv", "Flatten", "Gemm"} <= kinds


def weights(path: Path) -> dict[str, set[int]]:
    """Number of bytes by type of the stored tensors."""
    found: dict[str, set[int]] = {}
    for tensor in onnx.load(path).graph.initializer:
        found.setdefault(onnx.TensorProto.DataType.Name(tensor.data_type), set()).add(len(tensor.raw_data))
    return found


def test_float16_stores_its_large_weights_in_half_precision(tiny_bundle: Path) -> None:
    half, single = (weights(tiny_bundle / f"{variant}.onnx") for variant in ("onnx-float16", "onnx-float32"))
    assert max(half["FLOAT16"]) * 2 == max(single["FLOAT"])
    assert "FLOAT" not in half or max(half["FLOAT"]) < 100


def maps(*steps: Any) -> keras.Model:
    """A classifier of small grey images with these layers between its convolution and its dense layer."""
    image = x = keras.Input((12, 12, 1))
    for step in (layers.Conv2D(8, 3, padding="same", activation="relu"), *steps):
        x = step(x)
    x = x if len(x.shape) == 2 else layers.Flatten()(x)
    return keras.Model(image, layers.Dense(5, bias_initializer="normal")(x))


def squeeze_excite() -> keras.Model:
    image = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, 3, activation="swish")(image)
    small = layers.Conv2D(4, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="hard_sigmoid")(small)])
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalMaxPooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(gate)])
    return keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def branches() -> keras.Model:
    image = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, 3, padding="same")(image)
    y = layers.Conv2D(8, 3, padding="same", activation="elu")(x)
    x = layers.Concatenate()([layers.Add()([x, y]), layers.Conv2D(4, 1)(y)])
    return keras.Model(image, layers.Dense(5)(layers.Flatten()(layers.AveragePooling2D(2)(x))))


GREY: dict[str, Callable[[], keras.Model]] = {
    "pad": lambda: maps(layers.ZeroPadding2D(1), layers.Conv2D(8, 3, strides=2), layers.MaxPooling2D()),
    "batch norm": lambda: maps(layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.5)),
    "depthwise": lambda: maps(layers.DepthwiseConv2D(3), layers.BatchNormalization(), layers.LeakyReLU()),
    "separable": lambda: maps(layers.SeparableConv2D(6, 3, activation="hard_swish"), layers.GlobalAveragePooling2D()),
    "repeat": lambda: maps(layers.UpSampling2D((2, 3)), layers.Conv2D(8, 3)),
    "bilinear": lambda: maps(layers.UpSampling2D(2, interpolation="bilinear"), layers.GlobalMaxPooling2D()),
    "transposed": lambda: maps(layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu")),
    "crop": lambda: maps(layers.Cropping2D(1), layers.Permute((2, 1, 3))),
    "layer norm": lambda: maps(layers.LayerNormalization(), layers.Conv2D(8, 3, activation="gelu")),
    "exponentials": lambda: maps(layers.Conv2D(4, 3, activation="celu"), layers.Activation("celu")),
    "dense on maps": lambda: maps(layers.Dense(6, activation="relu", bias_initializer="normal")),
    "flat": lambda: maps(layers.Flatten(), layers.BatchNormalization(), layers.ReLU()),
    "squeeze and excite": squeeze_excite,
    "branches": branches,
}


@pytest.mark.parametrize("name", GREY)
def test_no_transpose_is_left_for_one_channel(name: str) -> None:
    keras.utils.set_random_seed(1)
    model = GREY[name]()
    images = RNG.random((3, *model.input_shape[1:]), np.float32)
    with traced(model) as graph:
        content = convert(graph, None, OnnxOptions())
        expected = graph.answers({"input": images})
    kinds = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert not {"Transpose", "Shape", "Tile", "BatchNormalization"} & set(kinds)
    answers = run(content, {"input": images})
    # Both compute in float32, in another order: some units in the last place of values around 1.
    np.testing.assert_allclose(answers["output"], expected["output"], atol=2e-6, rtol=1e-5)


def test_colour_images_cost_one_transpose(foreign_model: keras.Model) -> None:
    with traced(foreign_model) as graph:
        model = onnx.load_from_string(convert(graph, None, OnnxOptions()))
    turns = [node for node in model.graph.node if node.op_type == "Transpose"]
    assert len(turns) == (0 if foreign_model.name == "transposed" else 1)


def test_tensors_are_named_after_layers() -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, use_bias=False, name="eyes")])
    model.add(layers.BatchNormalization(name="calm"))
    model.add(layers.ReLU(name="spark"))
    with traced(model) as graph:
        made = onnx.load_from_string(convert(graph, None, OnnxOptions())).graph.node
    convolution = next(node for node in made if node.op_type == "Conv")
    assert "eyes" in convolution.output[0] or "calm" in convolution.output[0]


@pytest.fixture(scope="module")
def several() -> keras.Model:
    """Three inputs, one of them of integers, and two outputs."""
    image, facts = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="facts")
    words = keras.Input((5,), dtype="int32", name="words")
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    y = layers.GlobalAveragePooling1D()(layers.Embedding(10, 4)(words))
    x = layers.Concatenate()([x, layers.Dense(4)(facts), y])
    outputs = [layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, name="size")(x)]
    return keras.Model([facts, image, words], outputs, name="several")


@pytest.mark.parametrize("batch", [None, 4])
@pytest.mark.parametrize(
    # float16 has 11 bits: 1e-3 on values around 1; int8 rounds each of three layers to 1/256 of its range
    ("scheme", "tolerance"),
    [("float32", 1e-6), ("float16", 2e-3), ("int8", 0.05)],
)
def test_several_inputs_and_outputs_keep_names_order_and_batch(
    several: keras.Model, scheme: Any, tolerance: float, batch: int | None
) -> None:
    with traced(several, batch) as graph:
        feeds = {
            spec.name: RNG.integers(0, 10, (10, *spec.shape[1:])).astype(np.int32)
            if spec.dtype == "int32"
            else RNG.random((10, *spec.shape[1:]), np.float32)
            for spec in graph.inputs
        }
        content = convert(graph, feeds, OnnxOptions(scheme))
        few = {name: array[:4] for name, array in feeds.items()}
        expected = graph.answers(few)
    model = onnx.load_from_string(content)
    assert [value.name for value in model.graph.input] == [spec.name for spec in graph.inputs]
    assert [value.name for value in model.graph.output] == [spec.name for spec in graph.outputs]
    assert {sizes(value)[0] for value in (*model.graph.input, *model.graph.output)} == {batch or "N"}
    answers = run(content, few)
    for name, values in expected.items():
        np.testing.assert_allclose(answers[name], values, atol=tolerance)


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
@pytest.mark.parametrize("scheme", ["float32", "float16", "int8"])
def test_the_first_and_the_last_opset_work(opset: int, scheme: Any) -> None:
    keras.utils.set_random_seed(1)
    images = RNG.random((4, 12, 12, 1), np.float32)
    with traced(squeeze_excite()) as graph:
        content = convert(graph, {"input": images}, OnnxOptions(scheme, opset))
        expected = graph.answers({"input": images})["output"]
    assert onnx.load_from_string(content).opset_import[0].version == opset
    # int8 is the coarsest: a step is 1/256 of a range, and roundings of some layers add up
    np.testing.assert_allclose(run(content, {"input": images})["output"], expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("opset", [OPSETS[0] - 1, OPSETS[-1] + 1])
def test_other_opsets_are_refused_with_the_range(opset: int) -> None:
    with pytest.raises(InvalidInputError, match=f"opset is {opset}; expected one from 13 to 18"):
        OnnxOptions(opset=opset)


@pytest.mark.parametrize("field", ["scheme", "calibration_method", "target"])
def test_unknown_choices_are_refused(field: str) -> None:
    with pytest.raises(InvalidInputError, match="known: "):
        OnnxOptions(**{field: "x87"})


def test_a_recurrent_layer_is_converted() -> None:
    model = keras.Sequential([keras.Input((6, 4)), layers.LSTM(5), layers.Dense(2)])
    steps = RNG.random((3, 6, 4), np.float32)
    with traced(model) as graph:
        content = convert(graph, {"input": steps}, OnnxOptions())
        quantized = convert(graph, {"input": steps}, OnnxOptions("int8"))
        expected = graph.answers({"input": steps})["output"]
    np.testing.assert_allclose(run(content, {"input": steps})["output"], expected, atol=1e-6)  # float32, other order
    # 6 steps, each rounding its gates to 1/256: some hundredths
    np.testing.assert_allclose(run(quantized, {"input": steps})["output"], expected, atol=0.1)


class Regularized(keras.Layer):  # type: ignore[misc]
    """Computes the regularized incomplete beta function, which ONNX has no form of."""

    def call(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.raw_ops.Betainc(a=tf.ones_like(x), b=tf.ones_like(x), x=tf.sigmoid(x))


def test_an_operation_that_onnx_lacks_is_named_with_its_layer() -> None:
    model = keras.Sequential([keras.Input((4,)), Regularized(name="strange"), layers.Dense(2)])
    with traced(model) as graph, pytest.raises(ConversionError, match=r"Betainc in layer 'strange': it has no form"):
        convert(graph, None, OnnxOptions())


def test_what_has_no_float16_form_stays_float32() -> None:
    model = keras.Sequential([keras.Input((3, 4, 2)), layers.Softmax(axis=(1, 2))])  # tells infinities apart
    with traced(model) as graph:
        content = convert(graph, None, OnnxOptions("float16"))
        images = RNG.random((2, 3, 4, 2), np.float32)
        expected = graph.answers({"input": images})["output"]
    # half precision keeps three digits, and these are below 1
    np.testing.assert_allclose(run(content, {"input": images})["output"], expected, atol=1e-3)


def test_a_float16_file_that_crashes_the_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liteport.export.onnx._LOADING", "import os; os.abort()")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with traced(model) as graph, pytest.raises(ConversionError, match=r"does not load .* it crashed \(SIGABRT\)"):
        convert(graph, None, OnnxOptions("float16"))


def test_int8_without_data_is_refused() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with traced(model) as graph, pytest.raises(ConversionError, match="calibration data"):
        convert(graph, None, OnnxOptions("int8"))
