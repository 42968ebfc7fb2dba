"""MNN files, by MNN on the CPU.

MNN reads models from files only, gives its reasons on standard output only, trusts its caller with the sizes of arrays,
and does not know whether a batch may have more items than a file states. All of that ends here.
"""

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from .native import as_file, overheard

_TYPES = {
    "float32": "Halide_Type_Float",
    "int32": "Halide_Type_Int",
    "int64": "Halide_Type_Int64",
    "uint8": "Halide_Type_Uint8",
}
_CHATTER = ("The device supports", "MNN use ")
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
        self.inputs = tuple(_input_spec(contents.tensors[index]) for index in contents.inputs)
        self._names = [contents.tensors[index].name for index in contents.outputs]
        self._types = {id(getattr(module, kind)): dtype for dtype, kind in _TYPES.items()}
        self._module = module
        self._trusted = bool(metadata_spans(content))
        if not self._trusted:
            _check_known(contents.ops, f"{package} {module.version()}")
        self._options = {
            "backend": "CPU",
            "numThread": threads,
            "precision": "low" if half else "high",
            "saveTensors": (*self._names, *shown),
        }
        with self._told("refuses this model"), as_file(content) as path:
            self._net = module.Interpreter(path)
        self._start()
        self.outputs = tuple(map(self._output_spec, self._names))

    def _start(self) -> None:
        """Makes a session, ready for one item."""
        self._ready: tuple[Shapes, Memory] | None = None
        self._one_by_one = False
        with self._told("refuses this model"):
            self._session = self._net.createSession(self._options)
            self._prepare(tuple(tuple(size or 1 for size in spec.shape) for spec in self.inputs))

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
            reasons = [line for line in said if not line.startswith(_CHATTER)]
            raise BackendError(f"{self.info} {what}: {(reasons or [str(error)])[0][:300]}") from error

    def _prepare(self, shapes: Shapes) -> None:
        """Makes the engine ready for inputs of these shapes, and runs it once, since only then it tells if it can."""
        given = self._net.getSessionInputAll(self._session)
        for spec, shape in zip(self.inputs, shapes, strict=True):
            if spec.name not in given:
                raise BackendError(f"it has no input {spec.name!r}")
            self._net.resizeTensor(given[spec.name], shape)
        self._net.resizeSession(self._session)
        if status := self._net.runSession(self._session):
            raise BackendError(f"it does not run (status {status})")

    def _output(self, name: str) -> Any:
        return self._net.getSessionOutput(self._session, name)

    def _dtype(self, name: str, tensor: Any) -> str:
        kind = tensor.getDataType()
        if id(kind) not in self._types:
            raise refused_tensor(name, "values of another type")
        return self._types[id(kind)]

    def _output_spec(self, name: str) -> TensorSpec:
        tensor = self._output(name)
        items, *sizes = tensor.getShape() or (1,)
        free = any(None in spec.shape[1:] for spec in self.inputs)
        batch = None if items == 1 and self._free_batch() else items
        shape = (batch, *(None if free else size for size in sizes)) if tensor.getShape() else ()
        return TensorSpec(name, self._dtype(name, tensor), shape)

    def _free_batch(self) -> bool:
        return all(spec.shape[:1] == (None,) for spec in self.inputs)

    def _host(self, shape: Sequence[int], dtype: str, order: int) -> tuple[Any, NDArray[Any]]:
        """Makes a tensor over memory of ours, and returns it with that as an array."""
        tensor = self._module.Tensor(tuple(shape), getattr(self._module, _TYPES[dtype]), np.zeros(shape, dtype), order)
        return tensor, tensor.getNumpyData()

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
            self._ready = shapes, self._batch(shapes) or self._items(shapes)
        return self._ready[1]

    def _check(self, shapes: Shapes) -> None:
        for spec, shape in zip(self.inputs, shapes, strict=True):
            fits = len(shape) == len(spec.shape) and all(
                size in (None, got) for size, got in zip(spec.shape, shape, strict=True)
            )
            if not fits or (self._free_batch() and shape[0] != shapes[0][0]):
                raise InvalidInputError(f"values for {spec.name!r} have shape {shape}; expected {list(spec.shape)}")

    def _batch(self, shapes: Shapes) -> Memory | None:
        """Returns the engine's arrays for all items at once, or None where there are none or it does not take them."""
        items, many = shapes[0][:1], self._free_batch() and shapes[0][0] != 1
        if many and (self._one_by_one or not shapes[0][0]):
            return None
        try:
            with self._told("failed"):
                self._prepare(shapes)
        except BackendError:
            if not many:
                raise
            self._one_by_one = True
        if many and not self._one_by_one:
            self._one_by_one = any(self._output(name).getShape()[:1] != items for name in self._names)
        return None if many and self._one_by_one else self._hosts(shapes)

    def _hosts(self, shapes: Shapes) -> Memory:
        tensors = self._net.getSessionInputAll(self._session)
        given = [tensors[spec.name] for spec in self.inputs]
        made = list(map(self._output, self._names))
        kinds = [self._dtype(name, tensor) for name, tensor in zip(self._names, made, strict=True)]
        inputs = [
            self._host(shape, spec.dtype, tensor.getDimensionType())
            for shape, spec, tensor in zip(shapes, self.inputs, given, strict=True)
        ]
        outputs = [
            self._host(tensor.getShape(), dtype, tensor.getDimensionType())
            for tensor, dtype in zip(made, kinds, strict=True)
        ]
        invoke = partial(
            self._invoke,
            [(tensor, host) for tensor, (host, _) in zip(given, inputs, strict=True)],
            [(tensor, host) for tensor, (host, _) in zip(made, outputs, strict=True)],
        )
        arrays = [tuple(array for _, array in hosts) for hosts in (inputs, outputs)]
        return Memory(arrays[0], arrays[1], invoke, (BackendError,))

    def _invoke(self, given: Sequence[_Pair], made: Sequence[_Pair]) -> None:
        for tensor, host in given:
            tensor.copyFrom(host)
        if status := self._net.runSession(self._session):
            raise BackendError(f"{self.info} failed (status {status})")
        for tensor, host in made:
            if not self._trusted and tensor.getShape() != host.getShape():
                raise BackendError(f"{self.info} failed: the size of an output depends on the values of the inputs")
            tensor.copyToHostTensor(host)

    def _items(self, shapes: Shapes) -> Memory:
        """Has items computed one after the other."""
        items = shapes[0][0]
        with self._told("failed"):
            self._prepare(tuple((1, *shape[1:]) for shape in shapes))
        one = self._hosts(tuple((1, *shape[1:]) for shape in shapes))
        inputs = tuple(np.zeros(shape, spec.dtype) for shape, spec in zip(shapes, self.inputs, strict=True))
        outputs = tuple(np.zeros((items, *array.shape[1:]), array.dtype) for array in one.outputs)

        def invoke() -> None:
            for item in range(items):
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
        kept = self._net.getSessionOutputAll(self._session)
        found = {}
        for name in filter(kept.__contains__, names):
            tensor = kept[name]
            host, array = self._host(tensor.getShape(), self._dtype(name, tensor), tensor.getDimensionType())
            if array.size:
                tensor.copyToHostTensor(host)
            found[name] = array.copy()
        return found

    def another(self) -> "MnnBackend":
        """See `Backend.another`; sessions of their own over one model."""
        other = copy.copy(self)
        other._start()
        return other

    def close(self) -> None:
        """See `Backend.close`."""
        del self._ready, self._session, self._net


def _check_known(ops: Sequence[Op], who: str) -> None:
    """Refuses what is none of MNN's operations, of which it does not ask before it follows where they lead."""
    for op in ops:
        if op.kind.startswith(UNKNOWN):
            raise BackendError(f"{who} has no {op.kind}, which {op.name[:80]!r} is")


def _input_spec(tensor: Tensor) -> TensorSpec:
    if tensor.dtype not in _TYPES:
        raise refused_tensor(tensor.name, tensor.dtype)
    return TensorSpec(tensor.name, tensor.dtype, tensor.shape)
