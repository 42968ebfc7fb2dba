"""MNN files, by MNN's converter, from the ONNX graph that our own passes have tidied."""

import re
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from liteport.errors import BackendError, ConversionError, MissingDependencyError, require
from liteport.runtime import TensorSpec
from liteport.runtime.backends import choose_engine
from liteport.runtime.contents.mnn import SUFFIX, read
from liteport.runtime.isolation import try_in_subprocess

from .isolation import ScriptError, run_program
from .onnx import OnnxOptions
from .onnx import convert as convert_onnx
from .refusal import placed
from .tracing import Traced

_TIMEOUT = 900  # seconds; a classifier takes less than one
_TYPES = ("float32", "int32")
# The converter itself, since the command that MNN installs for it would send word of each call to its maker, and
# install what it needs for that. It tells reasons on standard output, and leaves no file where it fails.
_CONVERTING = """
import os, sys
os.dup2(2, 1)
import _tools
_tools.mnnconvert(["mnnconvert", *sys.argv[1:]])
sys.exit(not os.path.isfile("model.mnn"))
"""
_UNKNOWN = re.compile(r"Op Not Support: (?P<kinds>.*)")
_KIND = re.compile(r"ONNX::(\w+)")
_TIME = re.compile(r"^\[[\d:]+\] :\d+: ")
_LONGEST = 300


def convert(traced: Traced, opset: int, *, half: bool) -> bytes:
    """Converts a traced model.

    Its inputs and outputs are named as in `traced`, and keep channels last.

    Args:
        traced: The model.
        opset: Of the ONNX file in between.
        half: Whether weights are stored in half precision, by which the runtime also knows what to compute in.

    Returns:
        The `.mnn` file.

    Raises:
        ConversionError: If an input is not of a kind that MNN takes, or its converter refuses.
        BackendError: If MNN fails or crashes on what its converter made.
        MissingDependencyError: If MNN is not installed.
    """
    _check_inputs(traced.inputs)
    if find_spec("_tools") is None:
        raise MissingDependencyError('MNN is not installed; run: pip install "liteport[mnn]"')
    engine = choose_engine(SUFFIX)
    onnx = require("onnx", "export")
    model = onnx.load_from_string(convert_onnx(traced, None, OnnxOptions(scheme="float32", opset=opset)))
    del model.metadata_props[:]  # which MNN would keep, and which tell of another file
    content = _converted(model, half=half)
    _check_edges(content, traced)
    try:
        try_in_subprocess(content, engine, threads=1)  # MNN trusts much of what it reads, and may crash
    except BackendError as error:
        raise BackendError(f"of what MNN's converter made of the model: {error}") from error
    return content


def _check_inputs(specs: Sequence[TensorSpec]) -> None:
    for spec in specs:
        if spec.dtype not in _TYPES or None in spec.shape[1:]:
            raise ConversionError(
                f"input {spec.name!r} is {spec.dtype} of shape {list(spec.shape)}; expected {' or '.join(_TYPES)} of "
                "fixed sizes beside the batch"
            )


def _converted(model: Any, *, half: bool) -> bytes:
    """Runs the converter in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="liteport-") as name:
        (file := Path(name) / "model.onnx").write_bytes(model.SerializeToString())
        arguments = ["-f", "ONNX", "--modelFile", file.name, "--MNNModel", "model.mnn", "--bizCode", "liteport"]
        command = [sys.executable, "-c", _CONVERTING, *arguments, *(["--fp16"] if half else [])]
        try:
            run_program(command, file.parent, timeout=_TIMEOUT)
        except ScriptError as error:
            raise ConversionError(f"MNN's converter refuses the model: {_reason(error, model)}") from error
        return file.with_suffix(SUFFIX).read_bytes()


def _reason(error: ScriptError, model: Any) -> str:
    """Tells the operations that MNN has no form of and their layers, or else what was said before it failed."""
    kinds = [kind for line in error.lines if (found := _UNKNOWN.search(line)) for kind in _KIND.findall(found["kinds"])]
    if not kinds:
        said = [_TIME.sub("", line) for line in error.lines if not line.startswith("Converted")]
        return (said[-1] if said else error.reason)[:_LONGEST]
    nodes = {
        kind: [name for node in model.graph.node if node.op_type == kind for name in node.output] for kind in kinds
    }
    return f"it has no form of: {'; '.join(placed(kind, names) for kind, names in nodes.items())}"


def _check_edges(content: bytes, traced: Traced) -> None:
    contents = read(content)
    for what, specs, indices in (
        ("inputs", traced.inputs, contents.inputs),
        ("outputs", traced.outputs, contents.outputs),
    ):
        found, expected = [contents.tensors[index].name for index in indices], [spec.name for spec in specs]
        if found != expected:
            raise ConversionError(f"MNN's converter gave the {what} {found}; expected {expected}")
