"""Every intermediate value of a model file, as real numbers: what a comparison of two files is made of.

Engines are made to run the graph node by node as the file has it. LiteRT does so without a delegate, whose
kernels may round the last bit otherwise; ONNX Runtime without graph optimizations, so a quantized model is computed
between its Q/DQ pairs in float; ncnn and MNN show what the layers of their files make. None is the way to run fast, and
none needs more packages than running does.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from liteport.errors import BackendError, InvalidInputError, unknown_name

from .backends import choose_engine
from .backends.base import one_line
from .backends.mnn import MnnBackend
from .backends.ncnn import NcnnBackend
from .backends.onnxruntime import session_errors
from .card import TensorSpec
from .contents import Contents, Tensor, read_contents
from .contents.protobuf import bytes_field
from .inputs import Input

_FLOATS = ("float32", "float16", "float64")
# Field numbers of onnx.proto: ModelProto.graph, GraphProto.output, ValueInfoProto.name.
_GRAPH, _OUTPUT, _NAME = 7, 12, 1


class Probe:
    """A model file whose tensors can all be seen. For one thread; close it, or use it in a `with` block.

    Attributes:
        contents: What is in the file.
        inputs: Its inputs.
    """

    def __init__(self, content: bytes, suffix: str) -> None:
        """Loads a model.

        Args:
            content: The file.
            suffix: ".tflite", ".onnx", ".param" or ".mnn".

        Raises:
            IntegrityError: If the file is damaged.
            MissingDependencyError: If the engine is not installed.
            BackendError: If the engine refuses the file.
        """
        self.contents: Contents = read_contents(content, suffix)
        engine = choose_engine(suffix)
        backend = engine.load(content, 1)  # knows the inputs by the names of the file's signature
        self.inputs: tuple[TensorSpec, ...] = backend.inputs
        backend.close()
        self._inputs = [Input(spec, None) for spec in self.inputs]
        self._tensors = _named(self.contents)
        made = [index for op in self.contents.ops for index in op.outputs if index >= 0]
        shown = (self.contents.tensors[index] for index in dict.fromkeys((*self.contents.inputs, *made)))
        self._real = [tensor.name for tensor in shown if tensor.name in self._tensors and may_be_real(tensor)]
        self._engine: _Run = _RUNS[suffix](content, engine.imported(), self._tensors)

    def run(self, feeds: Mapping[str, ArrayLike], names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
        """Runs the model once and gives its tensors.

        Args:
            feeds: One batch of real values (or of integers, where the model takes such) by each input's name; they
                are quantized where the file needs it. All of it is run at once, so memory sets its size.
            names: Tensors wanted, constants included; None for every input and intermediate value that is floating
                or quantized.

        Returns:
            By tensor name: float32, dequantized where the file has it quantized. Integers asked for by name that
            stand for no real values are given as they are.

        Raises:
            InvalidInputError: If a name is missing or unknown, or an array does not fit.
            BackendError: If the engine fails.
        """
        wanted = self._real if names is None else tuple(names)
        for name in wanted:
            if name not in self._tensors:
                raise unknown_name("tensor", name, self._tensors)
        if missing := [spec.name for spec in self.inputs if spec.name not in feeds]:
            raise InvalidInputError(f"inputs lack {missing}; expected {[spec.name for spec in self.inputs]}")
        arrays = {entry.spec.name: entry.prepare(feeds[entry.spec.name]) for entry in self._inputs}
        values = self._engine.run(arrays, wanted)
        real = {name: dequantized(array, self._tensors[name][1]) for name, array in values.items()}
        return real if names is not None else {name: array for name, array in real.items() if array.dtype == np.float32}

    def close(self) -> None:
        """Frees the engine."""
        with suppress(AttributeError):  # closed already
            del self._engine

    def __enter__(self) -> "Probe":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_quantized(tensor: Tensor) -> bool:
    """Tells whether a tensor holds integers that stand for real values."""
    return bool(tensor.scales) and tensor.dtype.startswith(("int", "uint"))


def may_be_real(tensor: Tensor) -> bool:
    """Tells whether a value that is computed may be a real one; ONNX files state most types only when run."""
    return not tensor.constant and (tensor.dtype in ("", *_FLOATS) or is_quantized(tensor))


def dequantized(values: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """Returns the real values, float32, that a tensor's stand for: `scale * (q - zero_point)`, per tensor or channel.

    Floating values become float32; integers without a scale are counts, shapes or indices and stay what they are.
    """
    if not is_quantized(tensor):
        return values.astype(np.float32) if values.dtype.kind == "f" else values
    shape = [1] * values.ndim
    if tensor.axis is not None and len(tensor.scales) > 1:
        shape[tensor.axis] = -1
    scales = np.asarray(tensor.scales, np.float32).reshape(shape)
    zero_points = np.asarray(tensor.zero_points or (0,), np.float32)
    return (values.astype(np.float32) - zero_points.reshape(shape if zero_points.size > 1 else -1)) * scales


class _Run(Protocol):
    def run(self, arrays: Mapping[str, NDArray[Any]], names: Collection[str]) -> dict[str, NDArray[Any]]: ...


def _named(contents: Contents) -> dict[str, tuple[int, Tensor]]:
    """Tensors by name; TFLite allows a name twice, and such a name says nothing."""
    named: dict[str, tuple[int, Tensor]] = {}
    ambiguous: set[str] = set()
    for index, tensor in enumerate(contents.tensors):
        if tensor.name in named:
            ambiguous.add(tensor.name)
        named[tensor.name] = index, tensor
    return {name: entry for name, entry in named.items() if name and name not in ambiguous}


class _TFLiteRun:
    """A TFLite interpreter that keeps every tensor: ordinarily they share memory and overwrite one another."""

    def __init__(self, content: bytes, module: ModuleType, tensors: Mapping[str, tuple[int, Tensor]]) -> None:
        self._tensors = tensors
        try:
            self._interpreter = module.Interpreter(
                model_content=content,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            signatures = self._interpreter.get_signature_list()
            if signatures:
                details = self._interpreter.get_signature_runner(next(iter(signatures))).get_input_details()
                self._inputs = {name: int(detail["index"]) for name, detail in details.items()}
            else:
                self._inputs = {entry["name"]: int(entry["index"]) for entry in self._interpreter.get_input_details()}
        except (ValueError, RuntimeError) as error:
            raise BackendError(f"{module.__name__} refuses this model: {one_line(error)}") from error

    def run(self, arrays: Mapping[str, NDArray[Any]], names: Collection[str]) -> dict[str, NDArray[Any]]:
        try:
            for name, array in arrays.items():
                self._interpreter.resize_tensor_input(self._inputs[name], array.shape, strict=True)
            self._interpreter.allocate_tensors()
            for name, array in arrays.items():
                self._interpreter.set_tensor(self._inputs[name], array)
            self._interpreter.invoke()
            return {name: self._interpreter.get_tensor(self._tensors[name][0]) for name in names}
        except (ValueError, RuntimeError) as error:
            raise BackendError(f"LiteRT failed with all tensors kept: {one_line(error)}") from error


class _OnnxRun:
    """An ONNX Runtime session whose graph has every tensor as an output."""

    def __init__(self, content: bytes, module: ModuleType, tensors: Mapping[str, tuple[int, Tensor]]) -> None:
        options = module.SessionOptions()
        options.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._failures = session_errors(module)
        contents = read_contents(content, ".onnx")
        there = {contents.tensors[index].name for index in (*contents.inputs, *contents.outputs)}
        self._inputs = {contents.tensors[index].name for index in contents.inputs}
        content += with_outputs(name for name in tensors if name not in there)
        try:
            self._session = module.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except self._failures as error:
            raise BackendError(f"onnxruntime refuses this model with all tensors shown: {one_line(error)}") from error

    def run(self, arrays: Mapping[str, NDArray[Any]], names: Collection[str]) -> dict[str, NDArray[Any]]:
        made = [name for name in names if name not in self._inputs]
        try:
            values = dict(zip(made, self._session.run(made, dict(arrays)) if made else (), strict=True))
        except self._failures as error:
            raise BackendError(f"onnxruntime failed with all tensors shown: {one_line(error)}") from error
        return {name: arrays[name] if name in self._inputs else values[name] for name in names}


class _NcnnRun:
    """An ncnn network, of which any value can be had; its own joined layers are what there is of steps."""

    def __init__(self, content: bytes, module: ModuleType, tensors: Mapping[str, tuple[int, Tensor]]) -> None:  # noqa: ARG002
        self._backend = NcnnBackend(content, 1, module.__name__, module)

    def run(self, arrays: Mapping[str, NDArray[Any]], names: Collection[str]) -> dict[str, NDArray[Any]]:
        inputs = [arrays[spec.name] for spec in self._backend.inputs]
        items = [self._backend.values([array[item] for array in inputs], names) for item in range(len(inputs[0]))]
        return {name: np.stack([item[name] for item in items]) for name in names}


class _MnnRun:
    """An MNN session that keeps every value: ordinarily they share memory and overwrite one another."""

    def __init__(self, content: bytes, module: ModuleType, tensors: Mapping[str, tuple[int, Tensor]]) -> None:
        names = [name for name, (_, tensor) in tensors.items() if not tensor.constant]
        self._backend = MnnBackend(content, 1, module.__name__, module, shown=names)

    def run(self, arrays: Mapping[str, NDArray[Any]], names: Collection[str]) -> dict[str, NDArray[Any]]:
        inputs = [arrays[spec.name] for spec in self._backend.inputs]
        items = [
            self._backend.values([array[item : item + 1] for array in inputs], names) for item in range(len(inputs[0]))
        ]
        if missing := [name for name in names if name not in items[0]]:
            raise BackendError(f"{self._backend.info} does not show the value {missing[0]!r}")
        return {name: _together([item[name] for item in items]) for name in names}


def _together(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Puts items together; integers are sizes, which all have in common."""
    return np.concatenate(values) if values[0].ndim and values[0].dtype.kind == "f" else values[0]


_RUNS: dict[str, Callable[[bytes, ModuleType, Mapping[str, tuple[int, Tensor]]], _Run]] = {
    ".tflite": _TFLiteRun,
    ".onnx": _OnnxRun,
    ".param": _NcnnRun,
    ".mnn": _MnnRun,
}


def with_outputs(names: Iterable[str]) -> bytes:
    """Returns bytes that make tensors outputs when they are appended to an ONNX file.

    A message field that occurs again is merged with what came before (protobuf's encoding guide, "Last One Wins"),
    so a second `graph` that holds nothing but outputs adds them to the first. ONNX Runtime infers their types.
    """
    outputs = b"".join(bytes_field(_OUTPUT, bytes_field(_NAME, name.encode())) for name in names)
    return bytes_field(_GRAPH, outputs) if outputs else b""
