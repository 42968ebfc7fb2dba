"""What an inference engine must offer to stand behind a `Model`, and what is seen of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from ..card import TensorSpec


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

    def close(self) -> None:
        """Frees what the engine holds."""
