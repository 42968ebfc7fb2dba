"""TFLite files, by ai-edge-litert or by tflite-runtime, which is the older name of the same interpreter."""

import ctypes
import re
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, InvalidInputError, LiteportError, unknown_name

from ..card import TensorSpec
from .base import BackendInfo, Memory, Shapes, one_line, refused_tensor

_OF_TENSORFLOW = "Flex"  # how converters begin the names of TensorFlow's own operators
_FAILURES = (ValueError, RuntimeError)
_MISSING = re.compile(r"(Select TensorFlow|custom) op.*Node number \d+ \((?P<op>\w+)\)", re.DOTALL)
_DEFAULT_SIGNATURE = "serving_default"  # TensorFlow's name for the one that is meant if none is named


class LiteRTBackend:
    """Implements `Backend` with a TFLite interpreter."""

    def __init__(
        self, content: bytes, threads: int, package: str, module: ModuleType, signature: str | None = None
    ) -> None:
        """Loads a model.

        Args:
            content: The `.tflite` file.
            threads: How many threads one call may use.
            package: The distribution's name.
            module: Its module with the class `Interpreter`.
            signature: Which of the file's signatures to run; None for the only one, or the default one.

        Raises:
            BackendError: If the engine refuses the file.
            InvalidInputError: If there is no such signature, or there are several and none is named.
        """
        version = import_module(module.__name__.split(".")[0]).__version__
        self._made_of = content, threads, package, module, signature
        try:
            self._interpreter = module.Interpreter(model_content=content, num_threads=threads)
            ready = self._allocate()
            self._runner = self._signature_runner(signature)
            inputs, outputs = self._details()
            self.inputs = tuple(_spec(name, detail) for name, detail in inputs.items())
            self.outputs = tuple(_spec(name, detail) for name, detail in outputs.items())
            self.info = BackendInfo(package, version, self._delegate())
        except LiteportError:
            raise
        except _FAILURES as error:
            raise BackendError(f"{package} {version} refuses this model: {_told(error)}") from error
        self._input_indices = [int(detail["index"]) for detail in inputs.values()]
        self._output_indices = [int(detail["index"]) for detail in outputs.values()]
        self._shapes: Shapes | None = None
        if ready:
            self._shapes = tuple(tuple(map(int, detail["shape"])) for detail in inputs.values())
        main = {int(detail["index"]) for detail in self._interpreter.get_input_details()}
        self._in_main_graph = self._runner is None or (self._only_signature and main == set(self._input_indices))
        if self._in_main_graph:
            self._runner = None  # it holds the interpreter, which would then not let itself be run
        self._stays = ready and self._in_main_graph and self._memory_stays()

    def _allocate(self) -> bool:
        """Makes the interpreter ready for the shapes in the file; free sizes are 1 there, which may be too little."""
        try:
            self._interpreter.allocate_tensors()
        except RuntimeError as error:
            if _MISSING.search(str(error)) or not any(map(_has_free_sizes, self._interpreter.get_input_details())):
                raise
            return False
        return True

    def _signature_runner(self, wanted: str | None) -> Any:
        """Chooses the signature; a file may have none, and then its main graph is run."""
        names = list(self._interpreter.get_signature_list())
        self._only_signature = len(names) == 1
        if wanted is None and len(names) > 1:
            if _DEFAULT_SIGNATURE not in names:
                raise InvalidInputError(f"the file has the signatures {names}; name one of them: signature=...")
            wanted = _DEFAULT_SIGNATURE
        if wanted is not None and wanted not in names:
            raise unknown_name("signature", wanted, names)
        return self._interpreter.get_signature_runner(wanted or names[0]) if names else None

    def _details(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Tensor details by signature name, or by tensor name in a file without signatures."""
        if self._runner is not None:
            return self._runner.get_input_details(), self._runner.get_output_details()
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        return _by_name(details[0]), _by_name(details[1])

    def _delegate(self) -> str:
        """The delegate shows as an operator of its own once tensors are allocated; there is no public call for it."""
        operators: list[dict[str, Any]] = getattr(self._interpreter, "_get_ops_details", list)()
        delegated = any(operator["op_name"] == "DELEGATE" for operator in operators)
        return "XNNPACK" if delegated else "built-in kernels"

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Backend.run`."""
        shapes = tuple(array.shape for array in arrays)
        if shapes != self._shapes:
            self._check_filled(shapes)
        try:
            if not self._in_main_graph:
                feeds = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
                results = self._runner(**feeds)
                return [results[spec.name] for spec in self.outputs]
            self._resize(shapes)
            for index, array in zip(self._input_indices, arrays, strict=True):
                self._interpreter.set_tensor(index, array)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._output_indices]
        except _FAILURES as error:
            raise BackendError(f"{self.info} failed: {_told(error)}") from error

    def _check_filled(self, shapes: Shapes) -> None:
        """Refuses arrays without values: LiteRT 2.3 gives shapes of chance to what is computed from them."""
        for spec, shape in zip(self.inputs, shapes, strict=True):
            if 0 in shape:
                raise InvalidInputError(
                    f"values for {spec.name!r} have shape {shape}; TFLite engines need at least one value"
                )

    def _resize(self, shapes: Shapes) -> None:
        """Makes room for inputs of these shapes; a resize prepares the whole graph anew, so only when it must be."""
        if shapes == self._shapes:
            return
        self._shapes = None  # a resize that fails leaves the interpreter in neither shape
        for spec, index, shape in zip(self.inputs, self._input_indices, shapes, strict=True):
            self._interpreter.resize_tensor_input(index, shape, strict=spec.shape != ())  # which stands for any
        self._interpreter.allocate_tensors()
        self._shapes = shapes

    def memory(self, shapes: Shapes) -> Memory | None:
        """See `Backend.memory`."""
        if not self._stays:
            return None
        try:
            self._resize(shapes)
        except _FAILURES as error:
            raise BackendError(f"{self.info} failed: {_told(error)}") from error
        inputs, outputs = (tuple(map(self._view, indices)) for indices in (self._input_indices, self._output_indices))
        return Memory(inputs, outputs, self._interpreter.invoke, _FAILURES)

    def _memory_stays(self) -> bool:
        """Whether tensors stay where they are; to be asked before the first run.

        Where a graph sizes tensors while it runs, each run may move all of them. Outputs that follow have no memory
        until then, and the interpreter has a `ValueError` for it.
        """
        try:
            return all(self._interpreter.tensor(index)() is not None for index in self._output_indices)
        except ValueError:
            return False

    def _view(self, index: int) -> NDArray[Any]:
        """A tensor's memory. The interpreter refuses to run while an array of its own making is alive."""
        tensor = self._interpreter.tensor(index)()
        memory = (ctypes.c_char * tensor.nbytes).from_address(tensor.ctypes.data)
        return np.frombuffer(memory, tensor.dtype).reshape(tensor.shape)

    def another(self) -> "LiteRTBackend":
        """See `Backend.another`."""
        return LiteRTBackend(*self._made_of)

    def close(self) -> None:
        """See `Backend.close`."""
        del self._interpreter, self._runner


