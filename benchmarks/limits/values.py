"""The values that a model file computes for one item: their sizes, and which of them never need to be stored.

A file leaves many shapes open. The engine that runs the file fills them in: it runs it once, on zeros, node by node.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType

import numpy as np

from liteport.errors import BackendError
from liteport.runtime.activations import with_outputs
from liteport.runtime.backends import choose_engine
from liteport.runtime.backends.base import one_line
from liteport.runtime.backends.mnn import MnnBackend
from liteport.runtime.backends.ncnn import NcnnBackend
from liteport.runtime.backends.onnxruntime import session_errors
from liteport.runtime.contents import Contents, Op, read_contents
from liteport.runtime.contents.onnx_tensors import BITS as ONNX_BITS
from liteport.runtime.contents.tflite_names import TENSOR_BITS
from liteport.runtime.matching import Graph

# Operations that make each element of their result of the element in the same place, or only say another shape: an
# engine may do them while it computes or reads the value, and no value before them needs memory of its own.
ELEMENTWISE = frozenset(
    """
    QUANTIZE DEQUANTIZE CAST RESHAPE SQUEEZE EXPAND_DIMS RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU PRELU ELU GELU
    HARD_SWISH LOGISTIC TANH ABS NEG EXP LOG SQRT RSQRT SQUARE ADD SUB MUL DIV POW MAXIMUM MINIMUM SQUARED_DIFFERENCE
    QuantizeLinear DequantizeLinear Cast Reshape Flatten Squeeze Unsqueeze Identity Dropout Relu LeakyRelu PRelu Elu
    Selu Gelu Clip HardSwish HardSigmoid Sigmoid Tanh Softplus Softsign Mish Erf Abs Neg Exp Log Sqrt Reciprocal Add
    Sub Mul Div Pow Max Min BatchNormalization com.microsoft.QLinearAdd com.microsoft.QLinearMul
    com.microsoft.QLinearSigmoid com.microsoft.QLinearLeakyRelu com.microsoft.QuickGelu com.microsoft.Gelu
    ReLU PReLU ELU SELU GELU TanH Swish HardSwish UnaryOp BinaryOp BatchNorm Scale Bias ExpandDims Noop
    ConvertTensor ReLU6 Eltwise Identity
    """.split()  # noqa: SIM905 - a name a line would fill two pages
)

# Types of inputs that zeros can be made of.
_NUMBERS = frozenset(
    "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Value:
    """What one run makes of a tensor.

    Attributes:
        dtype: Its type.
        shape: Its shape.
        size_bytes: Its size.
    """

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)


class Values:
    """A file's graph with the size of every value that one run of it for one item makes.

    Attributes:
        contents: What is in the file.
        graph: The same as a graph.
        ops: The operations that depend on the model's inputs, in order; the others are done when the file is loaded.
    """

    def __init__(self, content: bytes, suffix: str) -> None:
        """Runs a file once.

        Args:
            content: The file.
            suffix: ".tflite", ".onnx", ".param" or ".mnn".

        Raises:
            InvalidInputError: If it is another suffix.
            IntegrityError: If the file is damaged.
            MissingDependencyError: If the engine is not installed.
            BackendError: If the engine refuses the file or fails.
        """
        self.contents: Contents = read_contents(content, suffix)
        self.graph = Graph(self.contents)
        live = set(self.contents.inputs)
        self.ops: list[Op] = []
        for op in self.contents.ops:
            if not live.isdisjoint(op.inputs):
                self.ops.append(op)
                live.update(index for index in op.outputs if index >= 0)
        self._live = live
        self._values: Mapping[int, Value] = {}
        inputs = [self.contents.tensors[index] for index in self.contents.inputs]
        if all(tensor.dtype in _NUMBERS and None not in tensor.shape[1:] for tensor in inputs):
            module = choose_engine(suffix).imported()
            self._values = _RUNS[suffix](content, module, self.contents)

    def __getitem__(self, index: int) -> Value | None:
        """Returns a tensor's value, or None where its size is not known: an input's is free, or it is no tensor."""
        tensor = self.contents.tensors[index]
        if tensor.constant and None not in tensor.shape:
            return Value(tensor.dtype, tuple(size or 0 for size in tensor.shape), tensor.size_bytes)
        return self._values.get(index)

    def of(self, index: int) -> Value:
        """Returns a tensor's value, where all are known."""
        value = self[index]
        assert value is not None, "asked for only where all values are known"
        return value

    def known(self) -> bool:
        """Whether the sizes of all values are known."""
        made = (index for op in self.ops for index in (*op.inputs, *op.outputs) if index >= 0)
        return all(self[index] is not None for index in made)

    def live(self, indices: Iterable[int]) -> list[int]:
        """Returns which tensors depend on the model's inputs, each once."""
        return [index for index in dict.fromkeys(indices) if index in self._live]

    @cached_property
    def stored(self) -> Mapping[int, int]:
        """Which tensor stands for each: those that elementwise operations make of one another need to be stored once.

        It is the smallest of them: between Q and DQ the integers, for example.
        """
        groups: dict[int, list[int]] = {index: [index] for index in self._live}
        for op in self.ops:
            sources = self.live(op.inputs)
            if op.kind in ELEMENTWISE and len(sources) == 1 and self._same_elements(sources[0], op.outputs[0]):
                joined = groups[sources[0]]
                if groups[op.outputs[0]] is not joined:
                    joined += groups[op.outputs[0]]
                    groups.update(dict.fromkeys(joined, joined))
        return {index: min(group, key=self.size) for index, group in groups.items()}

    def size(self, index: int) -> int:
        """Returns how many bytes a tensor takes; 0 where that is not known."""
        value = self[index]
        return value.size_bytes if value else 0

    def _same_elements(self, one: int, other: int) -> bool:
        values = self[one], self[other]
        return values[0] is not None and values[1] is not None and values[0].elements == values[1].elements


