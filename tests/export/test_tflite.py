from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from liteport.errors import ConversionError, InvalidInputError
from liteport.export.callable_model import of_keras
from liteport.export.tflite import Int8Session, TFLiteOptions, convert
from liteport.export.tflite_floats import floating_ops, floating_tensors, require_integer
from liteport.export.tracing import Traced, trace
from liteport.runtime import load, read_bundle
from liteport.runtime.contents import read_contents, read_metadata
from liteport.train.qat import float_model

layers = keras.layers
FLOAT = TFLiteOptions()
INT8 = TFLiteOptions(weights="int8", activations="int8")
INT8_FLOAT_IO = TFLiteOptions(weights="int8", activations="int8", float_io=True)
INT16 = TFLiteOptions(weights="int8", activations="int16")

Make = Callable[[keras.Model], Traced]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Make:
    def make(model: keras.Model) -> Traced:
        return trace(of_keras(model), tmp_path_factory.mktemp("traced"))

    return make


def uneven() -> keras.Model:
    """A dense layer whose outputs differ a thousandfold in size, and one that makes them equal again."""
    keras.utils.set_random_seed(3)
    image = keras.Input((8, 8, 2))
    x = layers.Conv2D(8, 3, activation="relu", name="stem")(image)
    x = layers.Dense(16, name="uneven")(layers.Flatten(name="flat")(x))
    model = keras.Model(image, layers.Dense(4, name="even")(x), name="net")
    sizes = np.logspace(0, -3, 16, dtype=np.float32)
    kernel, bias = model.get_layer("uneven").get_weights()
    model.get_layer("uneven").set_weights([kernel * sizes, bias])
    kernel, bias = model.get_layer("even").get_weights()
    model.get_layer("even").set_weights([kernel / sizes[:, None], bias])
    return model


def two_inputs() -> keras.Model:
    image, weather = keras.Input((6, 6, 1), name="image"), keras.Input((3,), name="weather")
    left = layers.Dense(2, name="left")(layers.Flatten()(image))
    return keras.Model([weather, image], [left, layers.Dense(5, name="right")(weather)])


@pytest.fixture(scope="module")
def uneven_traced(traced: Make) -> Traced:
    return traced(uneven())


@pytest.fixture(scope="module")
def images() -> dict[str, NDArray[Any]]:
    return {"input": np.random.default_rng(0).random((60, 8, 8, 2), np.float32)}


def outputs(content: bytes, feeds: NDArray[Any]) -> NDArray[np.float32]:
    """Runs a file of one input and one output, quantizing and dequantizing as its scales say."""
    interpreter = Interpreter(model_content=content)
    given, taken = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(given["index"], feeds.shape)
    interpreter.allocate_tensors()
    if given["dtype"] != np.float32:
        scale, zero = given["quantization"]
        feeds = np.clip(np.round(feeds / scale + zero), -128, 127).astype(given["dtype"])
    interpreter.set_tensor(given["index"], feeds)
    interpreter.invoke()
    found = interpreter.get_tensor(taken["index"])
    if found.dtype == np.float32:
        return found
    scale, zero = taken["quantization"]
    return (found.astype(np.float32) - zero) * np.float32(scale)


def signal_to_noise(reference: NDArray[Any], found: NDArray[Any]) -> float:
    return float(10 * np.log10((reference**2).sum() / ((reference - found) ** 2).sum()))


def edge_types(content: bytes) -> list[str]:
    contents = read_contents(content, ".tflite")
    return [contents.tensors[index].dtype for index in (*contents.inputs, *contents.outputs)]


def tensor_types(path: Path) -> set[str]:
    details = Interpreter(model_path=str(path)).get_tensor_details()
    return {np.dtype(detail["dtype"]).name for detail in details}


def test_full_integer_files_hold_no_floating_tensor(tiny_bundle: Path) -> None:
    # int32: biases, and the shapes that Flatten computes
    assert tensor_types(tiny_bundle / "tflite-int8.tflite") <= {"int8", "int32"}
    assert tensor_types(tiny_bundle / "tflite-int16x8.tflite") <= {"int16", "int8", "int32", "int64"}
    for variant in ("tflite-int8", "tflite-int16x8"):
        require_integer((tiny_bundle / f"{variant}.tflite").read_bytes())


def test_floating_tensors_are_found_where_they_are(tiny_bundle: Path) -> None:
    assert floating_tensors((tiny_bundle / "tflite-float32.tflite").read_bytes())
    assert floating_tensors((tiny_bundle / "tflite-dynamic.tflite").read_bytes())


