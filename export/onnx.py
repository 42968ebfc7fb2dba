"""ONNX files, by tf2onnx, passes of our own (`onnx_passes`) and onnxruntime's quantizer (`onnx_quantization`)."""

import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, require
from liteport.runtime import TensorSpec
from liteport.terminal import muted, quiet_import

from .isolation import ScriptError, run_program
from .onnx_options import OnnxOptions
from .onnx_passes import tidy
from .onnx_quantization import QdqSession
from .refusal import placed, told_as_refusal
from .tracing import Traced

__all__ = ["OnnxOptions", "QdqSession", "convert"]

# Operations without a float16 form that onnxruntime's converter does not know to leave alone.
_FLOAT32_ONLY = ("IsInf",)

_LOADING = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
_LOADING_TIMEOUT = 300  # seconds
_IMAGES = 4  # dimensions of a batch of images

# One model is converted to several formats, and quantized many times: the float32 file by function, and by opset and
# where images keep their channels.
_converted: WeakKeyDictionary[Any, dict[tuple[int, bool], bytes]] = WeakKeyDictionary()


def convert(
    traced: Traced,
    samples: Mapping[str, NDArray[Any]] | None,
    options: OnnxOptions,
    keep_float: Sequence[str] = (),
) -> bytes:
    """Converts a traced model.

    Its inputs and outputs are named as in `traced`, and keep channels last: of a model that takes colour images, one
    Transpose at the input is left. Where its batch is free, that dimension is called N.

    Args:
        traced: The model.
        samples: Calibration data by input name, (N, ...) each; needed for int8 where ranges were not learned.
        options: How.
        keep_float: Of an int8 file: values that stay in float; see `QdqSession.quantize`, which is the faster way to
            several files of different choices.

    Returns:
        The `.onnx` file.

    Raises:
        ConversionError: If tf2onnx, ONNX's checker or the quantizer refuses.
        InvalidInputError: If `keep_float` names what the model does not compute.
    """
    content = _float32(traced, options.opset)
    if options.scheme == "float16":
        content = _float16(content)
    elif options.scheme == "int8":
        content = QdqSession(content, samples, options, traced.learned).quantize(keep_float)
    return _described(content, options, "learned" if traced.learned else options.calibration_method)


def convert_channels_first(traced: Traced, opset: int) -> bytes:
    """Converts a traced model to float32, with channels first in inputs and outputs that are images.

    What `convert` gives otherwise; raises the same.
    """
    return _float32(traced, opset, channels_first=True)


def _float32(traced: Traced, opset: int, *, channels_first: bool = False) -> bytes:
    known, key = _converted.setdefault(traced.function, {}), (opset, channels_first)
    if key not in known:
        onnx = require("onnx", "export")
        edges = [list(map(turned, specs)) if channels_first else specs for specs in (traced.inputs, traced.outputs)]
        model = _from_tensorflow(traced, opset, channels_first=channels_first)
        _check_operations(model, onnx.defs, opset)
        _name_edges(model, *edges)
        model = tidy(model)
        _check(model)
        known[key] = model.SerializeToString()
    return known[key]


def turned(spec: TensorSpec) -> TensorSpec:
    """Returns a tensor's description with its channels first, if it is images."""
    if len(spec.shape) != _IMAGES:
        return spec
    items, height, width, channels = spec.shape
    return replace(spec, shape=(items, channels, height, width))


def _from_tensorflow(traced: Traced, opset: int, *, channels_first: bool) -> Any:
    tf = quiet_import("tensorflow", "export")
    tf2onnx = quiet_import("tf2onnx", "export")
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it reports is found in the graph as well
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in traced.inputs]
    images = [
        [spec.name for spec in specs if channels_first and len(spec.shape) == _IMAGES]
        for specs in (traced.inputs, traced.outputs)
    ]
    with told_as_refusal("tf2onnx", ValueError, RuntimeError, NotImplementedError, KeyError, AttributeError), muted():
        model, _ = tf2onnx.convert.from_function(
            traced.function,
            input_signature=signature,
            opset=opset,
            custom_op_handlers=_HANDLERS,
            inputs_as_nchw=images[0],
            outputs_as_nchw=images[1],
        )
    return model


