"""ncnn models, by pnnx, from the ONNX graph that our own passes have tidied.

pnnx reads the graph, joins what ncnn has as one layer, and writes its two files. What it leaves to be done here: the
names and sizes of inputs and outputs, which the runtime must know, and finding out what ncnn does not have.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, ConversionError, MissingDependencyError, require
from liteport.runtime import TensorSpec
from liteport.runtime.backends import choose_engine
from liteport.runtime.contents.limits import Source
from liteport.runtime.contents.ncnn import SUFFIX, output_names, stored_values
from liteport.runtime.contents.ncnn_params import NAME, Layer, read_layers
from liteport.runtime.isolation import try_in_subprocess
from liteport.runtime.model_files import joined

from .isolation import ScriptError, run_program
from .onnx import convert_channels_first, turned
from .onnx_graph import Graph, attribute, set_attribute
from .refusal import placed
from .tracing import Traced

_TIMEOUT = 900  # seconds: pnnx takes half a second for a classifier, and some minutes for the largest
_MOST_DIMENSIONS = 4  # of a batch of images
_FIXED_FIELDS = 4  # of a layer's line, before the names of its values


def convert(traced: Traced, opset: int, *, half: bool) -> bytes:
    """Converts a traced model.

    Its inputs and outputs are named as in `traced`. In the files they have no batch and channels first, as ncnn's own
    functions make them of images; `NcnnBackend` gives both back.

    Args:
        traced: The model.
        opset: Of the ONNX file in between.
        half: Whether weights are stored in half precision, by which the runtime also knows what to compute in.

    Returns:
        The two files, joined; see `runtime.model_files`.

    Raises:
        ConversionError: If an input is not of a kind that ncnn takes, or pnnx or ncnn refuses.
        BackendError: If ncnn fails or crashes on what pnnx made.
        MissingDependencyError: If pnnx or ncnn is not installed.
    """
    _check_inputs(traced.inputs)
    onnx = require("onnx", "export")
    model = onnx.load_from_string(convert_channels_first(traced, opset))
    _spell_out(model)
    text, weights = _by_pnnx(model, traced.inputs, half=half)
    engine = choose_engine(SUFFIX)
    _check_known(read_layers(Source(text, NAME), text), engine.imported(), model)
    content = joined((_described(text, weights, model, traced), weights))
    try:
        try_in_subprocess(content, engine, threads=1)  # ncnn trusts what it reads, and may crash
    except BackendError as error:
        raise BackendError(f"of what pnnx made of the model: {error}") from error
    return content


def _check_inputs(specs: Sequence[TensorSpec]) -> None:
    for spec in specs:
        if spec.dtype != "float32" or None in spec.shape[1:] or len(spec.shape) > _MOST_DIMENSIONS:
            raise ConversionError(
                f"input {spec.name!r} is {spec.dtype} of shape {list(spec.shape)}; expected float32 of fixed sizes, "
                f"of at most {_MOST_DIMENSIONS - 1} dimensions beside the batch, as ncnn takes"
            )


def _spell_out(model: Any) -> None:
    """Writes what ONNX lets a file leave out, and transposed convolutions' uneven padding, as pnnx knows them."""
    graph = Graph(model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1  # so that no shape is left to be computed
    for node in list(graph.nodes):
        if node.op_type == "Pad" and attribute(node, "mode") is None:
            set_attribute(node, "mode", "constant")
        pads = list(attribute(node, "pads", ()))
        half = len(pads) // 2
        if node.op_type == "ConvTranspose" and pads[:half] != pads[half:]:
            _crop_instead(graph, node, pads)


def _crop_instead(graph: Graph, node: Any, pads: list[int]) -> None:
    """Has a transposed convolution compute all it can, and a Slice take away what its padding would."""
    name, shape = node.output[0], graph.shape(node.output[0])
    if shape is None or any(attribute(node, "output_padding", ())):
        return
    begins, ends = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    set_attribute(node, "pads", [0] * len(pads))
    sizes = [size or 0 for size in shape[2:]]  # which are fixed, as the inputs' are
    whole = [size + begin + end for size, begin, end in zip(sizes, begins, ends, strict=True)]
    graph.set_output(node, graph.fresh(name), [*shape[:2], *whole])
    bounds = begins, [begin + size for begin, size in zip(begins, sizes, strict=True)], range(2, len(shape))
    inputs = [node.output[0], *(graph.add_constant(name, np.array([*values], np.int64)) for values in bounds)]
    graph.insert_after(node, "Slice", inputs, name, shape)


def _by_pnnx(model: Any, inputs: Sequence[TensorSpec], *, half: bool) -> tuple[bytes, bytes]:
    """Runs pnnx in a folder of its own; it writes nine files."""
    sizes = ",".join(f"[1,{','.join(map(str, turned(spec).shape[1:]))}]" for spec in inputs)
    with tempfile.TemporaryDirectory(prefix="liteport-") as name:
        (file := Path(name) / "model.onnx").write_bytes(model.SerializeToString())
        made = [file.with_suffix(f".ncnn{suffix}") for suffix in (".param", ".bin")]
        command = [str(_program()), file.name, f"inputshape={sizes}", f"fp16={int(half)}"]
        try:
            run_program(command, file.parent, timeout=_TIMEOUT)
        except ScriptError as error:
            raise ConversionError(f"pnnx refuses the model: {error.reason[:300]}") from error
        if not all(path.is_file() for path in made):
            raise ConversionError("pnnx refuses the model: it wrote no ncnn files and gave no reason")
        return made[0].read_bytes(), made[1].read_bytes()


def _program() -> Path:
    """Finds pnnx's program without importing its package, which would import torch."""
    found = find_spec("pnnx")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            'pnnx is not installed; run: pip install "liteport[ncnn]" (it asks for torch, which is not needed here: '
            "pip install --no-deps pnnx does without)"
        )
    return Path(found.origin).with_name("pnnx.exe" if os.name == "nt" else "pnnx")