def test_raw_pixels_map_exactly_to_int8(tiny_bundle: Path) -> None:
    spec = read_bundle(tiny_bundle).manifest.variant("tflite-int8").inputs[0]
    assert (spec.dtype, spec.zero_point) == ("int8", -128)
    assert spec.scale == np.float32(1 / 255)


@pytest.mark.parametrize(
    ("variant", "largest_share"),
    # A quarter and a half of float32's weights, and room for the graph, which is a large part of so small a file.
    [("tflite-int8", 0.45), ("tflite-int16x8", 0.45), ("tflite-dynamic", 0.45), ("tflite-float16", 0.65)],
)
def test_quantized_weights_are_stored_as_such(tiny_bundle: Path, variant: str, largest_share: float) -> None:
    manifest = read_bundle(tiny_bundle).manifest
    assert manifest.variant(variant).size_bytes < largest_share * manifest.variant("tflite-float32").size_bytes


def test_half_precision_may_be_computed_in_where_weights_are_in_it(tiny_bundle: Path) -> None:
    for variant, expected in (("tflite-float16", b"fp16accfp16"), ("tflite-float32", None), ("tflite-dynamic", None)):
        metadata = read_metadata((tiny_bundle / f"{variant}.tflite").read_bytes(), ".tflite")
        assert metadata.get("reduced_precision_support") == expected


@pytest.mark.parametrize("variant", ["tflite-float32", "tflite-float16", "tflite-dynamic"])
def test_other_variants_take_and_give_float32(tiny_bundle: Path, variant: str) -> None:
    with load(tiny_bundle, variant) as model:
        assert [spec.dtype for spec in (*model.inputs, *model.outputs)] == ["float32", "float32"]
        assert (model.inputs[0].name, model.outputs[0].name) == ("input", "output")


@pytest.mark.parametrize("activations", ["int8", "int16"])
def test_float_io_is_integer_inside(uneven_traced: Traced, images: dict[str, NDArray[Any]], activations: Any) -> None:
    content = convert(uneven_traced, images, TFLiteOptions("int8", activations, float_io=True))
    assert edge_types(content) == ["float32", "float32"]
    require_integer(content, edges=True)
    assert len(floating_tensors(content)) == 2
    assert floating_ops(content) == []
    with pytest.raises(ConversionError, match="2 tensors are left in float"):
        require_integer(content)


