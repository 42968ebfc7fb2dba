import re

import numpy as np
import pytest

from liteport.errors import IntegrityError
from liteport.runtime.contents import check_structure, read_contents, read_metadata
from liteport.runtime.contents.ncnn import with_document
from liteport.runtime.model_files import joined

LAYERS = """7767517
5 6
Input image 0 1 image 0=6 1=5 2=3
Convolution conv 1 1 image conv 0=4 1=3 5=1 6=108
Split apart 1 2 conv left right
BinaryOp sum 2 1 left right sum 0=0
InnerProduct dense 1 1 sum output 0=2 1=1 2=96
"""
COUNTS = (108, 4, 96, 2)  # of the arrays; the first and the third begin with a tag


def tagged(count: int, dtype: str = "float32") -> bytes:
    """Weights of ones, as ncnn stores them."""
    tag = {"float32": 0, "float16": 0x01306B47}[dtype]
    values = np.ones(count, dtype).tobytes()
    return tag.to_bytes(4, "little") + values + bytes(-len(values) % 4)


def weights(dtype: str = "float32") -> bytes:
    return b"".join(
        tagged(count, dtype) if number % 2 == 0 else np.ones(count, np.float32).tobytes()
        for number, count in enumerate(COUNTS)
    )


def model(layers: str = LAYERS, stored: bytes | None = None) -> bytes:
    return joined((layers.encode(), weights() if stored is None else stored))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_layers_values_and_weights_are_told(dtype: str) -> None:
    contents = read_contents(model(stored=weights(dtype)), ".param")
    tensors = contents.tensors
    assert contents.format == "ncnn"
    assert [(op.kind, op.name) for op in contents.ops] == [
        ("Convolution", "conv"),
        ("BinaryOp", "sum"),
        ("InnerProduct", "dense"),
    ]
    assert [tensors[index].name for index in contents.inputs] == ["image"]
    assert [tensors[index].name for index in contents.outputs] == ["output"]
    assert tensors[contents.inputs[0]].shape == (None, 5, 6, 3)  # channels last, as users give images
    constants = {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors if tensor.constant}
    assert constants == {
        "conv/weights": (dtype, (4, 3, 3, 3)),
        "conv/bias": ("float32", (4,)),
        "dense/weights": (dtype, (2, 48)),
        "dense/bias": ("float32", (2,)),
    }
    assert sum(tensor.size_bytes for tensor in tensors) == len(weights(dtype))


def test_what_a_split_hands_on_is_one_value() -> None:
    contents = read_contents(model(), ".param")
    (addition,) = (op for op in contents.ops if op.kind == "BinaryOp")
    assert [contents.tensors[index].name for index in addition.inputs] == ["conv", "conv"]


def test_a_document_lies_behind_the_weights_and_is_replaced() -> None:
    described = with_document(with_document(model(), b"first"), b"second one")
    assert read_metadata(model(), ".param") == {}
    assert read_metadata(described, ".param") == {"liteport": b"second one"}
    assert described.startswith(model())
    check_structure(described, ".param")


def test_a_layer_that_is_not_known_ends_the_search_for_weights() -> None:
    layers = LAYERS.replace("Convolution conv", "Sorcery conv")
    assert not any(tensor.constant for tensor in read_contents(model(layers, b"anything"), ".param").tensors)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("7767517", "7767518", "begins with '7767518', expected 7767517"),
        ("5 6", "6 6", "lists 5 layers and states [6]"),
        ("5 6", "5", "lists 5 layers and states"),
        ("5 6", "5 7", "make 6 values and it states 7"),
        ("1 1 image conv", "1 1 imago conv", "takes 'imago' before anything makes it"),
        ("2 1 left right sum", "2 1 left right conv", "'conv' is made twice"),
        ("Convolution conv 1 1", "Convolution conv 1 x", "is no layer"),
        ("Convolution conv 1 1", "Convolution conv 9 9", "is no layer"),
        ("5=1 6=108", "5=1 6:108", "'6:108' is no parameter"),
        ("6=108", "6=109", "two models' files?"),
        ("6=108", "6=-4", "needs -4 numbers as its weights"),
        ("2=96", "2=95", "bytes of weights less than there are"),
        ("image", "i" * 256, "more than 255 letters"),
        ("Input image", "Noop image", "no input"),
    ],
)
def test_lists_that_contradict_themselves_or_the_weights_are_refused(old: str, new: str, reason: str) -> None:
    assert old in LAYERS
    with pytest.raises(IntegrityError, match=re.escape(reason)):
        check_structure(model(LAYERS.replace(old, new)), ".param")


@pytest.mark.parametrize("length", [0, 4, 3 + 4 * 108, len(weights()) - 1])
def test_weights_that_end_too_early_are_refused(length: int) -> None:
    with pytest.raises(IntegrityError, match="two models' files"):
        check_structure(model(stored=weights()[:length]), ".param")


def test_a_document_longer_than_the_file_is_refused() -> None:
    with pytest.raises(IntegrityError, match="longer than the file"):
        check_structure(model() + b"\xff\xff\xff\xff" + b"liteport", ".param")


def test_no_text_is_refused() -> None:
    with pytest.raises(IntegrityError, match="no text"):
        check_structure(joined((b"\xff\xfe", b"")), ".param")
