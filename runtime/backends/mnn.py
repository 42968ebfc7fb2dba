"""MNN files, by MNN on the CPU.

MNN trusts its caller with the sizes of arrays, and does not say whether a batch may have more items than a file states.
Both end here.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liteport.errors import BackendError, InvalidInputError

from ..card import TensorSpec
from ..contents import Op, Tensor
from ..contents.mnn import metadata_spans, read
from ..contents.mnn_names import UNKNOWN
from ..cpu import cpu_features, read_cpuinfo
from .base import BackendInfo, Memory, Shapes, refused_tensor
from .mnn_session import TYPES, Session

_Pair = tuple[Any, Any]  # a tensor of the engine's, and one over memory of ours


class MnnBackend:
    """Implements `Backend` with an MNN session.

    The arithmetic follows the weights: of float32 weights it is float32; of float16 weights it is half precision where
    the CPU can (Arm with FP16 instructions, such as the Cortex-A76), or else float32.

    Attributes:
        computes_in_half: Whether the arithmetic is in half precision.
    """

    def __init__(
        self,
        content: bytes,
        threads: int,
        package: str,
        module: ModuleType,
        signature: str | None = None,
        shown: Collection[str] = (),
    ) -> None:
        """Loads a model, and runs it once on zeros, as the file does not state what sizes its outputs have.

        Args:
            content: The `.mnn` file.
            threads: How many threads one call may use.
            package: The distribution's name.
            module: Its native module, with the class `Interpreter`.
            signature: None; MNN files have one graph.
            shown: Values inside the model that `values` is to give, by name.

        Raises:
            BackendError: If the engine refuses the model.
            InvalidInputError: If a signature is named.
            IntegrityError: If the file is damaged.
        """
        if signature is not None:
            raise InvalidInputError(f"signature is {signature!r}; MNN files have no signatures, expected None")
        contents = read(content)
        half = any(tensor.dtype == "float16" for tensor in contents.tensors)
        self.computes_in_half = half and "asimdhp" in cpu_features(read_cpuinfo())
        arithmetic = "float16" if self.computes_in_half else "float16 weights" if half else "float32"
        self.info = BackendInfo(package, module.version(), f"CPU, {arithmetic}")
        self._trusted = bool(metadata_spans(content))
        if not self._trusted:
            _check_known(contents.ops, f"{package} {module.version()}")
        self.inputs = tuple(_input_spec(contents.tensors[index]) for index in contents.inputs)
        self._names = [contents.tensors[index].name for index in contents.outputs]
        options = {
            "backend": "CPU",
            "numThread": threads,
            "precision": "low" if half else "high",
            "saveTensors": (*self._names, *shown),
        }
        self._session = Session(content, module, str(self.info), self.inputs, options)
        self._ready: tuple[Shapes, Memory] | None = None
        self._one_by_one = False
        self.outputs = tuple(self._output_spec(name, tensor) for name, tensor in self._made())

    def _made(self) -> list[tuple[str, Any]]:
        """Returns the engine's outputs with their names."""
        shown = self._session.shown()
        if missing := [name for name in self._names if name not in shown]:
            raise BackendError(f"{self.info} does not compute the output {missing[0][:80]!r}")
        return [(name, shown[name]) for name in self._names]

    def _output_spec(self, name: str, tensor: Any) -> TensorSpec:
        found = tensor.getShape()
        free = any(None in spec.shape[1:] for spec in self.inputs)
        batch = [None if size == 1 and self._free_batch() else size for size in found[:1]]
        return _spec(name, self._session.dtype(name, tensor), (*batch, *(None if free else n for n in found[1:])))

    def _free_batch(self) -> bool:
        return all(spec.shape[:1] == (None,) for spec in self.inputs)

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """See `Backend.run`."""
        memory = self.memory(tuple(array.shape for array in arrays))
        for own, array in zip(memory.inputs, arrays, strict=True):
            own[...] = array
        memory.invoke()
        return [array.copy() for array in memory.outputs]

    def memory(self, shapes: Shapes) -> Memory:
        """See `Backend.memory`; of a model that takes no batches, arrays of our own, of which items go in turn."""
        if self._ready is None or self._ready[0] != shapes:
            self._ready = None
            self._check(shapes)
            self._ready = shapes, self._together(shapes) or self._in_turn(shapes)
        return self._ready[1]

    def _check(self, shapes: Shapes) -> None:
        for spec, shape in zip(self.inputs, shapes, strict=True):
            fits = len(shape) == len(spec.shape) and all(
                size in (None, got) for size, got in zip(spec.shape, shape, strict=True)
            )
            if not fits or (self._free_batch() and shape[0] != shapes[0][0]):
                raise InvalidInputError(f"values for {spec.name!r} have shape {shape}; expected {list(spec.shape)}")

    def _together(self, shapes: Shapes) -> Memory | None:
        """Returns the engine's memory for all items at once, or None where there are none or it does not take them."""
        if not self._free_batch() or shapes[0][0] == 1:
            self._session.prepare(shapes)
            return self._memory(shapes)
        items = shapes[0][:1]
        if self._one_by_one or not items[0]:
            return None
        try:
            self._session.prepare(shapes)
            self._one_by_one = any(tensor.getShape()[:1] != items for _, tensor in self._made())
        except BackendError:
            self._one_by_one = True
        return None if self._one_by_one else self._memory(shapes)

    def _memory(self, shapes: Shapes) -> Memory:
        """Returns memory beside the engine's own, which lies as suits its kernels."""
        tensors = self._session.given()
        given = [tensors[spec.name] for spec in self.inputs]
        made = self._made()
        inputs = [
            self._session.host(tensor, shape, spec.dtype)
            for tensor, shape, spec in zip(given, shapes, self.inputs, strict=True)
        ]
        outputs = [
            self._session.host(tensor, tensor.getShape(), self._session.dtype(name, tensor)) for name, tensor in made
        ]
        invoke = partial(
            self._invoke,
            [(tensor, host) for tensor, (host, _) in zip(given, inputs, strict=True)],
            [(tensor, host) for (_, tensor), (host, _) in zip(made, outputs, strict=True)],
        )
        arrays = [tuple(array for _, array in hosts) for hosts in (inputs, outputs)]
        return Memory(arrays[0], arrays[1], invoke, (BackendError,))

    def _invoke(self, given: Sequence[_Pair], made: Sequence[_Pair]) -> None:
        for tensor, host in given:
            tensor.copyFrom(host)
        if status := self._session.run():
            raise BackendError(f"{self.info} failed (status {status})")
        for tensor, host in made:
            if not self._trusted and tensor.getShape() != host.getShape():
                raise BackendError(f"{self.info} failed: the size of an output depends on the values of the inputs")
            tensor.copyToHostTensor(host)

    def _in_turn(self, shapes: Shapes) -> Memory:
        """Has items computed one after the other."""
        alone = tuple((1, *shape[1:]) for shape in shapes)
        self._session.prepare(alone)
        one = self._memory(alone)
        inputs = tuple(np.zeros(shape, spec.dtype) for shape, spec in zip(shapes, self.inputs, strict=True))
        outputs = tuple(np.zeros((shapes[0][0], *array.shape[1:]), array.dtype) for array in one.outputs)

        def invoke() -> None:
            for item in range(shapes[0][0]):
                for own, array in zip(one.inputs, inputs, strict=True):
                    own[0] = array[item]
                one.invoke()
                for own, array in zip(one.outputs, outputs, strict=True):
                    array[item] = own[0]

        return Memory(inputs, outputs, invoke, (BackendError,))

    def values(self, arrays: Sequence[NDArray[Any]], names: Collection[str]) -> Mapping[str, NDArray[Any]]:
        """Runs the model for one item, and returns those of the values that were to be shown and are there; copies.

        Raises:
            BackendError: If the engine fails.
        """
        self.run(arrays)
        shown = self._session.shown()
        found = {}
        for name in filter(shown.__contains__, names):
            tensor = shown[name]
            host, array = self._session.host(tensor, tensor.getShape(), self._session.dtype(name, tensor))
            if array.size:
                tensor.copyToHostTensor(host)
            found[name] = array.copy()
        return found

    def another(self) -> "MnnBackend":
        """See `Backend.another`; sessions of their own over one model."""
        other = copy.copy(self)
        other._session, other._ready = self._session.another(), None
        return other

    def close(self) -> None:
        """See `Backend.close`."""
        del self._ready, self._session


def _check_known(ops: Sequence[Op], who: str) -> None:
    """Refuses what is none of MNN's operations, of which it does not ask before it follows where they lead."""
    for op in ops:
        if op.kind.startswith(UNKNOWN):
            raise BackendError(f"{who} has no {op.kind}, which {op.name[:80]!r} is")


def _input_spec(tensor: Tensor) -> TensorSpec:
    if tensor.dtype not in TYPES:
        raise refused_tensor(tensor.name, tensor.dtype)
    return _spec(tensor.name, tensor.dtype, tensor.shape)


def _spec(name: str, dtype: str, shape: tuple[int | None, ...]) -> TensorSpec:
    try:
        return TensorSpec(name, dtype, shape)
    except ValueError as error:
        raise BackendError(f"{name[:80]!r} cannot be told: {error}") from error