def _check_known(layers: Sequence[Layer], ncnn: Any, model: Any) -> None:
    """Finds what pnnx left in words of its own, since ncnn has no such layer.

    Raises:
        ConversionError: With the operation and, where it can be told, the Keras layer.
    """
    unknown = list(dict.fromkeys(layer.kind for layer in layers if ncnn.layer_to_index(layer.kind) < 0))
    if not unknown:
        return
    kinds = {node.op_type.lower(): node.op_type for node in model.graph.node}
    told = []
    for kind in unknown:
        plain = kinds.get(kind.rpartition(".")[2].replace("_", "").lower(), kind)
        told.append(placed(plain, [name for node in model.graph.node if node.op_type == plain for name in node.output]))
    raise ConversionError(f"ncnn {ncnn.__version__} has no layer for: {'; '.join(told)}")


def _described(text: bytes, weights: bytes, model: Any, traced: Traced) -> bytes:
    """Names inputs and outputs as the model does, in its order, and states the inputs' sizes.

    What lies between is named by the Keras layer, where its weights tell which that is.

    Raises:
        ConversionError: If pnnx left an input or output out.
    """
    magic, counts, *lines = text.decode().splitlines()
    layers = read_layers(Source(text, NAME), text)
    known = _origins(joined((text, weights)), layers, model)
    names = _names(layers, known, _edges(layers, traced))
    words = [_renamed(line.split(), layer, names) for line, layer in zip(lines, layers, strict=False)]
    sizes = {spec.name: turned(spec).shape[:0:-1] for spec in traced.inputs}  # width, height, channels
    order = {name: place for place, name in enumerate(sizes)}
    given = sorted((line for line in words if line[0] == "Input"), key=lambda line: order[line[-1]])
    given = [[*line, *(f"{key}={size}" for key, size in enumerate(sizes[line[-1]]))] for line in given]
    rest = [line for line in words if line[0] != "Input"]
    return "\n".join((magic, counts, *map(" ".join, (*given, *rest)), "")).encode()


def _edges(layers: Sequence[Layer], traced: Traced) -> dict[str, str]:
    """Returns what inputs and outputs are to be called, by their names in pnnx's file."""
    found = [layer.outputs[0] for layer in layers if layer.is_input], output_names(layers)
    edges: dict[str, str] = {}
    for prefix, specs, there in zip(("in", "out"), (traced.inputs, traced.outputs), found, strict=True):
        expected = {f"{prefix}{number}": spec.name for number, spec in enumerate(specs)}
        if set(there) != set(expected):
            raise ConversionError(
                f"pnnx gave the {prefix}puts {there} for {list(expected.values())}; expected {list(expected)}"
            )
        edges |= expected
    return edges


def _origins(content: bytes, layers: Sequence[Layer], model: Any) -> dict[int, str]:
    """Finds the ONNX value that each layer with weights computes, by these; pnnx forgets names."""
    onnx = require("onnx", "export")
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    left = [(node.output[0], constants[name]) for node in model.graph.node for name in node.input if name in constants]
    found: dict[int, str] = {}
    for stored, values in stored_values(content, layers):
        if stored.layer in found:
            continue
        place = next((i for i, (_, array) in enumerate(left) if _same(array, values)), None)
        if place is not None:
            found[stored.layer] = left.pop(place)[0]
    return found


def _same(array: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether ncnn's array is this one, as it is or with its first two dimensions exchanged."""
    if array.size != values.size:
        return False
    forms = [array, *([array.swapaxes(0, 1)] if array.ndim > 1 else [])]
    return any(np.array_equal(form.ravel().astype(values.dtype), values) for form in forms)


def _names(layers: Sequence[Layer], known: Mapping[int, str], edges: Mapping[str, str]) -> dict[str, str]:
    """Returns what each value is to be called, by its name in pnnx's file."""
    names, taken = dict(edges), set(edges.values())
    for index, layer in enumerate(layers):
        for number, name in enumerate(layer.outputs):
            if name not in names:
                scope, slash, _ = known.get(index, "").rpartition("/")  # of the Keras layer, in front of pnnx's name
                wish = f"{scope}{slash}{layer.name}" + (f"_{number}" if len(layer.outputs) > 1 else "")
                while wish in taken:
                    wish += "_"
                names[name] = wish
                taken.add(wish)
    return names


def _renamed(words: list[str], layer: Layer, names: Mapping[str, str]) -> list[str]:
    values = [names[name] for name in (*layer.inputs, *layer.outputs)]
    return [*words[:_FIXED_FIELDS], *values, *words[_FIXED_FIELDS + len(values) :]]
