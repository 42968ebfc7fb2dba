"""What an inference engine must offer to stand behind a `Model`, and what is seen of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from liteport.errors import BackendError

from ..card import TensorSpec

Shapes = tuple[tuple[int, ...], ...]
"""One shape per input."""


@dataclass(frozen=True)
class BackendInfo:
    """The engine that runs a model.

    Attributes:
        name: The package, such as "ai-edge-litert".
        version: The package's version.
        provider: What does the work inside it: a TFLite delegate or an ONNX Runtime execution provider.
    """

    name: str
    version: str
    provider: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.provider})"


@dataclass(frozen=True)
class Memory:
    """An engine's own memory, to write inputs to and read outputs from without a copy between.

    Valid until the backend is asked for other shapes or closed; using it afterwards is undefined.

    Attributes:
        inputs: One array per input.
        outputs: One array per output, of the latest `invoke`.
        invoke: Runs the model once.
        failures: What `invoke` raises where the engine fails.
    """

    inputs: tuple[NDArray[Any], ...]
    outputs: tuple[NDArray[Any], ...]
    invoke: Callable[[], object]
    failures: tuple[type[Exception], ...]


class Backend(Protocol):
    """One model file, loaded by one engine.

    Not safe to be used from several threads at once; `Model` sees to that.
    """

    info: BackendInfo
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Runs the model once.

        Args:
            arrays: One array per input, in the order of `inputs`, of its dtype and of a shape that fits.

        Returns:
            One array per output, in the order of `outputs`; copies that later runs leave alone.

        Raises:
            BackendError: If the engine fails.
        """

    def memory(self, shapes: Shapes) -> Memory | None:
        """Makes the engine ready for inputs of these shapes.

        To be asked for only of files whose outputs' sizes follow from their inputs' sizes.

        Args:
            shapes: As a `run` of the same shapes has taken them.

        Returns:
            The engine's memory, or None where it lets nobody there.
        """

    def another(self) -> "Backend":
        """Loads the same file once more, to be used beside this one."""

    def close(self) -> None:
        """Frees what the engine holds."""


def refused_tensor(name: str, holds: str) -> BackendError:
    """Makes the error for a file with an input or output that numpy has no numbers for, or that holds none."""
    return BackendError(f"{name!r} holds {holds}; expected tensors of booleans, integers or floating numbers of numpy")


def one_line(error: Exception) -> str:
    """Returns what an engine says of a failure, in a line that is not too long for a message."""
    return " ".join(str(error).split())[:300]
