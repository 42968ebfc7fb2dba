"""What is in a model file, read with the standard library and numpy alone, and without trusting it.

A damaged file is an `IntegrityError`: never another exception, a hang or much memory. Weights are not read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from liteport.errors import unknown_name

from . import mnn, ncnn, onnx, onnx_check, tflite, tflite_check
from .description import Contents, Op, Tensor

__all__ = ["Contents", "Op", "Tensor", "check_structure", "metadata_spans", "read_contents", "read_metadata"]


@dataclass(frozen=True)
class _Format:
    read: Callable[[bytes], Contents]
    check: Callable[[bytes], None]
    metadata_spans: Callable[[bytes], dict[str, tuple[int, int]]]


_FORMATS = {
    ".tflite": _Format(tflite.read, tflite_check.check, tflite.metadata_spans),
    ".onnx": _Format(onnx.read, onnx_check.check, onnx.metadata_spans),
    ncnn.SUFFIX: _Format(ncnn.read, ncnn.check, ncnn.metadata_spans),
    mnn.SUFFIX: _Format(mnn.read, mnn.check, mnn.metadata_spans),
}


def read_contents(content: bytes, suffix: str) -> Contents:
    """Reads what is in a model file.

    Args:
        content: The file; what follows a TFLite file's FlatBuffer, such as a zip archive, is no matter.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If the file is damaged.
    """
    return _of(suffix).read(content)


def check_structure(content: bytes, suffix: str) -> None:
    """Checks what a native engine takes on trust, before it is given the file.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If the file is damaged, contradicts itself, or refers to files beside it.
    """
    _of(suffix).check(content)


def read_metadata(content: bytes, suffix: str) -> Mapping[str, bytes]:
    """Reads a model file's metadata alone, in a time that does not grow with the model.

    Args:
        content: The file.
        suffix: ".tflite", ".onnx", ".param" or ".mnn".

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If what leads to the metadata is damaged.
    """
    return {name: content[start:end] for name, (start, end) in metadata_spans(content, suffix).items()}


def metadata_spans(content: bytes, suffix: str) -> dict[str, tuple[int, int]]:
    """Returns where in a model file the bytes that `read_metadata` returns start and end.

    Raises:
        InvalidInputError: If it is another suffix.
        IntegrityError: If what leads to the metadata is damaged.
    """
    return _of(suffix).metadata_spans(content)


def _of(suffix: str) -> _Format:
    if suffix not in _FORMATS:
        raise unknown_name("suffix of model files", suffix, _FORMATS)
    return _FORMATS[suffix]