def _run_tflite(content: bytes, module: ModuleType, contents: Contents) -> dict[int, Value]:
    """Runs a TFLite file without a delegate, which would hide the values inside of it; free batch sizes are 1 there."""
    try:
        interpreter = module.Interpreter(
            model_content=content,
            experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        for entry in interpreter.get_input_details():
            interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
        interpreter.invoke()
        shapes = {int(entry["index"]): tuple(map(int, entry["shape"])) for entry in interpreter.get_tensor_details()}
    except (ValueError, RuntimeError) as error:
        raise BackendError(f"{module.__name__} cannot run this model by itself: {one_line(error)}") from error
    found = {}
    for index, tensor in enumerate(contents.tensors):
        if index in shapes and tensor.dtype in TENSOR_BITS:
            bits = math.prod(shapes[index]) * TENSOR_BITS[tensor.dtype]
            found[index] = Value(tensor.dtype, shapes[index], -(-bits // 8))
    return found


def _run_onnx(content: bytes, module: ModuleType, contents: Contents) -> dict[int, Value]:
    """Runs an ONNX file with all values as outputs."""
    options = module.SessionOptions()
    options.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    indices = {tensor.name: index for index, tensor in enumerate(contents.tensors)}
    there = {contents.tensors[index].name for index in (*contents.inputs, *contents.outputs)}
    made = [contents.tensors[index].name for op in contents.ops for index in op.outputs if index >= 0]
    tensors = [contents.tensors[index] for index in contents.inputs]
    feeds = {tensor.name: np.zeros([size or 1 for size in tensor.shape], tensor.dtype) for tensor in tensors}
    try:
        content += with_outputs(name for name in made if name not in there)
        session = module.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        arrays = dict(zip(made, session.run(made, feeds), strict=True)) | feeds
    except session_errors(module) as error:
        raise BackendError(f"onnxruntime cannot run this model with all values shown: {one_line(error)}") from error
    return {
        indices[name]: Value(array.dtype.name, array.shape, array.nbytes)
        for name, array in arrays.items()
        if isinstance(array, np.ndarray) and array.dtype.name in ONNX_BITS
    }


def _run_ncnn(content: bytes, module: ModuleType, contents: Contents) -> dict[int, Value]:
    """Runs an ncnn model with all values kept; one may be in half precision only where they are computed in it."""
    backend = NcnnBackend(content, 1, module.__name__, module)
    dtype = "float16" if backend.computes_in_half else "float32"
    indices = {tensor.name: index for index, tensor in enumerate(contents.tensors) if not tensor.constant}
    found = backend.values(backend.zeros(), indices)
    backend.close()
    size = np.dtype(dtype).itemsize
    return {indices[name]: Value(dtype, array.shape, size * array.size) for name, array in found.items()}


def _run_mnn(content: bytes, module: ModuleType, contents: Contents) -> dict[int, Value]:
    """Runs an MNN file with all values kept; as for ncnn."""
    indices = {tensor.name: index for index, tensor in enumerate(contents.tensors) if not tensor.constant}
    backend = MnnBackend(content, 1, module.__name__, module, shown=indices.keys())
    zeros = [np.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in backend.inputs]
    found = backend.values(zeros, indices)
    half = backend.computes_in_half
    backend.close()
    values = {}
    for name, array in found.items():
        dtype = np.dtype("float16") if half and array.dtype == np.float32 else array.dtype
        values[indices[name]] = Value(dtype.name, array.shape, dtype.itemsize * array.size)
    return values


_RUNS = {".tflite": _run_tflite, ".onnx": _run_onnx, ".param": _run_ncnn, ".mnn": _run_mnn}
