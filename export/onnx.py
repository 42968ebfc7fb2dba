"""ONNX files, by tf2onnx, passes of our own (`onnx_passes`) and onnxruntime's quantizer (`onnx_quantization`)."""

import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from liteport.errors import ConversionError, require
from liteport.runtime import TensorSpec
from liteport.terminal import muted, quiet_import

from .onnx_options import OnnxOptions
from .onnx_passes import tidy
from .onnx_quantization import QdqSession
from .refusal import told_as_refusal
from .tracing import Traced

__all__ = ["OnnxOptions", "QdqSession", "convert"]

# One model is converted to several formats, and quantized many times: the float32 file by function and opset.
_converted: WeakKeyDictionary[Any, dict[int, bytes]] = WeakKeyDictionary()


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
        samples: Calibration data by input name, (N, ...) each; needed for int8.
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
        if samples is None:
            raise ConversionError("int8 activations need calibration data")
        content = QdqSession(content, samples, options).quantize(keep_float)
    return _described(content, options)


def _float32(traced: Traced, opset: int) -> bytes:
    known = _converted.setdefault(traced.function, {})
    if opset not in known:
        onnx = require("onnx", "export")
        model = _from_tensorflow(traced, opset)
        _check_operations(model, onnx.defs, opset)
        _name_edges(model, traced)
        model = tidy(model)
        with told_as_refusal("ONNX's checker", onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            onnx.checker.check_model(model, full_check=True)
        known[opset] = model.SerializeToString()
    return known[opset]


def _from_tensorflow(traced: Traced, opset: int) -> Any:
    tf = quiet_import("tensorflow", "export")
    tf2onnx = quiet_import("tf2onnx", "export")
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it reports is found in the graph as well
    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name) for spec in traced.inputs]
    with told_as_refusal("tf2onnx", ValueError, RuntimeError, NotImplementedError, KeyError, AttributeError), muted():
        model, _ = tf2onnx.convert.from_function(
            traced.function, input_signature=signature, opset=opset, custom_op_handlers={"Erfc": (_erfc, [])}
        )
    return model


def _erfc(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """1 - erf(x), for tf2onnx, which has no form of TensorFlow's Erfc, the heart of GELU."""
    dtype, shape, outputs = context.get_dtype(node.output[0]), context.get_shape(node.output[0]), list(node.output)
    one = context.make_const(f"{node.name}/one", np.array(1, np.float32))
    erf = context.make_node("Erf", list(node.input), dtypes=[dtype], shapes=[shape])
    inputs = [one.output[0], erf.output[0]]
    context.remove_node(node.name)
    context.make_node("Sub", inputs, outputs=outputs, name=node.name, dtypes=[dtype], shapes=[shape])


def _check_operations(model: Any, defs: Any, opset: int) -> None:
    """Finds what tf2onnx left as it was, having no form of it.

    Raises:
        ConversionError: With the operation and the node, whose name holds that of the Keras layer.
    """
    for node in model.graph.node:
        if node.domain in ("", "ai.onnx") and not _known(defs, node.op_type, opset):
            layer = node.name.removeprefix("PartitionedCall/").rpartition("/")[0] or node.name
            raise ConversionError(
                f"tf2onnx refuses the model: it has no form in ONNX's opset {opset} of TensorFlow's {node.op_type}, "
                f"which {layer} computes"
            )


def _known(defs: Any, kind: str, opset: int) -> bool:
    try:
        defs.get_schema(kind, opset, "")
    except defs.SchemaError:
        return False
    return True


def _name_edges(model: Any, traced: Traced) -> None:
    """Puts inputs and outputs in the model's order and states their shapes."""
    for values, specs, what in (
        (model.graph.input, traced.inputs, "inputs"),
        (model.graph.output, traced.outputs, "outputs"),
    ):
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


def _float16(content: bytes) -> bytes:
    onnx = require("onnx", "export")
    float16 = require("onnxruntime.transformers.float16", "export")
    model = float16.convert_float_to_float16(onnx.load_from_string(content), keep_io_types=True)
    # The casts at the edges are appended last, while ONNX asks for nodes in the order in which they run.
    require("onnxruntime.transformers.onnx_model", "export").OnnxModel(model).topological_sort()
    onnx.checker.check_model(model, full_check=True)
    converted: bytes = model.SerializeToString()
    return converted


def _described(content: bytes, options: OnnxOptions) -> bytes:
    """Fills in what a file says of itself."""
    onnx = require("onnx", "export")
    model = onnx.load_from_string(content)
    model.producer_name, model.producer_version = "liteport", version("liteport")
    facts = {"scheme": options.scheme, "opset": str(options.opset), "converter": f"tf2onnx {version('tf2onnx')}"}
    if options.scheme == "int8":
        facts["quantizer"] = f"onnxruntime {version('onnxruntime')}"
        facts["calibration_method"] = options.calibration_method
        facts["target"] = options.target if options.vnni or options.target == "arm" else "x86 without VNNI"
    onnx.helper.set_model_props(model, facts)
    described: bytes = model.SerializeToString()
    return described
