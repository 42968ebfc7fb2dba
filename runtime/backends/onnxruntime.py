"""ONNX files, by ONNX Runtime on the CPU."""

import copy
from collections.abc import Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, InvalidInputError, LiteportError

from ..card import TensorSpec
from .base import BackendInfo, Memory, Shapes, one_line, refused_tensor

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}
_SCIKIT_LEARN, _ADVICE = "seq(map(", " (skl2onnx gives a tensor instead with the option zipmap=False)"


class OnnxRuntimeBackend:
    """Implements `Backend` with an ONNX Runtime session."""

    def __init__(
        self, content: bytes, threads: int, package: str, module: ModuleType, signature: str | None = None
    ) -> None:
        """Loads a model.

        Args:
            content: The `.onnx` file.
            threads: How many threads one call may use.
            package: The distribution's name.
            module: Its module with the class `InferenceSession`.
            signature: None; ONNX files have one graph.

        Raises:
            BackendError: If the engine refuses the file.
            InvalidInputError: If a signature is named.
        """
        if signature is not None:
            raise InvalidInputError(f"signature is {signature!r}; ONNX files have no signatures, expected None")
        options = module.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # not even errors: they come as exceptions
        self._failures = session_errors(module)
        try:
            self._session = module.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            self.inputs = tuple(map(_spec, self._session.get_inputs()))
            self.outputs = tuple(map(_spec, self._session.get_outputs()))
        except LiteportError:
            raise
        except self._failures as error:
            raise BackendError(f"{package} {module.__version__} refuses this model: {one_line(error)}") from error
        self._output_names = [spec.name for spec in self.outputs]
        self.info = BackendInfo(package, module.__version__, self._session.get_providers()[0])

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Backend.run`."""
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        try:
            results: list[NDArray[Any]] = self._session.run(self._output_names, feed)
        except self._failures as error:
            raise BackendError(f"{self.info} failed: {one_line(error)}") from error
        return results

    def memory(self, shapes: Shapes) -> Memory | None:
        """See `Backend.memory`; arrays of our own are bound to the session, which is quicker than a plain run."""
        if any(None in spec.shape[1:] for spec in self.outputs):
            return None
        inputs = tuple(np.zeros(shape, spec.dtype) for spec, shape in zip(self.inputs, shapes, strict=True))
        items = shapes[0][0]
        sizes = ([size or items for size in spec.shape] for spec in self.outputs)
        outputs = tuple(np.zeros(shape, spec.dtype) for shape, spec in zip(sizes, self.outputs, strict=True))
        binding = self._session.io_binding()
        for spec, array in zip(self.inputs, inputs, strict=True):
            binding.bind_cpu_input(spec.name, array)
        for spec, bound in zip(self.outputs, outputs, strict=True):
            binding.bind_output(spec.name, "cpu", 0, bound.dtype, bound.shape, bound.ctypes.data)
        return Memory(inputs, outputs, partial(self._session.run_with_iobinding, binding), self._failures)

    def another(self) -> "OnnxRuntimeBackend":
        """See `Backend.another`; sessions may be used from several threads, so both use the same one."""
        return copy.copy(self)

    def close(self) -> None:
        """See `Backend.close`."""
        del self._session


def session_errors(module: ModuleType) -> tuple[type[Exception], ...]:
    """What a session may raise: ONNX Runtime's own exceptions share no base class."""
    state = vars(module.capi.onnxruntime_pybind11_state)
    own = (kind for kind in state.values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*own, ValueError, RuntimeError)


def _spec(argument: Any) -> TensorSpec:
    if argument.type not in _DTYPES:
        advice = _ADVICE if argument.type.startswith(_SCIKIT_LEARN) else ""
        raise refused_tensor(argument.name, f"{argument.type}{advice}")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in argument.shape)
    return TensorSpec(argument.name, np.dtype(_DTYPES[argument.type]).name, shape)
