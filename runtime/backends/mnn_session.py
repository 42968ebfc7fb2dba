"""MNN's interpreter and one session of it, with errors instead of messages on standard output."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError

from ..card import TensorSpec
from .base import Shapes, refused_tensor
from .native import as_file, overheard

TYPES = {
    "float32": "Halide_Type_Float",
    "int32": "Halide_Type_Int",
    "int64": "Halide_Type_Int64",
    "uint8": "Halide_Type_Uint8",
}
"""What MNN computes with, by numpy's names."""

_CHATTER = ("The device supports", "MNN use ")
_ERROR = "error"
_GUESSES = (1, 64, 256)  # for sizes that a file leaves open, of which the first that a model takes is good enough


class Session:
    """A model in MNN's memory, and room to run it in."""

    def __init__(
        self,
        content: bytes,
        module: ModuleType,
        who: str,
        inputs: Sequence[TensorSpec],
        options: Mapping[str, object],
    ) -> None:
        """Loads a model, and runs it once on zeros, since only then it tells whether it can.

        Args:
            content: The `.mnn` file.
            module: The native module.
            who: What messages call the engine.
            inputs: What goes in.
            options: MNN's own.

        Raises:
            BackendError: If the engine refuses the model.
        """
        self._module = module
        self._who = who
        self._inputs = inputs
        self._options = options
        self._types = {id(getattr(module, kind)): dtype for dtype, kind in TYPES.items()}
        with self._told("refuses this model"), as_file(content) as path:
            self._net = module.Interpreter(path)
        self._start()

    def another(self) -> "Session":
        """Makes one more, of the same model."""
        other = copy.copy(self)
        other._start()
        return other

    def _start(self) -> None:
        free = any(None in spec.shape[1:] for spec in self._inputs)
        with self._told("refuses this model"):
            self._session = self._net.createSession(self._options)
            for guess in _GUESSES if free else _GUESSES[:1]:
                shapes = [(*(size or 1 for size in spec.shape[:1]), *spec.shape[1:]) for spec in self._inputs]
                reason = self._resized(tuple(tuple(size or guess for size in shape) for shape in shapes))
                if not reason:
                    return
            raise BackendError(reason)

    def prepare(self, shapes: Shapes) -> None:
        """Makes the engine ready for inputs of these shapes.

        Raises:
            BackendError: If the model does not take them.
        """
        with self._told("failed"):
            if reason := self._resized(shapes):
                raise BackendError(reason)

    def _resized(self, shapes: Shapes) -> str:
        given = self.given()
        for spec, shape in zip(self._inputs, shapes, strict=True):
            if spec.name not in given:
                return f"it has no input {spec.name[:80]!r}"
            self._net.resizeTensor(given[spec.name], shape)
        self._net.resizeSession(self._session)  # which says that it went well in any case
        status = self.run()
        return f"it does not run (status {status})" if status else ""

    def run(self) -> int:
        """Runs the model once; returns another number than 0 where that fails."""
        status: int = self._net.runSession(self._session)
        return status

    def given(self) -> Mapping[str, Any]:
        """Returns the engine's inputs by name."""
        tensors: dict[str, Any] = self._net.getSessionInputAll(self._session)
        return tensors

    def shown(self) -> Mapping[str, Any]:
        """Returns the outputs, and what else is to be shown, by name."""
        tensors: dict[str, Any] = self._net.getSessionOutputAll(self._session)
        return tensors

    def dtype(self, name: str, tensor: Any) -> str:
        """Returns the type of a tensor of the engine's.

        Raises:
            BackendError: If it is one that numpy has not.
        """
        kind = id(tensor.getDataType())
        if kind not in self._types:
            raise refused_tensor(name, "values of another type")
        return self._types[kind]

    def host(self, tensor: Any, shape: Sequence[int], dtype: str) -> tuple[Any, NDArray[Any]]:
        """Makes a tensor of plain memory beside one of the engine's; returns it with that memory as an array."""
        kind, order = getattr(self._module, TYPES[dtype]), tensor.getDimensionType()
        host = self._module.Tensor(tuple(shape), kind, np.zeros(shape, dtype), order)
        return host, host.getNumpyData()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turns what the engine raises, and what it prints, into one error."""
        said: list[str] = []
        try:
            with overheard(said):
                yield
        except Exception as error:
            if type(error) not in (Exception, BackendError):  # the engine's have no class of their own
                raise
            lines = [*(line for line in said if not line.startswith(_CHATTER)), str(error)]
            reason = next((line for line in lines if _ERROR in line.lower()), lines[0])
            raise BackendError(f"{self._who} {what}: {reason[:300]}") from error