def _erfc(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """1 - erf(x), the heart of GELU."""
    _with_one(context, node, "Erf", one_first=True)


def _expm1(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """exp(x) - 1, the heart of CELU."""
    _with_one(context, node, "Exp", one_first=False)


def _with_one(context: Any, node: Any, kind: str, *, one_first: bool) -> None:
    """Makes the difference of an operation's value and one."""
    dtype, shape, outputs = context.get_dtype(node.output[0]), context.get_shape(node.output[0]), list(node.output)
    one = context.make_const(f"{node.name}/one", np.array(1, np.float32)).output[0]
    value = context.make_node(kind, list(node.input), dtypes=[dtype], shapes=[shape]).output[0]
    inputs = [one, value] if one_first else [value, one]
    context.remove_node(node.name)
    context.make_node("Sub", inputs, outputs=outputs, name=node.name, dtypes=[dtype], shapes=[shape])


# TensorFlow's operations of which tf2onnx has no form.
_HANDLERS: dict[str, tuple[Any, list[Any]]] = {"Erfc": (_erfc, []), "Expm1": (_expm1, [])}


def _check_operations(model: Any, defs: Any, opset: int) -> None:
    """Finds what tf2onnx left as it was, having no form of it.

    Raises:
        ConversionError: With the operation and the node, whose name holds that of the Keras layer.
    """
    for node in model.graph.node:
        if node.domain in ("", "ai.onnx") and not _known(defs, node.op_type, opset):
            where = placed(node.op_type, [node.name.removeprefix("PartitionedCall/")])
            raise ConversionError(f"tf2onnx refuses the model: {where}: it has no form of that in ONNX's opset {opset}")


def _known(defs: Any, kind: str, opset: int) -> bool:
    try:
        defs.get_schema(kind, opset, "")
    except defs.SchemaError:
        return False
    return True


def _name_edges(model: Any, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
    """Puts inputs and outputs in the model's order and states their shapes."""
    for values, specs, what in ((model.graph.input, inputs, "inputs"), (model.graph.output, outputs, "outputs")):
        by_name = {value.name: value for value in values}
        if set(by_name) != {spec.name for spec in specs}:
            raise ConversionError(f"tf2onnx made {what} {sorted(by_name)}; expected {[spec.name for spec in specs]}")
        ordered = [by_name[spec.name] for spec in specs]
        for value, spec in zip(ordered, specs, strict=True):
            _state_shape(value.type.tensor_type.shape, spec)
        kept = [type(value).FromString(value.SerializeToString()) for value in ordered]
        del values[:]
        values.extend(kept)


def _state_shape(shape: Any, spec: TensorSpec) -> None:
    del shape.dim[:]
    for axis, size in enumerate(spec.shape):
        if size is not None:
            shape.dim.add(dim_value=size)
        elif axis == 0:
            shape.dim.add(dim_param="N")
        else:
            shape.dim.add()


def _check(model: Any) -> None:
    onnx = require("onnx", "export")
    with told_as_refusal("ONNX's checker", onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        onnx.checker.check_model(model, full_check=True)


def _float16(content: bytes) -> bytes:
    onnx = require("onnx", "export")
    float16 = require("onnxruntime.transformers.float16", "export")
    left = [*float16.DEFAULT_OP_BLOCK_LIST, *_FLOAT32_ONLY]
    model = float16.convert_float_to_float16(onnx.load_from_string(content), keep_io_types=True, op_block_list=left)
    # The casts at the edges are appended last, while ONNX asks for nodes in the order in which they run.
    require("onnxruntime.transformers.onnx_model", "export").OnnxModel(model).topological_sort()
    _check(model)
    converted: bytes = model.SerializeToString()
    _try_loading(converted)
    return converted


def _try_loading(content: bytes) -> None:
    """Loads a file in a process of its own: onnxruntime 1.32 crashes on some float16 files (layouts of recurrent ones).

    Raises:
        ConversionError: If it is not loaded.
    """
    with tempfile.TemporaryDirectory(prefix="liteport-") as name:
        (file := Path(name) / "model.onnx").write_bytes(content)
        try:
            run_program([sys.executable, "-c", _LOADING, str(file)], file.parent, timeout=_LOADING_TIMEOUT)
        except ScriptError as error:
            raise ConversionError(
                f"onnxruntime {version('onnxruntime')} does not load the float16 file: {error.reason[:300]}"
            ) from error


def _described(content: bytes, options: OnnxOptions, ranges: str) -> bytes:
    """Fills in what a file says of itself."""
    onnx = require("onnx", "export")
    model = onnx.load_from_string(content)
    model.producer_name, model.producer_version = "liteport", version("liteport")
    facts = {"scheme": options.scheme, "opset": str(options.opset), "converter": f"tf2onnx {version('tf2onnx')}"}
    if options.scheme == "int8":
        facts["quantizer"] = f"onnxruntime {version('onnxruntime')}"
        facts["calibration_method"] = ranges
        facts["target"] = options.target if options.vnni or options.target == "arm" else "x86 without VNNI"
    onnx.helper.set_model_props(model, facts)
    described: bytes = model.SerializeToString()
    return described