def _by_name(details: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tensor details by name; where several have the same, the second is `name:1`, as TensorFlow counts."""
    named: dict[str, Any] = {}
    for detail in details:
        name, number = detail["name"], 0
        while name in named:
            number += 1
            name = f"{detail['name']}:{number}"
        named[name] = detail
    return named


def _shape(detail: dict[str, Any]) -> tuple[int | None, ...]:
    sizes = detail.get("shape_signature", detail["shape"])
    return tuple(int(size) if size > 0 else None for size in sizes)


def _has_free_sizes(detail: dict[str, Any]) -> bool:
    """Whether an input has free sizes other than a number of items, of which any model takes 1."""
    shape = _shape(detail)
    return shape == (None,) or None in shape[1:]


def _spec(name: str, detail: dict[str, Any]) -> TensorSpec:
    dtype = np.dtype(detail["dtype"])
    if dtype.kind not in "fiub":
        raise refused_tensor(name, "text" if dtype.kind == "S" else dtype.name)
    scales = detail["quantization_parameters"]["scales"]
    quantized = len(scales) == 1 and dtype.kind in "iu"  # floating tensors may keep what they were quantized with
    return TensorSpec(
        name=name,
        dtype=dtype.name,
        shape=_shape(detail),
        scale=float(scales[0]) if quantized else None,
        zero_point=int(detail["quantization_parameters"]["zero_points"][0]) if quantized else None,
    )


def _told(error: Exception) -> str:
    """One line of what the engine says; of an operator that it lacks the name, which it has at the end of a page."""
    missing = _MISSING.search(str(error))
    if missing is None:
        return one_line(error) or "it gives no reason"
    op = missing["op"]
    if op.startswith(_OF_TENSORFLOW):
        return f"it needs TensorFlow's own {op.removeprefix(_OF_TENSORFLOW)}; convert it with TFLITE_BUILTINS alone"
    return f"it needs the custom operator {op}, which this engine has not; use its maker's own, or convert it without"
