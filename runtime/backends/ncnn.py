"""ncnn models, by ncnn on the CPU.

ncnn takes one item at a time, with channels first and without a batch dimension, trusts its caller with the sizes of
inputs, and reads weights from files only. All of that ends here: this backend takes and gives batches with channels
last, and other sizes do not reach the engine.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, InvalidInputError

from ..card import TensorSpec
from ..contents.ncnn import SUFFIX, metadata_spans, output_names, read_model_layers
from ..contents.ncnn_params import Layer
from ..contents.ncnn_weights import channels_taken
from ..model_files import parted
from .base import BackendInfo, Memory, Shapes
from .native import as_file

_HALF = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")
_MOST_DIMENSIONS = 3


class NcnnBackend:
    """Implements `Backend` with an ncnn network.

    The arithmetic follows the weights: of float32 weights it is float32, though ncnn by itself would use half precision
    where the CPU has it; of float16 weights, values are kept in half precision and computed in it where the CPU can
    (Arm with FP16 instructions, such as the Cortex-A76), or else computed in float32.

    Attributes:
        computes_in_half: Whether the arithmetic is in half precision.
    """

    def __init__(
        self, content: bytes, threads: int, package: str, module: ModuleType, signature: str | None = None
    ) -> None:
        """Loads a model, and runs it once on zeros, as the files do not state what sizes its outputs have.

        Args:
            content: The `.param` and the `.bin` file, joined; see `model_files`.
            threads: How many threads one call may use.
            package: The distribution's name.
            module: Its module with the class `Net`.
            signature: None; ncnn models have one graph.

        Raises:
            BackendError: If the engine refuses the model.
            InvalidInputError: If a signature is named.
            IntegrityError: If the model is damaged.
        """
        if signature is not None:
            raise InvalidInputError(f"signature is {signature!r}; ncnn models have no signatures, expected None")
        layers, half = read_model_layers(content)
        who = f"{package} {module.__version__}"
        _check_known(layers, who, module)
        self._module = module
        self._net = module.Net()
        self._net.opt.num_threads = threads
        for option in _HALF:
            setattr(self._net.opt, option, half)
        text, weights = parted(content, SUFFIX)
        with as_file(weights) as path:
            if self._net.load_param_mem(text.decode()) or self._net.load_model(path):
                raise BackendError(f"{who} refuses this model: a layer takes not the parameters or weights that it has")
        self.computes_in_half = half and bool(module.cpu_support_arm_asimdhp())
        arithmetic = "float16" if self.computes_in_half else "float16 weights" if half else "float32"
        self.info = BackendInfo(package, module.__version__, f"CPU, {arithmetic}")
        self.inputs = tuple(_input_spec(layer, who) for layer in layers if layer.is_input)
        self._names = output_names(layers)
        self._make_room()
        self._layers = layers
        if not metadata_spans(content):
            self._check_sizes()
        pairs = zip(self._names, self._run_item(self.zeros()), strict=True)
        self.outputs = tuple(TensorSpec(name, "float32", (None, *values.shape)) for name, values in pairs)

    def _check_sizes(self) -> None:
        """Has a model that liteport did not write computed layer by layer, each asked for what it has weights for.

        ncnn itself would go on, with what lies behind an array in memory.
        """
        extractor = self._start(self.zeros())
        extractor.set_light_mode(False)
        sizes: dict[str, tuple[int, ...]] = {}
        for layer in self._layers:
            expected = channels_taken(layer)
            if layer.inputs and expected is not None:
                given = sizes[layer.inputs[0]]
                found = (math.prod(given), given[-1]) if layer.kind == "InnerProduct" else given[-1:]
                if expected not in found:
                    raise BackendError(
                        f"layer {layer.name[:80]!r} has weights for {expected} channels and gets {found[0]}: the sizes "
                        f"that the model states are not those that it was made for"
                    )
            sizes |= {name: self._taken(extractor, name).shape for name in layer.outputs}

    def _make_room(self) -> None:
        """Makes the engine's own arrays for one item.

        Layers that work in place write to an input that is numpy's memory, or crash; the engine's own they copy.
        """
        self._given = [self._module.Mat(*reversed(_channels_first(spec.shape[1:]))) for spec in self.inputs]
        self._views = [_channels_last(np.asarray(mat)) for mat in self._given]

    def zeros(self) -> list[NDArray[np.float32]]:
        """Returns an item of zeros."""
        return [np.zeros([size or 1 for size in spec.shape[1:]], np.float32) for spec in self.inputs]

    def _run_item(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Runs one item; what is returned lies in memory of the engine's, of which it lets go."""
        extractor = self._start(arrays)
        return [self._taken(extractor, name) for name in self._names]

    def _start(self, arrays: Sequence[NDArray[Any]]) -> Any:
        extractor = self._net.create_extractor()
        for spec, view, given, values in zip(self.inputs, self._views, self._given, arrays, strict=True):
            view[...] = values
            extractor.input(spec.name, given)
        return extractor

    def _taken(self, extractor: Any, name: str) -> NDArray[np.float32]:
        status, mat = extractor.extract(name)
        if _failed(status, mat):
            raise BackendError(f"{self.info} failed in {self._failing()}")
        return _channels_last(np.asarray(mat))

    def _failing(self) -> str:
        """Names the first layer that does not compute what `_given` holds."""
        extractor = self._net.create_extractor()
        extractor.set_light_mode(False)
        for spec, given in zip(self.inputs, self._given, strict=True):
            extractor.input(spec.name, given)
        for layer in self._layers:
            for name in layer.outputs:
                status, mat = extractor.extract(name)
                if _failed(status, mat):
                    return f"layer {layer.name!r} ({layer.kind}), which makes {name!r} (status {status})"
        return "one of its layers, and not when asked again"

    def values(self, arrays: Sequence[NDArray[Any]], names: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Runs one item, and returns some of the values inside the model by their names; copies.

        Raises:
            BackendError: If the engine fails.
        """
        extractor = self._start(arrays)
        extractor.set_light_mode(False)  # in which a value is gone once it was used
        return {name: self._taken(extractor, name).copy() for name in names}

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Backend.run`."""
        memory = self.memory(tuple(array.shape for array in arrays))
        for own, array in zip(memory.inputs, arrays, strict=True):
            own[...] = array
        memory.invoke()
        return list(memory.outputs)

    def memory(self, shapes: Shapes) -> Memory:
        """See `Backend.memory`; arrays of our own, of which each item is copied in and out."""
        for spec, shape in zip(self.inputs, shapes, strict=True):
            if shape[1:] != spec.shape[1:] or shape[0] != shapes[0][0]:
                raise InvalidInputError(f"values for {spec.name!r} have shape {shape}; expected {list(spec.shape)}")
        items = shapes[0][0]
        inputs = tuple(np.zeros(shape, np.float32) for shape in shapes)
        outputs = tuple(np.zeros((items, *map(int, filter(None, spec.shape[1:]))), np.float32) for spec in self.outputs)
        return Memory(inputs, outputs, partial(self._run_all, inputs, outputs), (BackendError,))

    def _run_all(self, inputs: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> None:
        for item in range(len(inputs[0])):
            results = self._run_item([array[item] for array in inputs])
            for array, values in zip(outputs, results, strict=True):
                array[item] = values

    def another(self) -> "NcnnBackend":
        """See `Backend.another`; a network may be used from several threads, so both use the same one."""
        other = copy.copy(self)
        other._make_room()
        return other

    def close(self) -> None:
        """See `Backend.close`."""
        del self._net


def _failed(status: int, mat: Any) -> bool:
    """Whether a value could not be had; layers that are asked for too much give negative sizes."""
    return bool(status) or mat.empty() or min(mat.w, mat.h, mat.d, mat.c) < 1


def _check_known(layers: Sequence[Layer], who: str, module: ModuleType) -> None:
    for layer in layers:
        if module.layer_to_index(layer.kind) < 0:
            raise BackendError(f"{who} has no layer {layer.kind[:80]!r}, which {layer.name[:80]!r} is")


def _input_spec(layer: Layer, who: str) -> TensorSpec:
    shape = layer.input_shape()
    if not shape:
        raise BackendError(
            f"the model states no sizes of its input {layer.outputs[0][:80]!r}, and {who} crashes on others than it "
            "was made for; add them to that line of the .param file: 0=width 1=height 2=channels"
        )
    return TensorSpec(layer.outputs[0], "float32", shape)


def _channels_first(shape: tuple[int | None, ...]) -> list[int]:
    sizes = [size or 1 for size in shape]
    return [sizes[-1], *sizes[:-1]] if len(sizes) == _MOST_DIMENSIONS else sizes


def _channels_last(values: NDArray[Any]) -> NDArray[Any]:
    return values.transpose(1, 2, 0) if values.ndim == _MOST_DIMENSIONS else values