def test_float_left_inside_is_told_by_operation_and_layer(traced: Make) -> None:
    sequence = keras.Input((6, 4))
    x = layers.Activation("elu", name="bend")(layers.Dense(4)(sequence))
    x = layers.LayerNormalization()(x)
    x = layers.MultiHeadAttention(2, 2, name="attend")(x, x)
    model = keras.Model(sequence, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    samples = {"input": np.random.default_rng(0).random((10, 6, 4), np.float32)}
    content = convert(traced(model), samples, INT8)
    # ELU has a floating kernel only; attention and normalization are integer.
    assert floating_ops(content) == ["ELU in layer 'bend'"]
    for edges in (False, True):
        with pytest.raises(ConversionError, match="no integer form of ELU in layer 'bend': 2 tensors are left"):
            require_integer(content, edges=edges)


def test_integer_inputs_stay_as_they_are(traced: Make) -> None:
    tokens = keras.Input((6,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(20, 8)(tokens))
    model = traced(keras.Model(tokens, layers.Dense(3)(x)))
    samples = {"input": np.random.default_rng(0).integers(0, 20, (10, 6), np.int32)}
    content = convert(model, samples, INT8)
    assert edge_types(content) == ["int32", "int8"]
    require_integer(content)
    with pytest.raises(ConversionError, match="needs floating inputs for int16 activations; 'input' is int32"):
        convert(model, samples, INT16)


def test_each_input_is_calibrated_on_its_own_samples(traced: Make) -> None:
    generator = np.random.default_rng(0)
    samples = {"image": generator.random((20, 6, 6, 1), np.float32), "weather": generator.random((20, 3), np.float32)}
    samples["image"][0, 0, 0], samples["weather"][0] = 1.0, 50.0
    content = convert(traced(two_inputs()), samples, INT8)
    runner = Interpreter(model_content=content).get_signature_runner()
    scales = {name: detail["quantization"][0] for name, detail in runner.get_input_details().items()}
    # Ranges include 0, so that 255 steps span the largest; 1 % for the converter's rounding of the zero point.
    assert scales["image"] * 255 == pytest.approx(1.0, rel=0.01)
    assert scales["weather"] * 255 == pytest.approx(50.0, rel=0.01)
    assert set(runner.get_output_details()) == {"left", "right"}


def test_a_fixed_batch_is_filled_with_samples(traced: Make) -> None:
    inputs = keras.Input((3,), batch_size=4)
    model = traced(keras.Model(inputs, layers.Dense(2)(inputs)))
    samples = {"input": np.random.default_rng(0).random((6, 3), np.float32)}
    samples["input"][5] = 9.0  # in the second batch, which two of six samples begin
    content = convert(model, samples, INT8)
    contents = read_contents(content, ".tflite")
    tensor = contents.tensors[contents.inputs[0]]
    assert tensor.shape == (4, 3)
    assert tensor.scales[0] * 255 == pytest.approx(9.0, rel=0.01)


class Counting(dict[str, NDArray[Any]]):
    """Samples that count how often they are looked up."""

    lookups = 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.lookups += 1
        return super().__getitem__(name)


@pytest.mark.parametrize("options", [INT8, INT16], ids=["int8", "int16"])
def test_samples_are_run_once(uneven_traced: Traced, images: dict[str, NDArray[Any]], options: TFLiteOptions) -> None:
    samples = Counting(input=images["input"][:5])
    convert(uneven_traced, samples, options)
    assert samples.lookups == 1 + 5  # how many there are, and each


def test_integers_need_samples(uneven_traced: Traced) -> None:
    for options in (INT8, INT16):
        with pytest.raises(ConversionError, match="need calibration data"):
            convert(uneven_traced, None, options)


@pytest.fixture(scope="module")
def session(uneven_traced: Traced, images: dict[str, NDArray[Any]]) -> Iterator[Int8Session]:
    return Int8Session(uneven_traced, images, INT8)


def named(session: Int8Session, *layer_names: str) -> list[str]:
    """The tensors of these layers; the last layer's is the output, which has the model's name for it."""
    return [name for name in session.tensors if any(layer in name for layer in layer_names)]


def test_a_session_makes_the_same_file_again(
    session: Int8Session, uneven_traced: Traced, images: dict[str, NDArray[Any]]
) -> None:
    content = session.quantize()
    assert content == session.quantize() == convert(uneven_traced, images, INT8)
    require_integer(content)
    contents = read_contents(convert(uneven_traced, None, FLOAT), ".tflite")
    assert session.tensors == tuple(contents.tensors[index].name for op in contents.ops for index in op.outputs)


def test_what_is_kept_in_float_is_and_the_rest_is_not(session: Int8Session) -> None:
    kept = named(session, "uneven")
    content = session.quantize(kept)
    assert floating_ops(content) == ["FULLY_CONNECTED in layer 'uneven'"]
    assert edge_types(content) == ["int8", "int8"]


def test_keeping_bad_layers_in_float_brings_accuracy_back(
    session: Int8Session, uneven_traced: Traced, images: dict[str, NDArray[Any]]
) -> None:
    reference = outputs(convert(uneven_traced, None, FLOAT), images["input"])
    kept = [*named(session, "uneven"), session.tensors[-1]]
    all_int8, mixed = (outputs(session.quantize(keep), images["input"]) for keep in ((), kept))
    # One scale for sixteen outputs that differ a thousandfold leaves most of them without a digit: more noise than a
    # third of the signal, 10 dB. With that tensor in float, noise is that of 8 bits at input and output: near 40 dB.
    assert signal_to_noise(reference, all_int8) < 10
    assert signal_to_noise(reference, mixed) > 30


def test_unknown_tensors_are_answered_with_the_closest(session: Int8Session) -> None:
    right = named(session, "uneven")[0]
    with pytest.raises(InvalidInputError, match="did you mean"):
        session.quantize([right[:-1]])


def test_only_int8_can_be_mixed_with_float(uneven_traced: Traced, images: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(InvalidInputError, match="only int8 activations can be mixed"):
        convert(uneven_traced, images, INT16, keep_float=["any"])
    with pytest.raises(InvalidInputError, match="expected int8 or int4 weights and int8 activations"):
        Int8Session(uneven_traced, images, INT16)


@pytest.mark.parametrize(("dense_per_channel", "scales"), [(True, 16), (False, 1)])
def test_dense_weights_have_one_scale_or_one_per_output(
    uneven_traced: Traced, dense_per_channel: bool, scales: int
) -> None:
    options = TFLiteOptions(weights="int8", dense_per_channel=dense_per_channel)
    contents = read_contents(convert(uneven_traced, None, options), ".tflite")
    weights = [tensor for tensor in contents.tensors if "uneven" in tensor.name and tensor.dtype == "int8"]
    assert [len(tensor.scales) for tensor in weights] == [scales]
    # What tflite-runtime 2.14 has not: version 12, for scales per output.
    versions = {op.version for op in contents.ops if op.kind == "FULLY_CONNECTED"}
    assert (max(version or 0 for version in versions) >= 12) == dense_per_channel


@pytest.fixture(scope="module")
def learned_files(aware_traced: dict[int, Traced]) -> dict[tuple[int, str], bytes]:
    """By bits in training, and as what weights are stored."""
    return {
        (bits, weights): convert(aware_traced[bits], None, TFLiteOptions(weights=weights, activations="int8"))
        for bits, weights in ((8, "int8"), (4, "int8"), (4, "int4"))
    }


FORMS = [(8, "int8"), (4, "int8"), (4, "int4")]


@pytest.mark.parametrize("form", FORMS)
def test_learned_ranges_become_scales_and_zero_points(
    aware_traced: dict[int, Traced], learned_files: dict[tuple[int, str], bytes], form: tuple[int, str]
) -> None:
    traced, content = aware_traced[form[0]], learned_files[form]
    require_integer(content)
    assert traced.learned is not None
    found = traced.learned.of_values(convert(traced, None, FLOAT), ".tflite")
    tensors = {tensor.name: tensor for tensor in read_contents(content, ".tflite").tensors}
    checked = 0
    for name, (low, high) in found.items():
        (scale,), (zero,) = tensors[name].scales, tensors[name].zero_points
        assert scale == pytest.approx((high - low) / 255, rel=1e-6)  # single precision
        assert zero == round(-128 - low / scale)
        checked += 1
    assert checked == len(traced.learned.ranges)


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_the_codes_of_the_training(
    aware_models: dict[int, keras.Model], learned_files: dict[tuple[int, str], bytes], form: tuple[int, str]
) -> None:
    bits, stored = form
    rounded = {
        layer.name: layer.kernel.numpy()
        for layer in float_model(aware_models[bits], rounded=True).layers
        if layer.weights
    }
    interpreter = Interpreter(
        model_content=learned_files[form],
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    details = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    types = {tensor.name: tensor.dtype for tensor in read_contents(learned_files[form], ".tflite").tensors}
    for layer, kernel in rounded.items():
        (detail,) = (
            detail
            for name, detail in details.items()
            if f"/{layer}_" in name
            and detail["quantization_parameters"]["scales"].size > 1
            and len(detail["shape"]) > 1
        )
        codes, scales = interpreter.get_tensor(detail["index"]), detail["quantization_parameters"]["scales"]
        assert types[detail["name"]] == stored  # LiteRT itself gives them unpacked
        assert np.abs(codes.astype(int)).max() == {8: 127, 4: 7}[bits]
        largest = np.abs(kernel).reshape(-1, len(scales)).max(axis=0)
        assert scales == pytest.approx(largest / {8: 127, 4: 7}[bits], rel=1e-6)
        axis = detail["quantization_parameters"]["quantized_dimension"]
        found = np.moveaxis(codes.astype(np.float32), axis, -1) * scales
        expected = kernel[..., 0] if "spatial" in layer else kernel
        assert found.reshape(-1) == pytest.approx(expected.reshape(-1), rel=1e-5, abs=1e-7)


def test_layers_of_learned_ranges_can_stay_in_float(aware_traced: dict[int, Traced]) -> None:
    session = Int8Session(aware_traced[4], None, TFLiteOptions(weights="int4", activations="int8"))
    name = next(name for name in session.tensors if "/left_" in name)
    contents = read_contents(session.quantize([name]), ".tflite")
    stored = {contents.tensors[op.inputs[1]].dtype for op in contents.ops if op.kind == "CONV_2D"}
    assert stored == {"float32", "int4"}
    assert not [t for t in read_contents(session.quantize(session.tensors), ".tflite").tensors if t.dtype == "int4"]


def test_4_bit_weights_want_8_bit_activations(traced: Traced) -> None:
    with pytest.raises(InvalidInputError, match="expected int8 or int4 weights and int8 activations"):
        convert(traced, None, TFLiteOptions(weights="int4"))
