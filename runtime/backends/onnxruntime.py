"""ONNX files, by ONNX Runtime on the CPU."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError

from ..card import TensorSpec
from .base import BackendInfo

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


class OnnxRuntimeBackend:
    """Implements `Backend` with an ONNX Runtime session."""

    def __init__(self, content: bytes, threads: int, package: str, module: ModuleType) -> None:
        """Loads a model.

        Args:
            content: The `.onnx` file.
            threads: How many threads one call may use.
            package: The distribution's name.
            module: Its module with the class `InferenceSession`.

        Raises:
            BackendError: If the engine refuses the file.
        """
        options = module.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: they come as exceptions as well
        self._failures = session_errors(module)
        try:
            self._session = module.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            self.inputs = tuple(map(_spec, self._session.get_inputs()))
            self.outputs = tuple(map(_spec, self._session.get_outputs()))
        except self._failures as error:
            raise BackendError(f"{package} {module.__version__} refuses this model: {_one_line(error)}") from error
        self._output_names = [spec.name for spec in self.outputs]
        self.info = BackendInfo(package, module.__version__, self._session.get_providers()[0])

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Backend.run`."""
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        try:
            results: list[NDArray[Any]] = self._session.run(self._output_names, feed)
        except self._failures as error:
            raise BackendError(f"{self.info} failed: {_one_line(error)}") from error
        return results

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
        raise ValueError(f"{argument.name!r} is a {argument.type}; only numeric tensors can be used")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in argument.shape)
    return TensorSpec(argument.name, np.dtype(_DTYPES[argument.type]).name, shape or (1,))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
