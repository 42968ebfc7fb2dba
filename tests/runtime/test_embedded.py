import hashlib
import json
from pathlib import Path

import onnx
import pytest

from liteport.export.embedding import embed
from liteport.export.tflite_parts import take_apart
from liteport.runtime.embedded import MAX_DOCUMENT_BYTES, NO_DIGEST, read_embedded
from liteport.runtime.errors import IntegrityError, InvalidInputError

DOCUMENT = {"labels": ["cat", "chien", "鳥"], "preprocessing": {"scale": 1 / 255, "offset": 0.0}}
FILES = ("tflite-int8.tflite", "onnx-int8.onnx")


@pytest.fixture(params=FILES)
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


@pytest.fixture
def embedded(path: Path) -> bytes:
    return embed(path.read_bytes(), path.suffix, DOCUMENT)


def test_what_was_embedded_is_read(path: Path, embedded: bytes) -> None:
    document = read_embedded(embedded, path.suffix)
    assert document is not None
    stated = document.pop("sha256")
    assert document == DOCUMENT
    # The digest as anyone would make it from the definition.
    assert embedded.count(stated.encode()) == 1
    assert stated == hashlib.sha256(embedded.replace(stated.encode(), NO_DIGEST.encode())).hexdigest()


def test_a_file_without_a_document_has_none(path: Path) -> None:
    assert read_embedded(path.read_bytes(), path.suffix) is None


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_an_edit_anywhere_is_noticed(path: Path, embedded: bytes, share: float) -> None:
    edited = bytearray(embedded)
    edited[min(int(share * len(edited)), len(edited) - 1)] ^= 1
    with pytest.raises(IntegrityError):
        read_embedded(bytes(edited), path.suffix)


def test_an_edited_document_is_noticed(path: Path, embedded: bytes) -> None:
    with pytest.raises(IntegrityError, match=r"the model file was edited or damaged: its digest is .*copy or export"):
        read_embedded(embedded.replace(b"chien", b"chats"), path.suffix)


def test_appended_bytes_are_noticed(embedded: bytes, path: Path) -> None:
    extra = b"\0" * 16 if path.suffix == ".tflite" else b"\x12\x01x"  # for ONNX another producer's name
    with pytest.raises(IntegrityError, match="edited or damaged"):
        read_embedded(embedded + extra, path.suffix)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'{"sha256":"', b'{"sha265":"', "does not start with the file's digest"),
        (b'{"sha256":"', b'["sha256","', "does not start with the file's digest"),
        (b'"labels"', b'"sha256"', "a key stands twice"),
        (b"[", b"{", "is no valid JSON"),
    ],
)
def test_another_document_is_refused(tiny_bundle: Path, old: bytes, new: bytes, message: str) -> None:
    content = embed((tiny_bundle / FILES[0]).read_bytes(), ".tflite", DOCUMENT)
    start = content.index(b'{"sha256"')
    document = content[start : start + 300]
    forged = content.replace(document, document.replace(old, new, 1))
    with pytest.raises(IntegrityError, match=message):
        read_embedded(_signed(forged, start + 11), ".tflite")


def _signed(content: bytes, start: int) -> bytes:
    """Writes the digest that fits, as someone who edits on purpose would."""
    zeros = content[:start] + NO_DIGEST.encode() + content[start + 64 :]
    return content[:start] + hashlib.sha256(zeros).hexdigest().encode() + content[start + 64 :]


def test_a_huge_document_is_refused(tiny_bundle: Path) -> None:
    model = onnx.load(tiny_bundle / "onnx-float32.onnx")
    del model.metadata_props[:]
    model.metadata_props.add(key="liteport", value=json.dumps({"sha256": "x" * MAX_DOCUMENT_BYTES}))
    with pytest.raises(IntegrityError, match="expected at most 4194304"):
        read_embedded(model.SerializeToString(), ".onnx")


def test_another_suffix_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="unknown suffix"):
        read_embedded(b"", ".keras")
