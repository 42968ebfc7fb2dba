import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from liteport.errors import IntegrityError, InvalidInputError
from liteport.export.embedding import embed
from liteport.export.tflite_parts import take_apart
from liteport.runtime.backends import choose_engine
from liteport.runtime.contents import read_contents
from liteport.runtime.embedded import MAX_DOCUMENT_BYTES, read_embedded

DOCUMENT = {"labels": ["ja", "nein"], "größe": [1, 2.5, None]}
VARIANTS = (
    "tflite-float32.tflite",
    "tflite-float16.tflite",
    "tflite-dynamic.tflite",
    "tflite-int8.tflite",
    "tflite-int16x8.tflite",
    "onnx-float32.onnx",
    "onnx-float16.onnx",
    "onnx-int8.onnx",
)


@pytest.fixture(params=VARIANTS)
def path(request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path: Path) -> Path:
    """A file as it was converted."""
    path = tmp_path / str(request.param)
    content = (tiny_bundle / path.name).read_bytes()
    if path.suffix == ".tflite":
        path.write_bytes(take_apart(content).model)
    else:
        model = onnx.load_from_string(content)
        del model.metadata_props[:]
        onnx.save(model, path)
    return path


def _answer(content: bytes, suffix: str) -> NDArray[Any]:
    """What the engine makes of a fixed image."""
    backend = choose_engine(suffix).load(content, 1)
    (spec,) = backend.inputs
    drawn = np.random.default_rng(0).random((1, 28, 28, 1))
    image = drawn.astype(spec.dtype) if spec.scale is None else (drawn * 100).astype(spec.dtype)
    (answer,) = backend.run([image])
    backend.close()
    return answer


def test_the_model_stays_as_it_was(path: Path) -> None:
    content = path.read_bytes()
    made = embed(content, path.suffix, DOCUMENT)
    before, after = (read_contents(file, path.suffix) for file in (content, made))
    assert (before.tensors, before.ops, before.inputs) == (after.tensors, after.ops, after.inputs)
    assert before.minimum_runtime == after.minimum_runtime
    assert before.producer == after.producer
    assert after.metadata.keys() - before.metadata.keys() == {"liteport"}
    assert all(after.metadata[name] == before.metadata[name] for name in before.metadata)
    np.testing.assert_array_equal(_answer(made, path.suffix), _answer(content, path.suffix))


def test_it_costs_little_more_than_the_document(path: Path) -> None:
    content = path.read_bytes()
    text = json.dumps(DOCUMENT, ensure_ascii=False, separators=(",", ":")).encode()
    cost = len(embed(content, path.suffix, DOCUMENT)) - len(content) - len(text)
    # The digest takes 77 bytes; TFLite's new lists 4 bytes for each of some 30 buffers, its tables and padding 200.
    assert 77 < cost <= (130 if path.suffix == ".onnx" else 480)


def test_the_same_document_gives_the_same_file(path: Path) -> None:
    content = path.read_bytes()
    made = embed(content, path.suffix, DOCUMENT)
    assert embed(content, path.suffix, DOCUMENT) == made
    assert embed(made, path.suffix, DOCUMENT) == made
    other = embed(content, path.suffix, {"another": "x" * 5000})
    assert embed(other, path.suffix, DOCUMENT) == made
    assert embed(made, path.suffix, read_embedded(made, path.suffix) or {}) == made


def test_onnx_takes_the_file(tiny_bundle: Path) -> None:
    made = embed((tiny_bundle / "onnx-int8.onnx").read_bytes(), ".onnx", DOCUMENT)
    model = onnx.load_from_string(embed(made, ".onnx", DOCUMENT))
    onnx.checker.check_model(model, full_check=True)
    (text,) = [entry.value for entry in model.metadata_props if entry.key == "liteport"]
    assert {key: value for key, value in json.loads(text).items() if key != "sha256"} == DOCUMENT


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"set": {1}}, "is no JSON: Object of type set"),
        ({"number": float("nan")}, "is no JSON"),
        ({"half": "\ud800"}, "is no JSON"),
        ({"long": "x" * MAX_DOCUMENT_BYTES}, "at most 4194304 fit"),
    ],
)
def test_what_cannot_be_embedded_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        embed(b"", ".onnx", document)


def test_other_files_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="unknown suffix"):
        embed(b"", ".keras", {})
    with pytest.raises(IntegrityError, match="expected b'TFL3'"):
        embed(b"nothing of the kind", ".tflite", {})
    with pytest.raises(IntegrityError, match="the ONNX file is damaged"):
        embed(b"nothing of the kind", ".onnx", {})
