"""The official TFLite Metadata, compared with MediaPipe's own, read by its reader, and run by its ImageClassifier."""

import io
import json
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from liteport.errors import IntegrityError, InvalidInputError
from liteport.export.embedding import embed
from liteport.export.mobile import add_tflite_metadata
from liteport.export.tflite_parts import take_apart
from liteport.runtime.backends import choose_engine
from liteport.runtime.contents import Tensor, read_contents
from liteport.runtime.contents.flatbuffer import root
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.tflite_names import TENSOR_TYPES
from liteport.runtime.embedded import read_embedded
from liteport.runtime.quantization import dequantize, quantize

LABELS = ("cat", "dog", "oiseau", "鳥")
SCALE, OFFSET = 1 / 127.5, -1.0
SIZE = 16
DIGITS = tuple("0123456789")
DOCUMENT = {"any": "document"}


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """An RGB classifier of random weights as float32, and as full integer with float32, uint8 and int8 edges."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(5)
    layers = keras.layers
    spread = keras.initializers.RandomNormal(stddev=2.0)  # answers that differ from image to image
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3), batch_size=1),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(LABELS), activation="softmax", kernel_initializer=spread),
        ]
    )

    def samples() -> Iterator[list[NDArray[np.float32]]]:
        for image in (*_images(), np.zeros((SIZE, SIZE, 3)), np.full((SIZE, SIZE, 3), 255)):
            yield [(image[None] * SCALE + OFFSET).astype(np.float32)]

    def convert(edges: str | None) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if edges is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = samples
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = getattr(tf, edges)
        content: bytes = converter.convert()
        return content

    with pytest.warns(UserWarning, match="Statistics for quantized inputs"):
        integer = {f"int8-{edges}": convert(edges) for edges in ("float32", "uint8", "int8")}
    return {"float32": convert(None), **integer}


def _images() -> list[NDArray[np.uint8]]:
    """Noise, one colour, and a ramp."""
    noise = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3))
    colour = np.broadcast_to((250, 10, 60), (SIZE, SIZE, 3))
    ramp = np.indices((SIZE, SIZE, 3))[0] * 17
    return [np.ascontiguousarray(image, np.uint8) for image in (noise, colour, ramp)]


def _add(content: bytes, **changes: Any) -> bytes:
    arguments = {"name": "näme", "description": "what it does", "labels": LABELS, "scale": SCALE, "offset": OFFSET}
    return add_tflite_metadata(content, **(arguments | changes))


def _official(made: bytes) -> bytes:
    return take_apart(made).metadata["TFLITE_METADATA"]


@pytest.fixture(scope="module")
def mediapipe() -> None:
    """Skips where MediaPipe is not installed, or lacks the system's libraries that its OpenCV wants."""
    try:
        import mediapipe  # noqa: F401
    except ImportError as error:
        pytest.skip(f"MediaPipe cannot be imported on this machine: {error}")


def _theirs(image: Tensor, scores: Tensor, mean: list[float], std: list[float], labels: bool) -> bytes:
    """Makes the metadata of MediaPipe's parts."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema
    from mediapipe.tasks.python.metadata.metadata_writers import metadata_info as parts

    colors = schema.ColorSpaceType
    graph = schema.SubGraphMetadataT()
    image_part = parts.InputImageTensorMd(
        name="image",
        description="Input image to be processed.",
        norm_mean=mean,
        norm_std=std,
        color_space_type=colors.RGB if image.shape[3] == 3 else colors.GRAYSCALE,
        tensor_type=TENSOR_TYPES.index(image.dtype),
    )
    scores_part = parts.ClassificationTensorMd(
        name="score",
        description="Score of each class.",
        label_files=[parts.LabelFileMd("labels.txt")] if labels else None,
        tensor_type=TENSOR_TYPES.index(scores.dtype),
    )
    graph.inputTensorMetadata, graph.outputTensorMetadata = (
        [image_part.create_metadata()],
        [scores_part.create_metadata()],
    )
    model = parts.GeneralMd(name="näme", description="what it does").create_metadata()
    model.subgraphMetadata, model.minParserVersion = [graph], "1.0.0"
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())


def _read(content: bytes) -> Any:
    """Reads metadata by MediaPipe's generated code, every field of every table."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    def fields(value: Any) -> Any:
        if isinstance(value, list | np.ndarray):
            return [fields(item) for item in value]
        if hasattr(value, "__dict__"):
            return {"table": type(value).__name__} | {name: fields(item) for name, item in vars(value).items()}
        return value

    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
    return fields(schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(content)))


