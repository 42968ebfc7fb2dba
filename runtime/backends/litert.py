"""TFLite files, by ai-edge-litert or by tflite-runtime, which is the older name of the same interpreter."""

from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError

from ..card import TensorSpec
from .base import BackendInfo


class LiteRTBackend:
    """Implements `Backend` with a TFLite interpreter."""

    def __init__(self, content: bytes, threads: int, package: str, module: ModuleType) -> None:
        """Loads a model.

        Args:
            content: The `.tflite` file.
            threads: How many threads one call may use.
            package: The distribution's name.
            module: Its module with the class `Interpreter`.

        Raises:
            BackendError: If the engine refuses the file.
        """
        try:
            self._interpreter = module.Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
            inputs, outputs = self._details()
            self.inputs = tuple(_spec(name, detail) for name, detail in inputs.items())
            self.outputs = tuple(_spec(name, detail) for name, detail in outputs.items())
            self.info = BackendInfo(package, version(package), self._delegate())
        except (ValueError, RuntimeError) as error:
            raise BackendError(f"{package} {version(package)} refuses this model: {_one_line(error)}") from error
        self._input_indices = [int(detail["index"]) for detail in inputs.values()]
        self._output_indices = [int(detail["index"]) for detail in outputs.values()]
        self._shapes: list[tuple[int, ...]] = [tuple(map(int, detail["shape"])) for detail in inputs.values()]

    def _details(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tensor details by signature name, or by tensor name in a file without signatures."""
        signatures = self._interpreter.get_signature_list()
        if signatures:
            runner = self._interpreter.get_signature_runner(next(iter(signatures)))
            return runner.get_input_details(), runner.get_output_details()
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        return {detail["name"]: detail for detail in details[0]}, {detail["name"]: detail for detail in details[1]}

    def _delegate(self) -> str:
        """The delegate shows as an operator of its own once tensors are allocated; there is no public call for it."""
        operators: list[dict[str, Any]] = getattr(self._interpreter, "_get_ops_details", list)()
        delegated = any(operator["op_name"] == "DELEGATE" for operator in operators)
        return "XNNPACK" if delegated else "built-in kernels"

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Backend.run`."""
        try:
            self._resize([array.shape for array in arrays])
            for index, array in zip(self._input_indices, arrays, strict=True):
                self._interpreter.set_tensor(index, array)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._output_indices]
        except (ValueError, RuntimeError) as error:
            raise BackendError(f"{self.info} failed: {_one_line(error)}") from error

    def _resize(self, shapes: list[tuple[int, ...]]) -> None:
        """Makes room for inputs of these shapes; a resize prepares the whole graph anew, so only when it must be."""
        if shapes == self._shapes:
            return
        self._shapes = []  # a resize that fails leaves the interpreter in neither shape
        for index, shape in zip(self._input_indices, shapes, strict=True):
            self._interpreter.resize_tensor_input(index, shape, strict=True)
        self._interpreter.allocate_tensors()
        self._shapes = shapes

    def close(self) -> None:
        """See `Backend.close`."""
        del self._interpreter


def _spec(name: str, detail: dict[str, Any]) -> TensorSpec:
    shape = detail.get("shape_signature", detail["shape"])
    dtype = np.dtype(detail["dtype"])
    if dtype.kind not in "fiub":
        raise ValueError(f"{name!r} holds {dtype.name}; only numeric tensors can be used")
    scales = detail["quantization_parameters"]["scales"]
    quantized = len(scales) == 1 and dtype.kind in "iu"  # floating tensors may keep what they were quantized with
    return TensorSpec(
        name=name,
        dtype=dtype.name,
        shape=tuple(int(size) if size > 0 else None for size in shape) or (1,),
        scale=float(scales[0]) if quantized else None,
        zero_point=int(detail["quantization_parameters"]["zero_points"][0]) if quantized else None,
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
