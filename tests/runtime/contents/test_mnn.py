import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from liteport.errors import IntegrityError
from liteport.runtime.contents import check_structure, read_contents, read_metadata
from liteport.runtime.contents.flatbuffer import Table, root
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.mnn import NAME, with_document
from liteport.runtime.contents.trailer import model_end

# Slots of MNN's schema: of a net, of an operation, of a convolution and of what its kinds have in common.
OPS, EXTERNAL, COMMON, OUTPUTS, INPUTS, OUTPUT_COUNT = 3, 7, 0, 4, 0, 10


@pytest.fixture
def plain(tiny_bundle: Path) -> bytes:
    """A file as MNN's converter writes it."""
    content = (tiny_bundle / "mnn-float32.mnn").read_bytes()
    return content[: model_end(content, NAME)]


def op(content: bytes, kind: int, number: int = 0) -> Table:
    """An operation of a kind."""
    net = root(Source(content, NAME), None)
    return [table for table in net.tables(OPS) if table.integer(5, "i") == kind][number]


def patched(content: bytes, position: int | None, value: int, code: str = "i") -> bytes:
    """The file with another number at a place."""
    assert position is not None
    changed = bytearray(content)
    struct.pack_into(f"<{code}", changed, position, value)
    return bytes(changed)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_operations_values_and_weights_are_told(tiny_bundle: Path, dtype: str) -> None:
    contents = read_contents((tiny_bundle / f"mnn-{dtype}.mnn").read_bytes(), ".mnn")
    tensors = contents.tensors
    assert (contents.format, contents.producer.split(".")[0]) == ("mnn", "MNN 3")
    ((given,), (result,)) = ([tensors[index] for index in indices] for indices in (contents.inputs, contents.outputs))
    assert (given.name, given.dtype, given.shape) == ("input", "float32", (None, 28, 28, 1))
    assert (result.name, result.dtype) == ("output", "float32")
    weights = [
        (tensor.dtype, tensor.shape, tensor.size_bytes) for tensor in tensors if tensor.name.endswith("/weights")
    ]
    size = {"float32": 4, "float16": 2}[dtype]
    expected = [(16, 1, 3, 3), (32, 16, 3, 3), (10, 1152, 1, 1)]  # of a dense layer, which the converter turns
    assert [entry[:2] for entry in weights] == [(dtype, shape) for shape in expected]
    assert [entry[2] for entry in weights] == [size * 144, size * 32 * 144, size * 11520]
    kinds = {entry.kind for entry in contents.ops}
    assert {"Convolution", "Reshape", "Softmax"} <= kinds
    assert not kinds & {"Const", "Input"}


def test_a_document_lies_behind_the_file_and_is_replaced(plain: bytes) -> None:
    described = with_document(with_document(plain, b"first"), b"second one")
    assert read_metadata(plain, ".mnn") == {}
    assert read_metadata(described, ".mnn") == {"liteport": b"second one"}
    assert described.startswith(plain)
    check_structure(described, ".mnn")


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_files_that_end_too_early_are_refused(plain: bytes, share: float) -> None:
    with pytest.raises(IntegrityError, match="damaged"):
        check_structure(plain[: int(share * len(plain))], ".mnn")


CONVOLUTION, INPUT, CONSTANT = 12, 34, 11


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda c: patched(c, op(c, CONVOLUTION).target(INPUTS) + 4, 9999), "refers to a value that is none of its"),
        (lambda c: patched(c, op(c, CONVOLUTION).target(OUTPUTS) + 4, -1), "refers to a value that is none of its"),
        (lambda c: patched(c, op(c, CONVOLUTION).target(OUTPUTS) + 4, 0), "'input' is made twice"),
        (lambda c: patched(c, op(c, CONVOLUTION).target(INPUTS) + 4, len(names(c)) - 1), "before anything makes it"),
        (lambda c: patched(c, op(c, CONVOLUTION).field(1), 31, "B"), "has parameters that are not of its kind"),
        (lambda c: patched(c, op(c, CONVOLUTION).field(5), 47), "has parameters that are not of its kind, Pooling"),
        (lambda c: patched(c, common(c).field(OUTPUT_COUNT), 17), r"has 144 weights for shape \[17, 1, 3, 3\]"),
        (lambda c: patched(c, common(c).field(2), 5), r"has 144 weights for shape \[16, 1, 3, 5\]"),
        (lambda c: patched(c, op(c, CONSTANT).table(2).target(0) + 4, 99), r"has \d+ numbers for shape \[99"),
        (lambda c: patched(c, op(c, CONSTANT).target(OUTPUTS), 0), "is 0 values; expected one"),
        (lambda c: with_document(c, b"x")[:-12] + b"\xff\xff\xff\xff" + b"liteport", "longer than the file"),
    ],
)
def test_files_that_contradict_themselves_are_refused(
    damage: Callable[[bytes], bytes], reason: str, plain: bytes
) -> None:
    check_structure(plain, ".mnn")
    with pytest.raises(IntegrityError, match=reason):
        check_structure(damage(plain), ".mnn")


def common(content: bytes) -> Table:
    """What the first convolution states of its sizes."""
    parameters = op(content, CONVOLUTION).table(2)
    assert parameters is not None
    table = parameters.table(COMMON)
    assert table is not None
    return table


def names(content: bytes) -> tuple[str, ...]:
    return root(Source(content, NAME), None).texts(7)


def test_another_format_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(IntegrityError, match="the MNN file is damaged"):
        check_structure((tiny_bundle / "onnx-float32.onnx").read_bytes(), ".mnn")