@pytest.mark.usefixtures("mediapipe")
@pytest.mark.parametrize(
    ("variant", "changes", "mean", "std"),
    [
        ("float32", {}, [127.5], [127.5]),
        ("float32", {"labels": None}, [127.5], [127.5]),
        ("float32", {"scale": [1.0, 0.5, 0.25], "offset": [0.0, 1.0, -1.0]}, [0.0, -2.0, 4.0], [1.0, 2.0, 4.0]),
        ("int8-uint8", {}, [127.5], [127.5]),
        ("int8-int8", {}, [127.5], [127.5]),
        ("grayscale", {"scale": 1 / 256, "offset": 0.0, "labels": DIGITS}, [0.0], [256.0]),
    ],
)
def test_it_means_what_mediapipes_own_would(
    files: dict[str, bytes],
    tiny_bundle: Path,
    variant: str,
    changes: dict[str, Any],
    mean: list[float],
    std: list[float],
) -> None:
    content = {**files, "grayscale": (tiny_bundle / "tflite-float32.tflite").read_bytes()}[variant]
    contents = read_contents(content, ".tflite")
    image, scores = (contents.tensors[ends[0]] for ends in (contents.inputs, contents.outputs))
    expected = _theirs(image, scores, mean, std, labels=changes.get("labels", LABELS) is not None)
    assert _read(_official(_add(content, **changes))) == _read(expected)  # floats too: both round the same to float32


def test_mediapipe_is_not_needed(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mediapipe"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mediapipe", None)  # its import fails
    model = root(Source(_official(_add(files["float32"])), "the metadata"), b"M001")
    assert (model.text(0), model.text(1)) == ("näme", "what it does")
    ((image,), (scores,)) = (model.tables(3)[0].tables(slot) for slot in (2, 3))
    normalization = image.tables(4)[0].table(1)
    assert normalization is not None
    assert normalization.reals(0) == normalization.reals(1) == (127.5,)
    assert scores.tables(6)[0].text(0) == "labels.txt"


@pytest.fixture
def displayed(mediapipe: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MediaPipe's reader of metadata.

    Its module asks for an extension that the wheels since 0.10.30 lack, and that only its writer would use: an empty
    one stands in for it.
    """
    missing = "mediapipe.tasks.cc.metadata.python"
    for name in ("mediapipe.tasks.cc", "mediapipe.tasks.cc.metadata", missing, f"{missing}._pywrap_metadata_version"):
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    extension = types.ModuleType("_pywrap_metadata_version")
    monkeypatch.setattr(sys.modules[missing], "_pywrap_metadata_version", extension, raising=False)
    from mediapipe.tasks.python.metadata.metadata import MetadataDisplayer

    return MetadataDisplayer.with_model_buffer


@pytest.mark.parametrize("variant", ["float32", "int8-float32", "int8-uint8", "int8-int8"])
def test_mediapipes_reader_finds_all_of_it(files: dict[str, bytes], variant: str, displayed: Any) -> None:
    shown = displayed(embed(_add(files[variant]), ".tflite", DOCUMENT))
    assert shown.get_packed_associated_file_list() == ["labels.txt"]
    assert shown.get_associated_file_buffer("labels.txt").decode() == "\n".join(LABELS)
    metadata = json.loads(shown.get_metadata_json())
    assert (metadata["name"], metadata["description"]) == ("näme", "what it does")
    assert metadata["min_parser_version"] == "1.0.0"
    (graph,) = metadata["subgraph_metadata"]
    (image,), (scores,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert image["content"]["content_properties"]["color_space"] == "RGB"
    assert image["process_units"] == [
        {"options_type": "NormalizationOptions", "options": {"mean": [127.5], "std": [127.5]}}
    ]
    assert scores["associated_files"][0]["name"] == "labels.txt"
    assert scores["associated_files"][0]["type"] == "TENSOR_AXIS_LABELS"


def _ours(content: bytes, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    backend = choose_engine(".tflite").load(content, 1)
    (taken,), (given,) = backend.inputs, backend.outputs
    real = (image[None] * SCALE + OFFSET).astype(np.float32)
    (answer,) = backend.run([real if taken.scale is None else quantize(real, taken)])
    backend.close()
    return (answer if given.scale is None else dequantize(answer, given))[0]


def _classifier(content: bytes) -> Any:
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_buffer=content))
    try:
        return vision.ImageClassifier.create_from_options(options)
    except OSError as error:
        pytest.skip(f"MediaPipe's library cannot be loaded on this machine: {error}")


@pytest.mark.usefixtures("mediapipe")
@pytest.mark.parametrize(
    ("variant", "tolerance"),
    [
        ("float32", 1e-5),  # the same arithmetic, by another build of the same kernels
        # Another build rounds an intermediate value otherwise, by one step, and with uint8 the pixel itself is taken
        # instead of one quantized by a scale that calibration found: this moves the softmax's output by a few steps.
        ("int8-float32", 4 / 256),
        ("int8-uint8", 4 / 256),
    ],
)
def test_mediapipe_classifies_as_liteport_does(files: dict[str, bytes], variant: str, tolerance: float) -> None:
    from mediapipe import Image, ImageFormat

    content = embed(_add(files[variant]), ".tflite", DOCUMENT)
    with _classifier(content) as classifier:  # one that is left to the garbage collector may block it for good
        results = [classifier.classify(Image(image_format=ImageFormat.SRGB, data=image)) for image in _images()]
    for image, result in zip(_images(), results, strict=True):
        (head,) = result.classifications
        theirs = {category.category_name: category.score for category in head.categories}
        ours = _ours(content, image)
        assert max(ours) > 0.4  # answers that say something
        np.testing.assert_allclose([theirs[label] for label in LABELS], ours, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("mediapipe")
def test_mediapipe_refuses_int8_inputs_and_normalization_by_channel(files: dict[str, bytes]) -> None:
    """What the module's description says of MediaPipe; should this fail, it has learnt to."""
    with pytest.raises(ValueError, match="uint8/float32, got INT8"), _classifier(_add(files["int8-int8"])):
        pass
    by_channel = _add(files["float32"], scale=[0.1, 0.2, 0.3])
    with pytest.raises(NotImplementedError, match="Per-channel image normalization"), _classifier(by_channel):
        pass


def test_either_may_be_added_first(files: dict[str, bytes]) -> None:
    content = files["float32"]
    made = embed(_add(content), ".tflite", DOCUMENT)
    assert _add(embed(content, ".tflite", DOCUMENT)) == made
    assert _add(made) == made
    assert embed(made, ".tflite", DOCUMENT) == made
    document = read_embedded(made, ".tflite")
    assert document is not None
    assert document["any"] == "document"
    assert take_apart(made).model == content
    assert read_contents(made, ".tflite").tensors == read_contents(content, ".tflite").tensors


def test_an_edited_label_is_noticed(files: dict[str, bytes]) -> None:
    made = embed(_add(files["float32"]), ".tflite", DOCUMENT)
    edited = made.replace(b"oiseau", b"Oiseau")
    with pytest.raises(IntegrityError, match="edited or damaged"):
        read_embedded(edited, ".tflite")
    with pytest.raises(IntegrityError, match="edited or damaged"):
        _add(edited)  # it must not be given a digest that fits


def test_metadata_is_replaced_with_its_files(files: dict[str, bytes]) -> None:
    made = _add(_add(files["float32"]), labels=["a", "b", "c", "d"])
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt") == b"a\nb\nc\nd"
    assert not zipfile.is_zipfile(io.BytesIO(_add(made, labels=None)))


def test_grayscale_is_told(tiny_bundle: Path, displayed: Any) -> None:
    content = (tiny_bundle / "tflite-float32.tflite").read_bytes()
    made = _add(content, labels=DIGITS, scale=1 / 255, offset=0.0)
    metadata = json.loads(displayed(made).get_metadata_json())
    (image,) = metadata["subgraph_metadata"][0]["input_tensor_metadata"]
    assert image["content"]["content_properties"]["color_space"] == "GRAYSCALE"
    assert image["process_units"][0]["options"] == {"mean": [0.0], "std": [255.0]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b"]}, r"2 labels for an output of shape \[1, 4\]"),
        ({"labels": ["a", "b", "c\nd", "e"]}, r"label 'c\\nd' cannot stand"),
        ({"scale": [0.1, 0.2]}, "each of the 3 channels"),
        ({"scale": 0.0}, "no scale of 0"),
    ],
)
def test_what_does_not_fit_is_refused(files: dict[str, bytes], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        _add(files["float32"], **changes)


def test_a_uint8_input_that_is_no_pixel_is_refused(files: dict[str, bytes]) -> None:
    with pytest.raises(InvalidInputError, match=r"stores pixel 0 as 127\.\d, but task libraries give it the pixel"):
        _add(files["int8-uint8"], scale=1 / 255, offset=0.0)


def test_other_models_are_refused(small_matrix_model: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"one image input \(N, H, W, 1 or 3\) and one output, got shapes"):
        _add(small_matrix_model)


@pytest.fixture
def small_matrix_model() -> bytes:
    import tensorflow as tf

    function = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    content: bytes = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()
    return content
